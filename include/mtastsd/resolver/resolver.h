#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/resolver/counters.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd {
class Log;
namespace cache {
class Store;
}
namespace dns {
class DnsClient;
}
namespace event {
class Timers;
}
namespace https {
class PolicyFetcher;
}
}  // namespace mtastsd

namespace mtastsd::resolver {

// What a query that had to wait is answered from.
struct Answer {
  cache::EntryPtr entry;
  bool fresh = false;  // fetched for this very query: it counts even with a max_age of 0
  // What came of the look-up, if there was one; an operator may have waited for it.
  Change change = Change::None;
  bool failed = false;  // DNS or the policy host did not give what was asked for
  std::string detail;   // why there is no newer policy; empty: the known one is current
};

// Gets the answer, or null when the domain could not be taken on (overload). Called once, on the
// resolver's thread, possibly before ask() returns.
using Waiter = std::function<void(std::shared_ptr<const Answer>)>;

struct Options {
  Limits limits;
  Milliseconds fetch_timeout{60000};  // addresses of the policy host included
  bool allow_local_addresses = false;
  std::size_t max_discovering = 256;       // domains whose TXT record is being asked at once
  std::size_t max_fetching = 256;          // policies being fetched at once
  std::size_t max_fetching_per_host = 64;  // of these, from one address
  std::size_t max_domains = 20000;         // domains at work or waiting for it, in all
};

// Everything it needs from outside, owned by the caller and outliving it.
struct Services {
  const Clock& clock;
  event::Timers& timers;
  dns::DnsClient& dns;
  https::PolicyFetcher& fetcher;
  cache::Store& store;
  Log& log;
  std::function<double()> jitter;  // in [0, 1)
  std::function<bool()> has_ipv6;  // whether AAAA records of policy hosts are of use
};

// Finds out: one resolution for a domain at a time, however many ask, and keeps policies
// fresh. All on one thread, that of its timers and clients; bounded in everything. It asks
// DNS and HTTPS only for domains that somebody asked for.
//
// A domain in use whose policy is cached has its TXT record checked once more when that falls
// due, whether or not a query comes: the mail that was deferred because its owner is changing
// the policy finds the new one at its first retry (RFC 8461 section 5.1).
class Resolver {
 public:
  Resolver(Services services, Options options);
  ~Resolver();  // waiters of running resolutions are dropped
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // A query came for this domain. Without a waiter: it was answered already, but a check or a
  // note of its use has come due.
  void ask(const DomainName& domain, Waiter waiter);

  // Fetches the domain's policy again whatever its TXT record says (RFC 8461 section 10.2).
  void refresh(const DomainName& domain);
  // The same for an operator who waits for what comes of it.
  void refresh(const DomainName& domain, Waiter waiter);

  // Drops what is known of a domain, and `done` gets it, once nothing is at work that would store
  // it again.
  void forget(const DomainName& domain, std::function<void(cache::EntryPtr)> done);

  // Runs `then` at once, or when the look-up of the domain that is at work has ended.
  void when_idle(const DomainName& domain, std::function<void()> then);

  // Policies whose last refresh failed, as far as this run of the daemon has seen: the back-off of
  // a failing one ends within an hour, so that a restart knows them all by then.
  struct Failing {
    std::size_t count = 0;  // at most kMaxFailing
    std::vector<DomainName> first;
  };
  static constexpr std::size_t kMaxFailing = 10000;
  Failing failing(std::size_t most) const;

  // Looks for policies that have come due (refresh, expiry) now, instead of at the next pass.
  void run_due();

  void set_options(const Options& options);
  const Counters& counters() const;
  std::size_t domains_at_work() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtastsd::resolver
