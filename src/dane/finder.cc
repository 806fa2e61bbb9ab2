// A Look asks for the MX records and then waits for its hosts, each of which has one HostLook,
// whoever asks. A HostLook only notes what it has found in the Looks that wait for it; each of them
// calls back from a timer of its own. So no callback runs while a list of Looks is gone through.

#include "mtastsd/dane/finder.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <variant>
#include <vector>

#include "mtastsd/dane/usable.h"

namespace mtastsd::dane {
namespace {

using dns::Security;

// Hosts that are remembered: far more than there are large providers.
constexpr std::size_t kMaxKnownHosts = 10000;
constexpr Seconds kFailureLife{30};

// Why an answer says nothing about DNSSEC, or empty.
std::string trouble_with(const dns::Provenance& provenance) {
  switch (provenance.security) {
    case Security::Insecure:
    case Security::Secure:
      break;
    case Security::Unknown:
      return "it is not known yet whether the DNS server " + provenance.server + " validates";
    case Security::Untrusted:
      return "the DNS server " + provenance.server +
             " is not on this host, and [dns] trust_ad is not set";
    case Security::NotValidating:
      return "the DNS server " + provenance.server + " does not validate";
  }
  return {};
}

template <typename T>
Seconds ttl_of(const std::variant<T, dns::NoSuchRecord>& answer) {
  const auto* none = std::get_if<dns::NoSuchRecord>(&answer);
  return none != nullptr ? none->negative_ttl : std::get<T>(answer).ttl;
}

// The names of the hosts that mail goes to, by preference, each once. What is no host name is left
// out: there can be no certificate for it.
std::vector<DomainName> hosts_of(const dns::MxRecords& mx) {
  auto records = mx.records;
  std::stable_sort(records.begin(), records.end(), [](const dns::Mx& a, const dns::Mx& b) {
    return std::tie(a.preference, a.host) < std::tie(b.preference, b.host);
  });
  std::vector<DomainName> hosts;
  for (const dns::Mx& record : records) {
    const auto name = DomainName::parse(record.host);
    if (name && std::find(hosts.begin(), hosts.end(), *name) == hosts.end()) {
      hosts.push_back(*name);
    }
  }
  return hosts;
}

bool is_null(const dns::MxRecords& mx) {
  return mx.records.size() == 1 && mx.records.front().host == ".";
}

}  // namespace

// --- one host ---------------------------------------------------------------------------------

class Finder::HostLook {
 public:
  HostLook(const Clock& clock, dns::DnsClient& dns, const DomainName& name, std::uint16_t port)
      : clock_(clock), dns_(dns), name_(name), port_(port) {
    found_.name = name.str();
    ask_for_address();
  }

  // Null while it is being found out.
  const FoundHost* found() const { return query_ ? nullptr : &found_; }
  const std::string& without_dnssec_at() const { return without_dnssec_at_; }
  // Nobody waits for it, and nothing comes any more.
  bool is_idle() const { return !query_ && waiting_.empty(); }
  bool is_current() const { return !is_idle() || clock_.steady() < until_; }
  // The TTL that is left.
  Seconds life() const {
    return std::max(Seconds(0), std::chrono::ceil<Seconds>(until_ - clock_.steady()));
  }

  void wait(Look& look) { waiting_.insert(&look); }
  void leave(Look& look) { waiting_.erase(&look); }

 private:
  void ask_for_address();
  void on_address(const dns::AddressAnswer& answer);
  void ask_for_tlsa();
  void on_tlsa(const dns::Answer<dns::TlsaRecords>& answer);
  void fail(std::string detail);
  void end(HostStatus status, std::string detail = {});

  // True if the answer says something; else the look has ended.
  template <typename T>
  bool take(const dns::Answer<T>& answer, const std::string& what);

