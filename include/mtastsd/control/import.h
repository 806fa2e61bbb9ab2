#pragma once

#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::control {

// What becomes of a policy from another cache.
enum class ImportResult {
  Imported,
  Newer,    // the cache has one that was fetched at the same time or later
  Expired,  // its max_age is over
  Invalid,  // it is not a policy, or one from the future
};

struct ImportRefusal {
  ImportResult why = ImportResult::Invalid;
  std::string sentence;  // the end of one about the record: "has expired"
};

// What to store for the domain, of which `known` is known so far, or why not. Pure. Only a policy
// counts as newer: that no record was found says nothing against a policy that is still alive (RFC
// 8461 section 3.3). The new entry has its TXT record checked by the next query, and is refreshed
// when it would have been.
Result<cache::Entry, ImportRefusal> import_entry(const cache::EntryPtr& known,
                                                 const cache::Entry& offered, WallTime now);

}  // namespace mtastsd::control
