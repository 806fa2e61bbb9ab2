#pragma once

#include <string>
#include <vector>

namespace mtastsd::config {

struct KnownKey {
  std::string name;            // "resolver.answer_timeout"; for a map: "maps.NAME.postfix_version"
  bool needs_restart = false;  // a reload does not change it
};

// All keys.
std::vector<KnownKey> known_keys();

}  // namespace mtastsd::config
