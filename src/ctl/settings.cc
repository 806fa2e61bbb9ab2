#include "settings.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>

namespace mtastsd::ctl {

void Settings::add_option(CLI::App& verb) {
  verb.add_option("--config", path,
                  "the daemon's configuration (default: " + std::string(config::kDefaultFile) +
                      " if it is there)")
      ->type_name("FILE");
}

Result<void, std::string> Settings::load() {
  auto loaded = config::load_or_defaults(path);
  if (!loaded) {
    return failure(std::move(loaded.error().message));
  }
  config = std::move(*loaded);
  return {};
}

}  // namespace mtastsd::ctl
