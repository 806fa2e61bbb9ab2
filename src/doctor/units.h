#pragma once

#include <string_view>
#include <vector>

#include "mtastsd/doctor/facts.h"

namespace mtastsd::doctor {

// The units that are loaded, of what `systemctl show --property=Id,LoadState,ActiveState,
// UnitFileState` prints: a block of "name=value" lines for each, with an empty line between two.
std::vector<Unit> parse_units(std::string_view text);

}  // namespace mtastsd::doctor
