#include "daemon_link.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "mtastsd/config/places.h"
#include "mtastsd/control/entry_json.h"

namespace mtastsd::ctl {
namespace {

// While the daemon's writer catches up.
constexpr int kBusyTries = 600;
constexpr std::chrono::milliseconds kBusyWait{100};

}  // namespace

Result<DaemonLink, DaemonLink::Error> DaemonLink::connect(const Settings& settings) {
  const std::string& configured = settings.config.control.socket;
  if (configured.empty()) {
    return failure(Error{Problem::NotRunning,
                         "the configuration has no control socket: set [control] socket"});
  }
  std::string looked_at;
  for (const std::string& path : config::control_sockets(configured)) {
    auto client = control::Client::connect(path);
    if (client) {
      return DaemonLink(std::move(*client));
    }
    if (client.error().problem == control::Client::Problem::Forbidden) {
      return failure(Error{Problem::Trouble, client.error().message +
                                                 ": run as root, as the user that mtastsd runs as, "
                                                 "or as a member of [control] socket_group"});
    }
    looked_at += (looked_at.empty() ? "" : ", ") + path;
  }
  return failure(Error{Problem::NotRunning, "no mtastsd answers at " + looked_at});
}

Result<nlohmann::json, DaemonLink::Error> DaemonLink::ask(const nlohmann::json& request,
                                                          const std::function<void()>& tick) {
  const std::string line = control::to_line(request);
  for (int tries = 0; tries < kBusyTries; ++tries) {
    const auto reply = client_.ask(line, tick);
    if (!reply) {
      return failure(Error{Problem::Trouble, reply.error().message});
    }
    nlohmann::json object = nlohmann::json::parse(*reply, nullptr, false);
    if (!object.is_object()) {
      return failure(Error{Problem::Trouble, "the reply is no JSON object: is that mtastsd?"});
    }
    if (object.value("ok", false)) {
      return object;
    }
    if (!object.value("busy", false)) {
      return failure(Error{Problem::Trouble, "mtastsd: " + object.value("error", "no reason")});
    }
    std::this_thread::sleep_for(kBusyWait);
  }
  return failure(Error{Problem::Trouble, "mtastsd is busy for a minute: its log says with what"});
}

std::string DaemonLink::needed(const Error& error, const std::string& what) {
  switch (error.problem) {
    case Problem::NotRunning:
      return error.message + ": " + what +
             " needs a running daemon: start it, or name its "
             "configuration by --config";
    case Problem::Trouble:
      return error.message;
  }
  return error.message;
}

}  // namespace mtastsd::ctl
