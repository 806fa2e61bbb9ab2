#pragma once

#include <optional>
#include <string>

#include "mtastsd/discovery/discovery.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {

// One domain that is being looked up.
struct Resolver::Lookup {
  Lookup(const DomainName& the_domain, SteadyTime now) : domain(the_domain), started(now) {}

  const DomainName domain;
  const SteadyTime started;
  Cells waiters;
  Cells waiters_for_refresh;  // want a fetch of their own after this lookup
  bool for_query = false;     // mail goes there now
  bool refresh = false;       // the policy is to be fetched whatever the record says
  bool decided = false;       // the record has been looked up, and calls for a fetch

  // What the steps have found.
  std::string id;      // of the record; empty: a refresh found none
  cache::Entry entry;  // what the fetch starts from
  SteadyTime fetch_started{};
  std::optional<discovery::HostAddresses> addresses;
  bool waited_for_host = false;  // it has the slot of its host, and connects there again

  discovery::Handle step;  // the one that is running
};

}  // namespace mtastsd::resolver
