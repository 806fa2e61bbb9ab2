#include "simulation/world.h"

#include <algorithm>
#include <utility>

namespace mtastsd::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using test::Script;

constexpr Seconds kMostMaxAge{31557600};
constexpr std::size_t kProviders = 8;
constexpr std::size_t kDiscoveryPrefix = 9;   // "_mta-sts."
constexpr std::size_t kPolicyHostPrefix = 8;  // "mta-sts."
constexpr std::string_view kTlsaPrefix = "_25._tcp.";
constexpr std::string_view kMailHost = "mail";  // "mail0.d17.example"

dns::ErrorKind error_kind(DnsFault fault) {
  switch (fault) {
    case DnsFault::Timeout:
      return dns::ErrorKind::Timeout;
    case DnsFault::Refused:
      return dns::ErrorKind::Refused;
    case DnsFault::None:
    case DnsFault::ServFail:
    case DnsFault::Slow:
    case DnsFault::Hidden:
    case DnsFault::WrongId:
      break;
  }
  return dns::ErrorKind::ServFail;
}

bool fails(DnsFault fault) {
  return fault == DnsFault::ServFail || fault == DnsFault::Timeout || fault == DnsFault::Refused;
}

const char* describe(const TxtSeen& seen) {
  switch (seen.kind) {
    case TxtSeen::Kind::Record:
      return "TXT brings id";
    case TxtSeen::Kind::None:
      return "TXT: no record";
    case TxtSeen::Kind::Failed:
      break;
  }
  return "TXT fails";
}

}  // namespace

World::World(test::FakeLoop& loop, Random& random, Random& dane_random, Trace& trace,
             std::size_t domains)
    : dns(loop),
      fetcher(loop),
      loop_(loop),
      random_(random),
      dane_random_(dane_random),
      trace_(trace) {
  domains_.reserve(domains);
  for (std::size_t i = 0; i < domains; ++i) {
    const std::string name = "d" + std::to_string(i) + ".example";
    domains_.push_back({*DomainName::parse(name)});
    numbers_.emplace(name, i);
    domains_.back().id = new_id();
    domains_.back().policy = make_policy(domains_.back(), true);
    if (random_.chance(0.8)) {
      publish(domains_.back());
    }
    if (dane_random_.chance(0.6)) {
      publish_dane(domains_.back());
    }
  }
  dns.on_txt = [this](const std::string& name) {
    return answer_txt(numbers_.at(name.substr(kDiscoveryPrefix)));
  };
  dns.on_address = [this](const std::string& name, bool v6) {
    if (name.starts_with(kMailHost)) {
      return answer_mail_host(name);
    }
    if (v6) {
      return Script<dns::AddressAnswer>{Milliseconds(1),
                                        [] { return dns::NoSuchRecord{Seconds(300)}; }};
    }
    return answer_address(numbers_.at(name.substr(kPolicyHostPrefix)));
  };
  dns.on_mx = [this](const std::string& name) { return answer_mx(numbers_.at(name)); };
  dns.on_tlsa = [this](const std::string& name) {
    return answer_tlsa(name.substr(kTlsaPrefix.size()));
  };
  fetcher.on_fetch = [this](const DomainName& host) {
    return answer_fetch(numbers_.at(host.str().substr(kPolicyHostPrefix)));
  };
}

// --- owners -----------------------------------------------------------------------------------

std::string World::new_id() {
  return "id" + std::to_string(++serial_);
}

