#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fair_slots.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/discovery/host_tries.h"
#include "mtastsd/resolver/decide.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {

// One domain that is being looked up.
struct Resolver::Lookup {
  Lookup(const DomainName& the_domain, Lane the_lane, std::uint64_t the_number, SteadyTime now)
      : domain(the_domain), lane(the_lane), number(the_number), started(now) {}

  const DomainName domain;
  const Lane lane;             // while nobody waits for it
  const std::uint64_t number;  // of all lookups
  const SteadyTime started;
  SteadyTime waited_until{};  // somebody waits for it before this
  Cells waiters;
  Cells waiters_for_refresh;  // want a fetch of their own after this lookup
  bool for_query = false;     // mail goes there now
  Purpose purpose = Purpose::Check;
  Purpose purpose_after = Purpose::Check;  // of the lookup for waiters_for_refresh
  bool decided = false;                    // the record has been looked up, and calls for a fetch

  // What the steps have found.
  std::string id;      // of the record; empty: a refresh found none
  cache::Entry entry;  // what the fetch starts from
  std::optional<discovery::HostTries> tries;
  SteadyTime fetch_started{};  // the first one

  discovery::Handle step;  // the one that is running
};

}  // namespace mtastsd::resolver