  const Clock& clock_;
  dns::DnsClient& dns_;
  const DomainName name_;
  const std::uint16_t port_;
  std::vector<std::string> bases_;  // names below which TLSA records may be; the next one last
  FoundHost found_;
  std::string without_dnssec_at_;
  Seconds ttl_{kMaxLife};
  SteadyTime until_{};
  dns::Handle query_;
  std::set<Look*> waiting_;
};

// --- one survey -------------------------------------------------------------------------------

class Finder::Look final : public Step {
 public:
  Look(Finder& finder, const DomainName& domain, const Target& target,
       std::function<void(Found)> callback)
      : finder_(finder),
        target_(target),
        callback_(std::move(callback)),
        done_(finder.timers_.make_timer([this] { deliver(); })) {
    if (target.by_mx) {
      query_ = finder.dns_.mx(domain.str(), [this, domain](dns::Answer<dns::MxRecords> answer) {
        on_mx(domain, answer);
      });
    } else {
      found_.mail = Mail::Secure;
      found_.ttl = kMaxLife;
      wait_for({domain});
    }
  }
  ~Look() override {
    for (HostLook* host : waits_for_) {
      host->leave(*this);
    }
  }

  // All that it waits for may be there.
  void look_again() {
    if (std::all_of(waits_for_.begin(), waits_for_.end(),
                    [](const HostLook* host) { return host->found() != nullptr; })) {
      done_->arm(Milliseconds(0));
    }
  }

 private:
  void on_mx(const DomainName& domain, const dns::Answer<dns::MxRecords>& answer);
  void wait_for(std::vector<DomainName> hosts);
  void deliver();

  void fail(std::string detail) {
    found_.detail = std::move(detail);
    done_->arm(Milliseconds(0));
  }