PolicyPtr World::make_policy(const Domain& domain, bool valid) {
  auto policy = std::make_shared<Policy>();
  policy->valid = valid;
  const double kind = random_.unit();
  policy->enforce = kind < 0.7;
  policy->none = kind > 0.88;
  const std::string max_age = random_.one_of<const char*>(
      {"0", "1", "10", "60", "300", "3600", "86400", "86400", "172800", "604800", "604800",
       "1296000", "2592000", "31557600", "99999999", "9999999999"});
  policy->max_age = std::min(Seconds(std::stoll(max_age)), kMostMaxAge);
  const std::string mx = "mx" + std::to_string(++serial_) + "." + domain.name.str();
  policy->match = mx;
  std::string patterns = "mx: " + mx + "\n";
  if (random_.chance(0.3)) {
    patterns += "mx: *.w" + mx + "\n";
    policy->match += ":.w" + mx;
  }
  const std::string mode = policy->enforce ? "enforce" : policy->none ? "none" : "testing";
  const std::string end = random_.chance(0.5) ? "\r\n" : "\n";
  policy->body = "version: STSv1" + end + "mode: " + mode + end + patterns + "max_age: " + max_age;
  if (!valid) {
    static const std::vector<std::string> broken = {
        "",
        "<html>not found</html>",
        "version: STSv1\nmode: None\nmax_age: 86400\n",
        "version: STSv1\nmode: enforce\nmax_age: 86400\n",
        "version: STSv1\nmode: enforce\nmx: mail.example.com\n",
        "mode: none\nmax_age: 86400\n",
        "version: STSv2\nmode: none\nmax_age: 86400\n",
    };
    policy->body = broken[random_.below(broken.size())];
  }
  return policy;
}

void World::publish(Domain& domain) {
  domain.policy = make_policy(domain, true);
  domain.site = Site::Serving;
  domain.record = Record::Good;
  domain.id = new_id();
  domain.ttl = Seconds(random_.one_of<int>({1, 30, 60, 300, 300, 3600, 86400}));
}

// As section 8.3 has it, or carelessly.
void World::withdraw(Domain& domain) {
  if (random_.chance(0.5)) {
    Policy none = *make_policy(domain, true);
    none.enforce = false;
    none.none = true;
    none.max_age = Seconds(86400);
    none.body = "version: STSv1\nmode: none\nmax_age: 86400\n";
    domain.policy = std::make_shared<Policy>(std::move(none));
    domain.id = new_id();
    domain.record = Record::Good;
    domain.site = Site::Serving;
    return;
  }
  domain.record = Record::Absent;
  domain.site = random_.one_of({Site::Serving, Site::Down, Site::NoAddress, Site::NotFound});
}

void World::damage(Domain& domain) {
  switch (random_.below(4)) {
    case 0:
      domain.record =
          random_.one_of({Record::Absent, Record::Two, Record::Broken, Record::Foreign});
      break;
    case 1:
      domain.site = random_.one_of(
          {Site::NotFound, Site::WrongType, Site::BadCertificate, Site::Down, Site::NoAddress});
      break;
    case 2:  // a new id for a policy that is none
      domain.policy = make_policy(domain, false);
      domain.id = new_id();
      break;
    default:
      domain.policy = make_policy(domain, false);
      domain.drifted = loop_.steady();
      break;
  }
}

void World::owner_acts(std::size_t number) {
  Domain& domain = domains_[number];
  const double what = random_.unit();
  if (!publishes(number) && domain.policy->valid && what < 0.3) {  // repaired as it was
    domain.record = Record::Good;
    domain.site = Site::Serving;
  } else if (what < 0.3 || (!publishes(number) && what < 0.7)) {
    publish(domain);
  } else if (what < 0.45) {  // the policy changes under the same id
    domain.policy = make_policy(domain, true);
    domain.drifted = loop_.steady();
  } else if (what < 0.55) {  // a new id for the same policy
    domain.id = new_id();
  } else if (what < 0.7) {
    withdraw(domain);
  } else {
    damage(domain);
  }
  trace_.add(number, "owner publishes",
             "record " + std::to_string(static_cast<int>(domain.record)) + " " + domain.id +
                 " site " + std::to_string(static_cast<int>(domain.site)) +
                 (domain.policy->valid ? domain.policy->enforce ? " enforce " : " not enforced "
                                       : " invalid ") +
                 domain.policy->match + " " + std::to_string(domain.policy->max_age.count()));
  changed(domain);
}

