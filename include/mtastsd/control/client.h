#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "mtastsd/base/result.h"

namespace mtastsd::control {

// Asks a running daemon over its control socket. Blocking.
class Client {
 public:
  enum class Problem {
    NotRunning,  // nobody listens there
    Forbidden,   // somebody may, but not for this user
    Broken,      // no reply, or none that is a line
  };
  struct Error {
    Problem problem;
    std::string message;  // one sentence
  };

  static Result<Client, Error> connect(const std::string& path);
  Client(Client&& other) noexcept;
  Client& operator=(Client&&) = delete;
  ~Client();

  // Sends a line and returns the reply, without their ends. Calls `tick`, if there is one, about
  // ten times a second while it waits.
  Result<std::string, Error> ask(std::string_view line, const std::function<void()>& tick);

 private:
  explicit Client(int fd) : fd_(fd) {}
  int fd_;
  std::string input_;
};

}  // namespace mtastsd::control
