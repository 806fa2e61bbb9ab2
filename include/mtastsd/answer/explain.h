#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/answer/answerer.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/dane/state.h"
#include "mtastsd/overrides/table.h"
#include "mtastsd/postfix/profile.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd::answer {

// What Postfix is told for a key of a map, and what that comes from. Made by the functions that
// answer Postfix, and pure: nothing is counted, noted or looked up.
struct Explanation {
  std::string key;
  std::string map;
  bool map_known = true;  // false: it is not configured, and answered as kDefaultMap
  postfix::Profile profile;
  std::optional<DomainName> domain;  // none: the key names no domain that can have a policy
  cache::EntryPtr entry;             // what is cached about the domain, or null
  resolver::Standing standing = resolver::Standing::Unknown;
  dane::Target target;                            // of the key; it matters if the profile does DANE
  dane::Survey survey = dane::Survey::NotNeeded;  // First: nothing current is known of DANE
  std::string reply;                              // empty while the standing is unknown
  std::string enforced;  // of a map that only observes: what it would be told else, if it differs
  std::optional<overrides::Override> override_in_force;  // what the reply comes from instead
  bool looked_up = false;  // the entry was looked up for this explanation
};

// Explains a map and a key. If the key has no policy domain, the reply is already set; under an
// override it is set too, and explain_entry() adds only what is known.
Explanation explain_key(const Profiles& profiles, const overrides::Table* overrides,
                        std::string_view map, std::string_view key, WallTime now);

// Adds what the entry, which is not null, says at `now`. `fresh`: it was fetched for this very
// question. `last_chance`: DANE is not looked up any more (answer/reply.h).
void explain_entry(Explanation& explanation, cache::EntryPtr entry, bool fresh, bool last_chance,
                   WallTime now);

}  // namespace mtastsd::answer