// Until the caching resolver has let go of what it knows, the change is not to be seen.
void World::changed(Domain& domain) {
  domain.disturbed_until = std::max({domain.disturbed_until, loop_.steady(), domain.cached_until});
}

// --- faults -----------------------------------------------------------------------------------

Milliseconds World::fault_length() {
  return random_.around(random_.one_of<Milliseconds>(
      {minutes(5), hours(1), hours(8), hours(30), hours(24 * 6), hours(24 * 20)}));
}

void World::dns_breaks(std::size_t number) {
  Domain& domain = domains_[number];
  domain.dns_fault =
      random_.one_of({DnsFault::ServFail, DnsFault::Timeout, DnsFault::Refused, DnsFault::Slow,
                      DnsFault::Hidden, DnsFault::Hidden, DnsFault::WrongId});
  domain.dns_fault_until = loop_.steady() + fault_length();
  domain.disturbed_until = std::max(domain.disturbed_until, domain.dns_fault_until);
  trace_.add(number, "DNS fault", std::to_string(static_cast<int>(domain.dns_fault)));
}

void World::web_breaks(std::size_t number) {
  Domain& domain = domains_[number];
  domain.web_fault = random_.one_of({WebFault::Refused, WebFault::Silent, WebFault::Reset,
                                     WebFault::Certificate, WebFault::Slow, WebFault::Captive});
  domain.web_fault_until = loop_.steady() + fault_length();
  domain.disturbed_until = std::max(domain.disturbed_until, domain.web_fault_until);
  trace_.add(number, "HTTPS fault", std::to_string(static_cast<int>(domain.web_fault)));
}

void World::all_breaks() {
  all_dns_fault_ =
      random_.one_of({DnsFault::None, DnsFault::ServFail, DnsFault::Timeout, DnsFault::Hidden});
  all_web_fault_ = random_.one_of({WebFault::None, WebFault::Refused, WebFault::Silent});
  all_until_ = loop_.steady() +
               random_.around(random_.one_of<Milliseconds>({minutes(5), hours(2), hours(30)}));
  trace_.add(kNoDomain, "all networks break");
}

DnsFault World::dns_fault(const Domain& domain) const {
  if (loop_.steady() < all_until_ && all_dns_fault_ != DnsFault::None) {
    return all_dns_fault_;
  }
  return loop_.steady() < domain.dns_fault_until ? domain.dns_fault : DnsFault::None;
}

WebFault World::web_fault(const Domain& domain) const {
  if (loop_.steady() < all_until_ && all_web_fault_ != WebFault::None) {
    return all_web_fault_;
  }
  return loop_.steady() < domain.web_fault_until ? domain.web_fault : WebFault::None;
}

bool World::publishes(std::size_t number) const {
  const Domain& domain = domains_[number];
  return domain.record == Record::Good && domain.site == Site::Serving && domain.policy->valid;
}

SteadyTime World::settled(std::size_t number) const {
  return std::max(domains_[number].disturbed_until, all_until_);
}

// --- DNS --------------------------------------------------------------------------------------

void World::ask_authority(Domain& domain) {
  domain.cached_seen = {TxtSeen::Kind::None, ""};
  const std::string good = "v=STSv1; id=" + domain.id + ";";
  switch (domain.record) {
    case Record::Absent:
      domain.cached = dns::NoSuchRecord{Seconds(300)};
      domain.cached_until = loop_.steady() + Seconds(300);
      return;
    case Record::Good:
      domain.cached_seen = {TxtSeen::Kind::Record, domain.id};
      domain.cached = dns::TxtRecords{{"v=spf1 -all", good}, domain.ttl};
      break;
    case Record::Two:
      domain.cached = dns::TxtRecords{{good, "v=STSv1; id=other;"}, domain.ttl};
      break;
    case Record::Broken:
      domain.cached = dns::TxtRecords{{"v=STSv1; id=not-an-id;"}, domain.ttl};
      break;
    case Record::Foreign:
      domain.cached = dns::TxtRecords{{"v=STSv11; id=1;", "anything"}, domain.ttl};
      break;
  }
  domain.cached_until = loop_.steady() + domain.ttl;
}

