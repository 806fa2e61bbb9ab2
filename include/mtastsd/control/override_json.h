#pragma once

#include <string>
#include <string_view>

#include "mtastsd/base/result.h"
#include "mtastsd/overrides/override.h"

namespace mtastsd::control {

// Overrides as JSON, for the cache file and for people's scripts. The names and their meaning are
// stable: contrib/schema/ctl.json.

// One object in one line.
std::string to_json(const overrides::Override& one);

// Reads what to_json() wrote, and checks it. The error is the end of a sentence about it: one that
// a newer version wrote cannot be read when it has an action that this one does not know.
Result<overrides::Override, std::string> override_from_json(std::string_view line);

}  // namespace mtastsd::control
