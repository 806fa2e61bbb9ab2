#include "daemon.h"

#include "mtastsd/config/places.h"

namespace mtastsd::ctl {

using control::Error;

Result<control::Client, Error> connect_to_daemon(const Settings& settings) {
  const std::string& configured = settings.config.control.socket;
  if (configured.empty()) {
    return failure(Error{Error::Problem::NoDaemon,
                         "the configuration has no control socket: set [control] socket"});
  }
  std::string tried;
  for (const std::string& path : config::control_sockets(configured)) {
    auto client = control::Client::connect(path);
    if (client) {
      return client;
    }
    switch (client.error().problem) {
      case Error::Problem::NoDaemon:
        tried += (tried.empty() ? "" : ", ") + path;
        break;
      case Error::Problem::Forbidden:
        client.error().message +=
            ": run as root, as the user that mtastsd runs as, or as a member of [control] "
            "socket_group";
        return client;
      case Error::Problem::UnknownCommand:
      case Error::Problem::BadRequest:
      case Error::Problem::BadDomain:
      case Error::Problem::Busy:
      case Error::Problem::Broken:
        return client;
    }
  }
  return failure(Error{Error::Problem::NoDaemon, "no mtastsd answers at " + tried});
}

std::string daemon_needed(const Error& error, const std::string& what) {
  if (error.problem != Error::Problem::NoDaemon) {
    return error.message;
  }
  return error.message + ": " + what +
         " needs a running daemon: start it, or name its configuration with --config";
}

}  // namespace mtastsd::ctl