Script<dns::TxtAnswer> World::answer_txt(std::size_t number) {
  on_txt_asked(number);
  Domain& domain = domains_[number];
  const DnsFault fault = dns_fault(domain);
  TxtSeen seen;
  dns::TxtAnswer answer = failure(dns::Error{error_kind(fault), "simulated"});
  if (fault == DnsFault::Hidden) {
    seen.kind = TxtSeen::Kind::None;
    answer = dns::NoSuchRecord{Seconds(random_.one_of<int>({0, 60, 900, 86400}))};
  } else if (fault == DnsFault::WrongId) {
    seen = {TxtSeen::Kind::Record, new_id()};
    answer = dns::TxtRecords{{"v=STSv1; id=" + seen.id}, Seconds(60)};
  } else if (!fails(fault)) {
    if (loop_.steady() >= domain.cached_until) {
      ask_authority(domain);
    }
    seen = domain.cached_seen;
    answer = domain.cached;
    const auto left = std::chrono::floor<Seconds>(domain.cached_until - loop_.steady());
    if (auto* records = std::get_if<dns::TxtRecords>(&*answer)) {
      records->ttl = left;
    }
  }
  Milliseconds after(static_cast<int>(1 + random_.below(80)));
  if (fault == DnsFault::Timeout) {
    after = Seconds(5);
  } else if (fault == DnsFault::Slow) {
    after = Milliseconds(static_cast<int>(random_.below(5000)));
  }
  return {after, [this, number, seen = std::move(seen), answer = std::move(answer)] {
            trace_.add(number, describe(seen), seen.id);
            on_txt(number, seen);
            return answer;
          }};
}

Script<dns::AddressAnswer> World::answer_address(std::size_t number) {
  on_fetch_begun(number);
  const Domain& domain = domains_[number];
  const DnsFault fault = dns_fault(domain);
  // Many at one provider, as it is.
  const std::string host = "192.0.2." + std::to_string(1 + number % kProviders);
  dns::AddressAnswer answer = dns::Addresses{{*IpAddress::parse(host)}, Seconds(60)};
  bool good = true;
  if (fails(fault)) {
    answer = failure(dns::Error{error_kind(fault), "simulated"});
    good = false;
  } else if (domain.site == Site::NoAddress) {
    answer = dns::NoSuchRecord{Seconds(300)};
    good = false;
  }
  return {Milliseconds(static_cast<int>(1 + random_.below(80))),
          [this, number, good, answer = std::move(answer)] {
            if (!good) {
              trace_.add(number, "policy host has no address");
              on_fetch(number, nullptr);
            }
            return answer;
          }};
}

// --- DANE -------------------------------------------------------------------------------------

void World::publish_dane(Domain& domain) {
  domain.mx_zone = MxZone::Signed;
  domain.mail_hosts = 1 + dane_random_.below(kMailHosts);
  for (Tlsa& tlsa : domain.tlsa) {
    tlsa = dane_random_.one_of({Tlsa::Usable, Tlsa::Usable, Tlsa::Usable, Tlsa::None});
  }
  domain.dane_ttl = Seconds(dane_random_.one_of<int>({1, 30, 60, 300, 300, 3600, 86400}));
}

void World::dane_owner_acts(std::size_t number) {
  Domain& domain = domains_[number];
  const double what = dane_random_.unit();
  if (what < 0.4) {
    publish_dane(domain);
  } else if (what < 0.6) {  // withdrawn
    domain.tlsa.fill(Tlsa::None);
  } else if (what < 0.75) {
    domain.tlsa[dane_random_.below(kMailHosts)] = Tlsa::Unusable;
  } else {
    domain.mx_zone = dane_random_.one_of({MxZone::Unsigned, MxZone::Unsigned, MxZone::Null});
  }
  trace_.add(number, "owner's DANE", dane_applies(number) ? "applies" : "does not apply");
  domain.dane_disturbed_until = std::max(domain.dane_disturbed_until, loop_.steady());
}

