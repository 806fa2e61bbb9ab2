#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/config/config.h"

namespace mtastsd::doctor {

// A configuration of mtastsd with the lines left out that are wrong.
struct Repaired {
  std::vector<std::size_t> lines;  // their numbers; empty: that was not enough
  config::Config config;
};

// Pure. `text` is a configuration that config::parse() refuses.
Repaired without_wrong_lines(std::string text);

}  // namespace mtastsd::doctor
