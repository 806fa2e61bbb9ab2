#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::control {

// Cache entries as JSON, for people's scripts and for moving them to another machine. The names
// and their meaning are stable: contrib/schema/ctl.json.
nlohmann::json entry_to_json(std::string_view domain, const cache::Entry& entry);

// Reads what entry_to_json() wrote; what is missing is as if it had not happened. What counts is
// the policy's text, read by the same parser as a fetched one; mode, patterns and max_age beside it
// are for people. Errors are the end of a sentence about the record.
Result<std::pair<DomainName, cache::Entry>, std::string> entry_from_json(
    const nlohmann::json& record);

// One line, whatever bytes are in it.
std::string to_line(const nlohmann::json& object);

// "2026-01-31T23:59:59Z".
std::string timestamp(WallTime time);

}  // namespace mtastsd::control