// A bogus signature, or a server that is silent.
void World::dane_breaks(std::size_t number) {
  Domain& domain = domains_[number];
  domain.dane_fault = dane_random_.one_of({DaneFault::ServFail, DaneFault::Timeout});
  domain.faulty_host = dane_random_.below(kMailHosts + 1);
  domain.dane_fault_until =
      loop_.steady() + dane_random_.around(dane_random_.one_of<Milliseconds>(
                           {minutes(5), hours(1), hours(30), hours(24 * 6), hours(24 * 20)}));
  domain.dane_disturbed_until = std::max(domain.dane_disturbed_until, domain.dane_fault_until);
  trace_.add(number, "DANE fault", std::to_string(domain.faulty_host));
}

bool World::dane_applies(std::size_t number) const {
  const Domain& domain = domains_[number];
  const auto end = domain.tlsa.begin() + static_cast<std::ptrdiff_t>(domain.mail_hosts);
  return domain.mx_zone == MxZone::Signed &&
         std::find(domain.tlsa.begin(), end, Tlsa::Usable) != end;
}

SteadyTime World::dane_settled(std::size_t number) const {
  return std::max(settled(number), domains_[number].dane_disturbed_until);
}

// "mail0.d17.example" is host 0 of domain 17.
std::pair<std::size_t, std::size_t> World::mail_host(const std::string& name) const {
  return {numbers_.at(name.substr(kMailHost.size() + 2)),
          static_cast<std::size_t>(name[kMailHost.size()] - '0')};
}

template <typename T>
std::optional<Script<dns::Answer<T>>> World::dane_failure(const Domain& domain, std::size_t of,
                                                          std::function<void()> told) {
  const DnsFault fault = dns_fault(domain);
  const bool breaks = loop_.steady() < domain.dane_fault_until && domain.faulty_host == of;
  if (!fails(fault) && !breaks) {
    return std::nullopt;
  }
  const bool silent =
      fault == DnsFault::Timeout || (!fails(fault) && domain.dane_fault == DaneFault::Timeout);
  const auto kind = silent ? dns::ErrorKind::Timeout : dns::ErrorKind::ServFail;
  return Script<dns::Answer<T>>{silent ? Milliseconds(5000) : Milliseconds(20),
                                [told = std::move(told), kind] {
                                  told();
                                  return dns::Answer<T>(failure(dns::Error{kind, "simulated"}));
                                }};
}

Script<dns::Answer<dns::MxRecords>> World::answer_mx(std::size_t number) {
  on_mx_asked(number);
  const Domain& domain = domains_[number];
  if (auto failed = dane_failure<dns::MxRecords>(
          domain, kMailHosts, [this, number] { on_mx(number, DaneSeen::Failed, 0); })) {
    return std::move(*failed);
  }
  dns::MxRecords mx;
  mx.ttl = domain.dane_ttl;
  for (std::size_t host = 0; host < domain.mail_hosts; ++host) {
    mx.records.push_back({10, "mail" + std::to_string(host) + "." + domain.name.str()});
  }
  if (domain.mx_zone == MxZone::Null) {
    mx.records = {{0, "."}};
  }
  const bool good = domain.mx_zone == MxZone::Signed;
  dns::Answer<dns::MxRecords> answer(std::move(mx));
  answer.provenance.security =
      domain.mx_zone == MxZone::Unsigned ? dns::Security::Insecure : dns::Security::Secure;
  return {Milliseconds(static_cast<int>(1 + dane_random_.below(80))),
          [this, number, good, hosts = domain.mail_hosts, answer = std::move(answer)] {
            on_mx(number, good ? DaneSeen::Yes : DaneSeen::No, hosts);
            return answer;
          }};
}

