#pragma once

#include <string>

#include "mtastsd/cache/entry.h"

namespace bench {

// What the resolver would have stored at `now` for such a domain: a policy in mode enforce with a
// wildcard and `hosts` hosts below the domain.
mtastsd::cache::Entry sample_policy(const std::string& domain, unsigned hosts,
                                    mtastsd::WallTime now);
// The same for a domain that has none.
mtastsd::cache::Entry sample_negative(mtastsd::WallTime now);

}  // namespace bench
