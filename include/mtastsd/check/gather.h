#pragma once

#include <functional>
#include <memory>
#include <string>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/check/facts.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/dns/dns_client.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::check {

class TrustStore;

struct GatherOptions {
  Milliseconds timeout{30000};  // for all about one domain
  Milliseconds fetch_timeout{30000};
  bool smtp = false;
  // Only Facts::mail, and of its hosts no more than `smtp` needs.
  bool mail_only = false;
  // The DNS servers were named by who runs this, so that their word on DNSSEC counts; else it
  // does when they are on this host.
  bool resolver_trusted = false;
  std::string ca_file;  // for mail servers
  std::string helo = "localhost";
};

// What gathering needs; outlives it.
struct GatherServices {
  event::Loop& loop;
  const Clock& clock;
  dns::DnsClient& dns;
  discovery::Discovery& discovery;  // for a report, with a fetcher that observes
};

// Finds out all there is about one domain, all at once.
class Gathering {
 public:
  virtual ~Gathering() = default;  // destroying it cancels
};

class Gatherer {
 public:
  Gatherer(GatherServices services, GatherOptions options);
  ~Gatherer();

  // The callback runs once, within the timeout or hardly later, never before this has returned. It
  // may destroy what is returned. The cache is not looked at.
  std::unique_ptr<Gathering> start(const DomainName& domain, std::function<void(Facts)> callback);

 private:
  GatherServices services_;
  GatherOptions options_;
  std::unique_ptr<TrustStore> trusted_;
};

}  // namespace mtastsd::check
