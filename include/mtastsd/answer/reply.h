#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/postfix/profile.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd::answer {

// What Postfix is told of a domain from what is known at `now`, by the profile of its map: `reply`
// gets it, but for Standing::Unknown, where the resolver has to find out. `fresh`: the policy was
// fetched for this very query. A policy that the profile has enforced is Standing::Enforced.
// `patterns` is room to work in. Allocates nothing but what the reply needs.
resolver::Verdict reply_from_entry(cache::EntryView& entry, bool fresh, WallTime now,
                                   const DomainName& domain, const postfix::Profile& profile,
                                   std::vector<std::string_view>& patterns, std::string& reply);

}  // namespace mtastsd::answer
