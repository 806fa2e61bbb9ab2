#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"

namespace mtastsd::socketmap {

// How long Postfix waits.
inline constexpr Seconds kPostfixLimit{100};

// Asks a socketmap server as Postfix does, blocking, with a time limit for each step; several
// requests may be under way, and replies come in their order. Errors are one sentence.
class Client {
 public:
  static Result<Client, std::string> connect(const config::ListenAddress& server,
                                             Seconds limit = kPostfixLimit);

  Result<void, std::string> send(std::string_view map, std::string_view key);
  // The next reply without its frame. Calls `tick`, if there is one, about ten times a second
  // while it waits.
  Result<std::string, std::string> receive(const std::function<void()>& tick = nullptr);
  // Whether receive() need not wait.
  bool reply_ready() const;
  int fd() const { return fd_.get(); }

 private:
  Client(Fd fd, Seconds limit) : fd_(std::move(fd)), limit_(limit) {}

  Fd fd_;
  Seconds limit_;
  std::string input_;
  std::size_t at_ = 0;  // of the next reply in input_
};

}  // namespace mtastsd::socketmap
