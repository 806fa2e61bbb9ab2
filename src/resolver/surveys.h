#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "fair_slots.h"
#include "mtastsd/dane/finder.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {

// Keeps what is known of DANE: one survey at a time for a target of a domain, however many ask. It
// is surveyed for those only who ask for it, and only under a policy that is in force, so it costs
// no other domain a DNS query. Owners share the slots; who gets none is told what is known.
class Surveys {
 public:
  Surveys(const Services& services, Counters& counters, LineBudget& line_budget);

  // As Resolver::survey(). Without a waiter nobody waits.
  NowOrLater<Answer> survey(const DomainName& domain, const dane::Target& target, Waiter waiter);

 private:
  using Key = std::tuple<DomainName, bool, std::uint16_t>;
  struct Running {
    dane::Handle step;
    std::vector<std::shared_ptr<Waiter>> waiters;
    SteadyTime started;
  };

  void on_found(const DomainName& domain, const dane::Target& target, const dane::Found& found);
  void log(const DomainName& domain, const dane::State* before, const dane::State& state,
           const dane::Found& found, Milliseconds took);
  void warn_without_dnssec(const dane::Found& found);

  const Services& services_;
  Counters& counters_;
  LineBudget& line_budget_;
  FairSlots slots_;
  std::map<Key, Running> running_;
  std::set<std::string> warned_servers_;
};

}  // namespace mtastsd::resolver
