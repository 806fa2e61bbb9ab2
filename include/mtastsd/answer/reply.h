#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/dane/state.h"
#include "mtastsd/overrides/override.h"
#include "mtastsd/postfix/profile.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd::answer {

struct Question {
  const DomainName& domain;
  const postfix::Profile& profile;  // of its map
  dane::Target target;              // of its key; used if the profile does DANE
  // The policy was fetched for this very query, or was in force when its DANE survey began: it is
  // applied even if its life ends meanwhile.
  bool fresh = false;
  bool last_chance = false;  // what is not known by now is not waited for
};

// What Postfix is told of a domain from what is known at `now`: `reply` gets it, but for
// Standing::Unknown, where the resolver has to find out. A policy that the profile has enforced is
// Standing::Enforced, and Standing::Dane where DANE decides instead (RFC 8461 section 2).
// `patterns` is room to work in. Allocates nothing but what the reply needs.
//
// A profile that does DANE is not answered from a policy in force before it is known whether DANE
// applies: then the standing is Unknown and the survey First. If it cannot be found out, the policy
// is applied: the mail is authenticated all the same, and does not wait for a broken DNS.
resolver::Verdict reply_from_entry(cache::EntryView& entry, const Question& question, WallTime now,
                                   std::vector<std::string_view>& patterns, std::string& reply);

// What Postfix is told under an override, in exchange for `reply`, and what that makes of what was
// `known` without it: Standing::Overridden, until the override ends at the latest. Nothing is
// waited for. The resolver is told of the query as ever, so that the policy is there when the
// override ends.
//
// A pinned domain is not reported on: the report would be about a policy that it does not publish.
void reply_under(const overrides::Override& override_in_force, const Question& question,
                 resolver::Verdict& known, std::string& reply);

// What a map that only observes is told in exchange for `reply`: NOTFOUND. Where the reply would
// have been another one, `enforced` gets that, and what was `known` becomes Standing::Observed.
// Nothing else is different from a map that enforces.
void only_observe(resolver::Verdict& known, std::string& reply, std::string& enforced);

}  // namespace mtastsd::answer
