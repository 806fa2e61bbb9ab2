#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fair_slots.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/dns/dns_client.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/overrides/table.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {

// What the MX records of a domain mean for mail that is held to a policy.
struct MxMatch {
  enum class Kind {
    Matches,  // a host matches a pattern, or no mail goes there in any case
    Differs,  // no host matches: mail is deferred (RFC 8461 section 5)
    Unknown,  // DNS did not say
  };
  Kind kind = Kind::Unknown;
  std::string hosts;  // with Differs: their names, as many as fit into a log line
};

// Pure. A domain without MX records, or with a null MX (RFC 7505), has no host
// that could differ: where it has an address, mail goes to that (RFC 5321
// section 5.1), and where it has none, mail goes nowhere in any case.
MxMatch match_mx(const std::vector<mtasts::MxPattern>& patterns,
                 const dns::Answer<dns::MxRecords>& answer);

// Goes through the cache once a day and holds the MX hosts of each policy of
// mode enforce that is in force and in use against its patterns. So a domain
// whose mail would be deferred is known before there is mail. What was found to
// differ is looked at again each hour. Each step looks up a few domains, so
// that this takes a small and bounded part of what DNS can do for mail. Nothing
// of it is stored: after a start, a round begins at once.
//
// The operator's overrides count: a pin has its own patterns, and the others
// need no look.
//
// Logs MxMismatch and MxMismatchEnded within the budget of the owner.
class MxWatch {
 public:
  MxWatch(const Services& services, Counters& counters, LineBudget& line_budget);

  void set_overrides(overrides::TablePtr overrides) { overrides_ = std::move(overrides); }
  void set_idle_after(Seconds idle_after) { idle_after_ = idle_after; }

  // By name, those behind `after`. At most kMaxMismatches are known, and owners
  // share that.
  std::vector<MxMismatch> mismatches(const std::string& after, std::size_t most) const;
  std::size_t count() const { return mismatches_.size(); }

  void forget(const DomainName& domain) { drop(domain); }

 private:
  struct Known {
    MxMismatch mismatch;
    SteadyTime looked_at{};
  };

  void step();
  void read_more();
  std::size_t look_again(std::size_t room);
  bool look_at(const DomainName& domain);
  const std::vector<mtasts::MxPattern>* patterns_of(const DomainName& domain,
                                                    const cache::Entry& entry) const;
  void on_answer(const DomainName& domain, const dns::Answer<dns::MxRecords>& answer);
  void found(const DomainName& domain, const std::string& id, const std::string& hosts);
  void drop(const DomainName& domain);

  const Services& services_;
  Counters& counters_;
  LineBudget& line_budget_;
  Seconds idle_after_{0};
  overrides::TablePtr overrides_;
  std::map<DomainName, Known> mismatches_;
  FairSlots slots_;  // of mismatches_
  std::map<DomainName, dns::Handle> running_;
  std::deque<DomainName> next_;  // names of the cache that come next
  std::string after_;            // the last name that was read
  bool at_end_ = false;          // there are no more in this round
  SteadyTime round_began_{};
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace mtastsd::resolver
