#pragma once

#include <string>
#include <vector>

namespace mtastsd::config {

struct KnownKey {
  std::string name;            // "resolver.answer_timeout"; of a map: "maps.NAME.postfix_version"
  bool needs_restart = false;  // a reload does not change it
};

// Every key there is.
std::vector<KnownKey> known_keys();

}  // namespace mtastsd::config
