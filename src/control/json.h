#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/overrides/override.h"

// What entry_json.cc, override_json.cc and protocol.cc share.
namespace mtastsd::control {

// "2026-01-31T23:59:59Z"; null for the epoch, which stands for what has not happened.
nlohmann::json time_json(WallTime time);
// Throws std::invalid_argument for what is neither.
WallTime time_from_json(const nlohmann::json& value);

// FetchError for a name that is not known.
cache::FailureType failure_type_named(std::string_view name);

// An entry without its domain. Errors are the end of a sentence about it.
nlohmann::json entry_to_json(const cache::Entry& entry);
Result<cache::Entry, std::string> entry_from_json(const nlohmann::json& object);

nlohmann::json override_to_json(const overrides::Override& one);
// Throws std::invalid_argument or an exception of nlohmann's for what is none.
overrides::Override override_from_json(const nlohmann::json& object);

// One line of ASCII, whatever bytes are in it.
std::string to_line(const nlohmann::json& object);

}  // namespace mtastsd::control