Script<dns::AddressAnswer> World::answer_mail_host(const std::string& name) {
  const auto [number, host] = mail_host(name);
  on_host_asked(number);
  dns::AddressAnswer answer(
      dns::Addresses{{*IpAddress::parse("192.0.2.1")}, domains_[number].dane_ttl});
  answer.provenance.security = dns::Security::Secure;
  return {Milliseconds(1), [answer = std::move(answer)] { return answer; }};
}

Script<dns::Answer<dns::TlsaRecords>> World::answer_tlsa(const std::string& name) {
  const auto [number, host] = mail_host(name);
  const Domain& domain = domains_[number];
  const auto tell = [this, number = number, host = host](DaneSeen seen) {
    on_host(number, host, seen);
  };
  if (auto failed =
          dane_failure<dns::TlsaRecords>(domain, host, [tell] { tell(DaneSeen::Failed); })) {
    return std::move(*failed);
  }
  dns::Answer<dns::TlsaRecords> answer(dns::NoSuchRecord{domain.dane_ttl});
  if (domain.tlsa[host] != Tlsa::None) {
    const std::uint8_t matching = domain.tlsa[host] == Tlsa::Usable ? 1 : 9;
    answer = dns::TlsaRecords{{{3, 1, matching, std::string(32, 'x')}}, domain.dane_ttl};
  }
  answer.provenance.security = dns::Security::Secure;
  const DaneSeen seen = domain.tlsa[host] == Tlsa::Usable ? DaneSeen::Yes : DaneSeen::No;
  return {Milliseconds(static_cast<int>(1 + dane_random_.below(80))),
          [tell, seen, answer = std::move(answer)] {
            tell(seen);
            return answer;
          }};
}

// --- HTTPS ------------------------------------------------------------------------------------

Script<https::FetchResult> World::answer_fetch(std::size_t number) {
  const Domain& domain = domains_[number];
  const WebFault fault = web_fault(domain);
  Milliseconds after(static_cast<int>(20 + random_.below(400)));
  if (fault == WebFault::Slow) {
    after = Milliseconds(static_cast<int>(5000 + random_.below(45000)));
  } else if (fault == WebFault::Silent) {
    after = Milliseconds(58000);
  }
  return {after, [this, number, fault] { return respond(number, fault); }};
}

https::FetchResult World::respond(std::size_t number, WebFault fault) {
  const Domain& domain = domains_[number];
  using Kind = https::ErrorKind;
  const auto failed = [&](Kind kind) {
    trace_.add(number, "fetch fails");
    on_fetch(number, nullptr);
    return https::FetchResult(failure(https::Error{kind, "simulated"}));
  };
  switch (fault) {
    case WebFault::Refused:
      return failed(Kind::Connect);
    case WebFault::Silent:
      return failed(Kind::Timeout);
    case WebFault::Reset:
      return failed(Kind::Protocol);
    case WebFault::Certificate:
      return failed(Kind::Certificate);
    case WebFault::Captive:
      return failed(Kind::MediaType);
    case WebFault::None:
    case WebFault::Slow:
      break;
  }
  switch (domain.site) {
    case Site::NotFound:
      return failed(Kind::Status);
    case Site::WrongType:
      return failed(Kind::MediaType);
    case Site::BadCertificate:
      return failed(Kind::Certificate);
    case Site::Down:
    case Site::NoAddress:
      return failed(Kind::Connect);
    case Site::Serving:
      break;
  }
  const PolicyPtr policy = domain.policy;
  trace_.add(number, policy->valid ? "fetch brings" : "fetch brings an invalid policy",
             policy->match);
  on_fetch(number, policy->valid ? policy : nullptr);
  return https::PolicyBody{policy->body};
}

}  // namespace mtastsd::simulation
