#include "settings.h"

#include <utility>

namespace mtastsd::ctl {

void Settings::add_option(Verb& verb) {
  verb.option("--config", path, "FILE",
              "the daemon's configuration (default: " + std::string(config::kDefaultFile) +
                  " if it is there)");
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