  Finder& finder_;
  const Target target_;
  std::function<void(Found)> callback_;
  Found found_;
  dns::Handle query_;
  std::vector<HostLook*> waits_for_;  // in the order of preference
  std::unique_ptr<event::Timer> done_;
};

void Finder::Look::on_mx(const DomainName& domain, const dns::Answer<dns::MxRecords>& answer) {
  query_.reset();
  if (!answer) {
    return fail("MX of " + domain.str() + ": " + dns::describe(answer.error()));
  }
  if (std::string trouble = trouble_with(answer.provenance); !trouble.empty()) {
    if (answer.provenance.security != Security::Unknown) {
      found_.without_dnssec_at = answer.provenance.server;
    }
    return fail(std::move(trouble));
  }
  found_.ttl = ttl_of(*answer);
  const auto* mx = std::get_if<dns::MxRecords>(&*answer);
  if (answer.provenance.no_such_name) {
    found_.mail = Mail::NoDomain;
  } else if (mx != nullptr && is_null(*mx)) {
    found_.mail = Mail::Null;
  } else if (answer.provenance.security == Security::Insecure) {
    // RFC 7672 section 2.2.1. It holds for the denial that makes the domain its own MX, too.
    found_.mail = Mail::Insecure;
  } else {
    found_.mail = Mail::Secure;
    return wait_for(mx != nullptr ? hosts_of(*mx) : std::vector<DomainName>{domain});
  }
  done_->arm(Milliseconds(0));
}

void Finder::Look::wait_for(std::vector<DomainName> hosts) {
  if (hosts.size() > kMaxHosts) {
    found_.more_hosts = hosts.size() - kMaxHosts;
    hosts.erase(hosts.begin() + kMaxHosts, hosts.end());
  }
  for (const DomainName& name : hosts) {
    HostLook& host = finder_.host(name, target_.port);
    host.wait(*this);
    waits_for_.push_back(&host);
  }
  look_again();
}

void Finder::Look::deliver() {
  for (HostLook* host : waits_for_) {
    FoundHost found = *host->found();
    found.ttl = host->life();
    if (found.status == HostStatus::Unknown && found_.detail.empty()) {
      found_.detail = found.detail;
    }
    if (!host->without_dnssec_at().empty()) {
      found_.without_dnssec_at = host->without_dnssec_at();
    }
    found_.hosts.push_back(std::move(found));
    host->leave(*this);
  }
  waits_for_.clear();
  const auto callback = std::move(callback_);
  callback(std::move(found_));  // Nothing may follow: it can destroy *this.
}

template <typename T>
bool Finder::HostLook::take(const dns::Answer<T>& answer, const std::string& what) {
  if (!answer) {
    fail(what + ": " + dns::describe(answer.error()));
    return false;
  }
  if (std::string trouble = trouble_with(answer.provenance); !trouble.empty()) {
    if (answer.provenance.security != Security::Unknown) {
      without_dnssec_at_ = answer.provenance.server;
    }
    fail(std::move(trouble));
    return false;
  }
  ttl_ = std::min(ttl_, ttl_of(*answer));
  return true;
}

// RFC 7672 section 2.2.2: the addresses come first. They say what the host's name stands for, and
// the server of an unsigned zone, which may know nothing of TLSA, is not asked for it. The answer
// for one family is enough, also where it has no address.
void Finder::HostLook::ask_for_address() {
  query_ = dns_.a(name_.str(), [this](const dns::AddressAnswer& answer) { on_address(answer); });
}

void Finder::HostLook::on_address(const dns::AddressAnswer& answer) {
  if (!take(answer, "address of " + name_.str())) {
    return;
  }
  const auto& chain = answer.provenance.chain;
  const bool secure = answer.provenance.security == Security::Secure;
  if (!secure && chain.empty()) {
    return end(HostStatus::None, "its zone is not signed");
  }
  if (chain.empty() && answer.provenance.no_such_name) {
    return end(HostStatus::None, "there is no such host");
  }
  // RFC 7672 section 2.2.3: the records are at what the name stands for, if all of the way there is
  // signed, and else at the name itself. A name in an unsigned zone has no secure records.
  bases_ = {name_.str()};
  if (secure && !chain.empty()) {
    bases_.push_back(chain.back());
  }
  ask_for_tlsa();
}

void Finder::HostLook::ask_for_tlsa() {
  if (bases_.empty()) {
    return end(HostStatus::None);
  }
  const std::string name = "_" + std::to_string(port_) + "._tcp." + bases_.back();
  if (name.size() > DomainName::kMaxSize) {
    bases_.pop_back();
    return ask_for_tlsa();
  }
  query_ =
      dns_.tlsa(name, [this](const dns::Answer<dns::TlsaRecords>& answer) { on_tlsa(answer); });
}

void Finder::HostLook::on_tlsa(const dns::Answer<dns::TlsaRecords>& answer) {
  if (!take(answer, "TLSA of " + bases_.back())) {
    return;
  }
  const auto* records = std::get_if<dns::TlsaRecords>(&*answer);
  if (records == nullptr || answer.provenance.security != Security::Secure) {
    bases_.pop_back();
    return ask_for_tlsa();
  }
  const bool usable = std::any_of(records->records.begin(), records->records.end(), is_usable);
  end(usable ? HostStatus::Usable : HostStatus::Unusable);
}

void Finder::HostLook::fail(std::string detail) {
  ttl_ = std::min(ttl_, kFailureLife);
  end(HostStatus::Unknown, std::move(detail));
}

void Finder::HostLook::end(HostStatus status, std::string detail) {
  query_.reset();
  found_.status = status;
  found_.detail = std::move(detail);
  const Seconds least = status == HostStatus::Unknown ? Seconds(0) : kMinLife;
  until_ = clock_.steady() + std::max(ttl_, least);
  for (Look* look : waiting_) {
    look->look_again();
  }
}

// --- all of them ------------------------------------------------------------------------------

Finder::Finder(const Clock& clock, event::Timers& timers, dns::DnsClient& dns)
    : clock_(clock), timers_(timers), dns_(dns) {}

Finder::~Finder() = default;

Handle Finder::find(const DomainName& domain, const Target& target,
                    std::function<void(Found)> callback) {
  return std::make_unique<Look>(*this, domain, target, std::move(callback));
}

Finder::HostLook& Finder::host(const DomainName& name, std::uint16_t port) {
  const HostKey key(name.str(), port);
  if (const auto it = hosts_.find(key); it != hosts_.end()) {
    if (it->second->is_current()) {
      return *it->second;
    }
    hosts_.erase(it);
  }
  if (hosts_.size() >= kMaxKnownHosts) {
    std::erase_if(hosts_, [](const auto& one) { return one.second->is_idle(); });
  }
  return *hosts_.emplace(key, std::make_unique<HostLook>(clock_, dns_, name, port)).first->second;
}

}  // namespace mtastsd::dane
