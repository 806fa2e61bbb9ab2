#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mtastsd/base/result.h"
#include "mtastsd/control/client.h"
#include "settings.h"

namespace mtastsd::ctl {

// The running daemon, asked over its control socket.
class DaemonLink {
 public:
  enum class Problem { NotRunning, Trouble };
  struct Error {
    Problem problem;
    std::string message;  // one sentence, with what to do
  };

  static Result<DaemonLink, Error> connect(const Settings& settings);

  // Its reply with "ok": true, or what it has against it.
  Result<nlohmann::json, Error> ask(const nlohmann::json& request,
                                    const std::function<void()>& tick = nullptr);

  // The sentence to end with where only a running daemon will do.
  static std::string needed(const Error& error, const std::string& what);

 private:
  explicit DaemonLink(control::Client client) : client_(std::move(client)) {}
  control::Client client_;
};

}  // namespace mtastsd::ctl
