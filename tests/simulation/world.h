#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
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

// What a question about DANE brought.
enum class DaneSeen { Failed, No, Yes };

// How a domain's mail is protected by DANE: by the signatures of its MX records, and by the TLSA
// records of each of its hosts.
enum class MxZone { Signed, Unsigned, Null };
enum class Tlsa { None, Unusable, Usable };
enum class DaneFault { None, ServFail, Timeout };
inline constexpr std::size_t kMailHosts = 2;

enum class Record { Absent, Good, Two, Broken, Foreign };
enum class Site { Serving, NotFound, WrongType, BadCertificate, Down, NoAddress };
enum class DnsFault { None, ServFail, Timeout, Refused, Slow, Hidden, WrongId };
enum class WebFault { None, Refused, Silent, Reset, Certificate, Slow, Captive };

// The owners of some hundred domains, the DNS and HTTPS servers that they publish by, and what
// stands between those and the sender: a caching resolver, and faults.
class World {
 public:
  // DANE has random numbers of its own, so that worlds stay comparable.
  World(test::FakeLoop& loop, Random& random, Random& dane_random, Trace& trace,
        std::size_t domains);

  std::size_t size() const { return domains_.size(); }
  const DomainName& name(std::size_t domain) const { return domains_[domain].name; }

  // One thing that its owner does, or that befalls its servers or its network.
  void owner_acts(std::size_t domain);
  void dns_breaks(std::size_t domain);
  void web_breaks(std::size_t domain);
  void all_breaks();
  void dane_owner_acts(std::size_t domain);
  void dane_breaks(std::size_t domain);

  // Whether a sender that can look finds one record and a valid policy.
  bool publishes(std::size_t domain) const;
  const Policy& policy(std::size_t domain) const { return *domains_[domain].policy; }
  const std::string& id(std::size_t domain) const { return domains_[domain].id; }
  // Since when a sender can see what the owner publishes; in the future while it cannot.
  SteadyTime settled(std::size_t domain) const;
  // When the policy last changed without its id.
  SteadyTime drifted(std::size_t domain) const { return domains_[domain].drifted; }

  // Whether DANE decides for the domain, and since when a sender can see that.
  bool dane_applies(std::size_t domain) const;
  SteadyTime dane_settled(std::size_t domain) const;

  // Told as it arrives at the sender.
  std::function<void(std::size_t domain)> on_txt_asked;
  std::function<void(std::size_t domain, const TxtSeen&)> on_txt;
  std::function<void(std::size_t domain)> on_fetch_begun;
  std::function<void(std::size_t domain, const PolicyPtr&)> on_fetch;  // null: it failed

  // DANE: the MX records are signed, and a host has a usable TLSA record.
  std::function<void(std::size_t domain)> on_mx_asked;
  std::function<void(std::size_t domain, DaneSeen, std::size_t hosts)> on_mx;
  std::function<void(std::size_t domain)> on_host_asked;
  std::function<void(std::size_t domain, std::size_t host, DaneSeen)> on_host;

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

    MxZone mx_zone = MxZone::Unsigned;
    std::size_t mail_hosts = 1;
    std::array<Tlsa, kMailHosts> tlsa{};
    Seconds dane_ttl{300};
    DaneFault dane_fault = DaneFault::None;  // of one host's TLSA records, or of the MX records
    std::size_t faulty_host = 0;             // kMailHosts: the MX records
    SteadyTime dane_fault_until{};
    SteadyTime dane_disturbed_until{};
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
  void publish_dane(Domain& domain);
  std::pair<std::size_t, std::size_t> mail_host(const std::string& name) const;
  template <typename T>
  std::optional<test::Script<dns::Answer<T>>> dane_failure(const Domain& domain, std::size_t of,
                                                           std::function<void()> told);
  test::Script<dns::Answer<dns::MxRecords>> answer_mx(std::size_t number);
  test::Script<dns::AddressAnswer> answer_mail_host(const std::string& name);
  test::Script<dns::Answer<dns::TlsaRecords>> answer_tlsa(const std::string& name);
  void ask_authority(Domain& domain);
  test::Script<dns::TxtAnswer> answer_txt(std::size_t number);
  test::Script<dns::AddressAnswer> answer_address(std::size_t number);
  test::Script<https::FetchResult> answer_fetch(std::size_t number);
  https::FetchResult respond(std::size_t number, WebFault fault);

  test::FakeLoop& loop_;
  Random& random_;
  Random& dane_random_;
  Trace& trace_;
  std::vector<Domain> domains_;
  std::unordered_map<std::string, std::size_t> numbers_;
  DnsFault all_dns_fault_ = DnsFault::None;
  WebFault all_web_fault_ = WebFault::None;
  SteadyTime all_until_{};
  std::uint64_t serial_ = 0;
};

}  // namespace mtastsd::simulation
