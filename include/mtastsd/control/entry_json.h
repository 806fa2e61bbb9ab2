#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::control {

// Cache entries as JSON, for people's scripts and for moving them to another machine. The names
// and their meaning are stable: contrib/schema/ctl.json.

// One object in one line.
std::string to_json(std::string_view domain, const cache::Entry& entry);

// Reads what to_json() wrote; a missing field means that it did not happen. What counts is the
// policy's text, which is read by the same parser as a fetched one; mode, patterns and max_age are
// for people, and count only where the text was not kept. Errors are the end of a sentence about
// the record: "has no domain ...".
Result<std::pair<DomainName, cache::Entry>, std::string> entry_from_json(std::string_view line);

}  // namespace mtastsd::control
