#pragma once

#include <string>
#include <vector>

#include "mtastsd/config/config.h"

namespace mtastsd::config {

// The settings, as "cache.max_size", in which `next` differs from the configuration that the daemon
// was started with and which only a restart changes. The others take effect with a reload.
std::vector<std::string> settings_that_need_restart(const Config& running, const Config& next);

}  // namespace mtastsd::config
