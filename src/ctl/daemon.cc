#include "daemon.h"

#include <utility>

#include "mtastsd/config/places.h"

namespace mtastsd::ctl {

using control::Error;

void Settings::add_option(Verb& verb) {
  verb.option("--config", path, "FILE",
              "the daemon's configuration (default: " + std::string(config::kDefaultFile) +
                  " if it exists)");
}

void Settings::load() {
  config = need(config::load_or_defaults(path));
}

Result<control::Client, std::string> connect_to_daemon(const Settings& settings) {
  const std::string& configured = settings.config.control.socket;
  if (configured.empty()) {
    return failure(std::string("the configuration has no control socket: set [control] socket"));
  }
  std::string tried;
  for (const std::string& path : config::control_sockets(configured)) {
    auto client = control::Client::connect(path);
    if (client) {
      return std::move(*client);
    }
    const Error& error = client.error();
    if (error.problem == Error::Problem::Forbidden) {
      throw Trouble(error.message +
                    ": run as root, as the user that mtastsd runs as, or as a member of [control] "
                    "socket_group");
    }
    if (error.problem != Error::Problem::NoDaemon) {
      throw Trouble(error.message);
    }
    tried += (tried.empty() ? "" : ", ") + path;
  }
  return failure("no mtastsd answers at " + tried);
}

}  // namespace mtastsd::ctl
