#pragma once

#include <utility>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {

// What a full cache gives up first. A "no policy" result costs a DNS query to find again; an
// enforced policy that is lost while its domain is under attack is lost protection.
enum class Worth {
  NoPolicy,
  Expired,
  NotEnforced,  // mode testing or none
  Enforced,
};

// What a record is worth: among those of one kind, the longest unused is worth the least ("no
// policy" results: the one that ends first).
using Value = std::pair<Worth, WallTime>;
Value value_of(const EntryFacts& facts, WallTime now);

}  // namespace mtastsd::cache
