#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::control {

// What becomes of a policy from another cache. Pure.
struct ImportRefusal {
  enum class Why { Newer, Expired, Invalid };
  Why why;
  std::string sentence;
};
std::string_view to_string(ImportRefusal::Why why);  // "newer", "expired", "invalid"

// What to store for the domain, or why not: a policy that is known and was fetched at the same
// time or later stays, one whose life is over does not come back. Only a policy counts as newer: a
// record that was not found says nothing against one that lives (RFC 8461 section 3.3). The new
// entry has its TXT record checked by the next query, and is refreshed when it would have been.
Result<cache::Entry, ImportRefusal> import_entry(const std::optional<cache::Entry>& known,
                                                 const cache::Entry& offered, WallTime now);

}  // namespace mtastsd::control
