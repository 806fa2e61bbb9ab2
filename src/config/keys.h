#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtastsd::config {

// What the names of environment variables begin with.
inline constexpr char kVariablePrefix[] = "MTASTSD_";

struct KnownKey {
  std::string name;            // "resolver.answer_timeout"; for a map: "maps.NAME.postfix_version",
                               // for an override: "override.NAME.action"
  bool needs_restart = false;  // a reload does not change it
};

// All keys.
std::vector<KnownKey> known_keys();

// "dns.timeout" as "MTASTSD_DNS_TIMEOUT".
std::string variable_for(std::string_view key);

}  // namespace mtastsd::config
