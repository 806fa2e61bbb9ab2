#pragma once

#include <functional>
#include <string>
#include <utility>
#include <variant>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/base/result.h"
#include "mtastsd/control/protocol.h"

namespace mtastsd::control {

// Asks a running daemon over its control socket. Blocking.
class Client {
 public:
  // How long a daemon may leave connections unaccepted. Less than a plugin of a monitoring may
  // take.
  static constexpr Milliseconds kConnectPatience{4000};

  // Errors: NoDaemon, Forbidden, Broken for a path that cannot be one, and for a daemon that
  // accepts no connection in that time.
  static Result<Client, Error> connect(const std::string& path,
                                       Milliseconds patience = kConnectPatience);

  // Sends a request and waits for its answer, three minutes at most. A daemon that is busy is asked
  // again for a minute. Calls `tick`, if there is one, about ten times a second meanwhile.
  template <typename Question>
  Result<typename Question::Answer, Error> ask(const Question& request,
                                               const std::function<void()>& tick = nullptr) {
    auto answer = exchange(request, tick);
    if (!answer) {
      return failure(std::move(answer.error()));
    }
    if (auto* expected = std::get_if<typename Question::Answer>(&*answer)) {
      return std::move(*expected);
    }
    return failure(Error{Error::Problem::Broken, "the reply answers another request"});
  }

 private:
  explicit Client(Fd fd) : fd_(std::move(fd)) {}
  Reply exchange(const Request& request, const std::function<void()>& tick);
  Result<std::string, Error> exchange_lines(const std::string& line,
                                            const std::function<void()>& tick);

  Fd fd_;
  std::string input_;
};

}  // namespace mtastsd::control
