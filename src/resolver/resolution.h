#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host_places.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/dns/dns_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/https/policy_fetcher.h"
#include "mtastsd/resolver/decide.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {

// How a resolution ended, for who waits, the store and the log.
struct Outcome {
  cache::Entry entry;
  bool fetched = false;  // a good policy came in now
  Change change = Change::None;
  bool weaker = false;
  bool alarm = false;
  bool fetch_failed = false;
  bool dns_failed = false;
  bool broken_record = false;  // a TXT record was meant to be one, and is not
  std::string detail;          // why there is no usable record or policy, for people
};

class Resolution;

// What a resolution needs of its owner.
class ResolutionOwner {
 public:
  virtual ~ResolutionOwner() = default;
  // The TXT record wants a fetch: the owner calls begin_fetch(), at once or when one of the
  // bounded places is free.
  virtual void wants_fetch(Resolution& resolution) = 0;
  // It wants to connect to its host(). One that has to wait loses its place among the fetches;
  // the owner calls begin_fetch() again when its turn has come.
  virtual HostPlaces::Claim claim_host(Resolution& resolution) = 0;
  // Destroys the resolution.
  virtual void finished(Resolution& resolution, Outcome outcome) = 0;
};

// Finds out about one domain, once: TXT record, addresses of the policy host, policy. What each
// step means is decide's business.
class Resolution {
 public:
  enum class Phase { Queued, Discovering, WaitingToFetch, Fetching, WaitingForHost };
  enum class Line { None, Background, Urgent };

  Resolution(const DomainName& domain, Services& services, const Options& options,
             ResolutionOwner& owner, Counters& counters);

  void begin();
  void begin_fetch();
  void wait_for_host() { phase_ = Phase::WaitingForHost; }
  void host_claimed() { phase_ = Phase::WaitingToFetch; }

  const DomainName& domain() const { return domain_; }
  Phase phase() const { return phase_; }
  SteadyTime started() const { return started_; }
  // Where its policy host is, once that is known and unless it was refused a place there.
  const std::optional<IpAddress>& host() const { return host_; }

  std::vector<Waiter> waiters;
  Line line = Line::None;  // where it was put while queued
  bool refresh = false;    // fetch whatever the record says
  bool for_query = false;  // somebody sends mail there now

 private:
  void on_txt(dns::TxtAnswer answer);
  void on_addresses(bool v6, dns::AddressAnswer answer);
  void addresses_complete();
  void connect();
  void on_fetched(https::FetchResult result);
  void fail_fetch(cache::FailureType type, std::string detail);
  void finish_fetch(const Result<Fetched, FetchFailure>& outcome);
  std::vector<IpAddress> vetted(std::string& refused) const;

  const DomainName domain_;
  Services& services_;
  const Options& options_;
  ResolutionOwner& owner_;
  Counters& counters_;

  Phase phase_ = Phase::Queued;
  SteadyTime started_{};
  SteadyTime fetch_started_{};
  std::string id_;  // of the TXT record found
  std::string detail_;
  bool dns_failed_ = false;
  bool broken_record_ = false;
  cache::Entry entry_;  // what the fetch starts from

  std::vector<IpAddress> v4_;
  std::vector<IpAddress> v6_;
  std::string address_error_;
  std::vector<IpAddress> addresses_;  // vetted
  std::optional<IpAddress> host_;
  std::unique_ptr<event::Timer> grace_;
  dns::Handle txt_;
  dns::Handle a_;
  dns::Handle aaaa_;
  https::Handle fetch_;
};

}  // namespace mtastsd::resolver
