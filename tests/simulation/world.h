#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fakes/fake_loop.h"
#include "fakes/scripted_net.h"
#include "simulation/random.h"
#include "simulation/trace.h"

namespace mtastsd::simulation {

// A policy as its owner meant it. What the body says is known here because it was written from
// this, not because it was parsed.
struct Policy {
  bool valid = false;
  bool enforce = false;
  bool none = false;
  Seconds max_age{0};
  std::string match;  // as match= is to have it
  std::string body;
};
using PolicyPtr = std::shared_ptr<const Policy>;

// What a TXT lookup brought.
struct TxtSeen {
  enum class Kind { Record, None, Failed } kind = Kind::Failed;
  std::string id;
};

enum class Record { Absent, Good, Two, Broken, Foreign };
enum class Site { Serving, NotFound, WrongType, BadCertificate, Down, NoAddress };
enum class DnsFault { None, ServFail, Timeout, Refused, Slow, Hidden, WrongId };
enum class WebFault { None, Refused, Silent, Reset, Certificate, Slow, Captive };

// The owners of some hundred domains, the DNS and HTTPS servers that they publish by, and what
// stands between those and the sender: a caching resolver, and faults.
class World {
 public:
  World(test::FakeLoop& loop, Random& random, Trace& trace, std::size_t domains);

  std::size_t size() const { return domains_.size(); }
  const DomainName& name(std::size_t domain) const { return domains_[domain].name; }

  // One thing that its owner does, or that befalls its servers or its network.
  void owner_acts(std::size_t domain);
  void dns_breaks(std::size_t domain);
  void web_breaks(std::size_t domain);
  void all_breaks();

  // Whether a sender that can look finds one record and a valid policy.
  bool publishes(std::size_t domain) const;
  const Policy& policy(std::size_t domain) const { return *domains_[domain].policy; }
  const std::string& id(std::size_t domain) const { return domains_[domain].id; }
  // Since when a sender can see what the owner publishes; in the future while it cannot.
  SteadyTime settled(std::size_t domain) const;
  // When the policy last changed without its id.
  SteadyTime drifted(std::size_t domain) const { return domains_[domain].drifted; }

  // Told as it arrives at the sender.
  std::function<void(std::size_t domain)> on_txt_asked;
  std::function<void(std::size_t domain, const TxtSeen&)> on_txt;
  std::function<void(std::size_t domain)> on_fetch_begun;
  std::function<void(std::size_t domain, const PolicyPtr&)> on_fetch;  // null: it failed

  test::ScriptedDns dns;
  test::ScriptedFetcher fetcher;

 private:
  struct Domain {
    DomainName name;
    Record record = Record::Absent;
    std::string id;
    Seconds ttl{300};
    Site site = Site::Down;
    PolicyPtr policy;

    // What the caching resolver says until then.
    dns::TxtAnswer cached = dns::NoSuchRecord{};
    TxtSeen cached_seen;
    SteadyTime cached_until{};

    DnsFault dns_fault = DnsFault::None;
    SteadyTime dns_fault_until{};
    WebFault web_fault = WebFault::None;
    SteadyTime web_fault_until{};
    SteadyTime disturbed_until{};
    SteadyTime drifted{};
  };

  void publish(Domain& domain);
  void withdraw(Domain& domain);
  void damage(Domain& domain);
  void changed(Domain& domain);
  PolicyPtr make_policy(const Domain& domain, bool valid);
  std::string new_id();
  Milliseconds fault_length();

  DnsFault dns_fault(const Domain& domain) const;
  WebFault web_fault(const Domain& domain) const;
  void ask_authority(Domain& domain);
  test::Script<dns::TxtAnswer> answer_txt(std::size_t number);
  test::Script<dns::AddressAnswer> answer_address(std::size_t number);
  test::Script<https::FetchResult> answer_fetch(std::size_t number);
  https::FetchResult respond(std::size_t number, WebFault fault);

  test::FakeLoop& loop_;
  Random& random_;
  Trace& trace_;
  std::vector<Domain> domains_;
  std::unordered_map<std::string, std::size_t> numbers_;
  DnsFault all_dns_fault_ = DnsFault::None;
  WebFault all_web_fault_ = WebFault::None;
  SteadyTime all_until_{};
  std::uint64_t serial_ = 0;
};

}  // namespace mtastsd::simulation
