#pragma once

#include <string>
#include <vector>

namespace mtastsd::config {

// Every key there is, as "resolver.answer_timeout"; those of a map as "maps.NAME.postfix_version".
std::vector<std::string> known_keys();

}  // namespace mtastsd::config
