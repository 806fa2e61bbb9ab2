// Questions about one domain go out at once; what depends on an answer follows it. Each answer
// fills its fact, and the last one ends the gathering. Facts whose answer has not come when the
// time is over stay what they were made as: not found out in time.

#include "mtastsd/check/gather.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "answers.h"
#include "mtastsd/mtasts/txt_record.h"
#include "smtp_probe.h"

namespace mtastsd::check {
namespace {

// So much before the end a fetch or a probe has to end, whose own word tells more.
constexpr Milliseconds kMargin{500};
constexpr Milliseconds kLeastTime{1000};

bool on_this_host(std::string_view server) {
  return server.starts_with("127.") || server.starts_with("[::1]");
}

// Facts about what is not there, or not known, are those of its addresses.
template <typename T>
Fact<T> without_addresses(const Fact<AddressRecords>& addresses) {
  return addresses.absent() ? Fact<T>::none("no address") : Fact<T>::unknown(addresses.why);
}

}  // namespace

class Gatherer::Impl {
 public:
  Impl(GatherServices services, GatherOptions options)
      : services_(services), options_(std::move(options)), trusted_(options_.ca_file) {}

  GatherServices services_;
  GatherOptions options_;
  TrustStore trusted_;
};

namespace {

class OneDomain final : public Gathering {
 public:
  OneDomain(const GatherServices& services, const GatherOptions& options, const TrustStore& trusted,
            const DomainName& domain, std::function<void(Facts)> callback)
      : services_(services),
        options_(options),
        trusted_(trusted),
        domain_(domain),
        callback_(std::move(callback)),
        ends_at_(services.clock.steady() + options.timeout),
        deadline_(services.loop.make_timer([this] { finish(); })) {
    facts_.domain = domain.str();
    facts_.at = services.clock.wall();
    facts_.smtp_asked = options.smtp;
    facts_.apex_host.name = facts_.domain;
    facts_.apex_host.addresses = Fact<AddressRecords>::unknown("not looked at");
    facts_.apex_host.fetch = Fact<Fetch>::unknown("not looked at");
    deadline_->arm(options.timeout);
    ask_texts();
    ask_resolver();
    ask_policy_host();
    ask_mail();
  }

 private:
  using HostIndex = std::size_t;

  void keep(dns::Handle handle) {
    ++pending_;
    queries_.push_back(std::move(handle));
  }
  Milliseconds time_left() const {
    const auto left =
        std::chrono::duration_cast<Milliseconds>(ends_at_ - services_.clock.steady()) - kMargin;
    return std::max(left, kLeastTime);
  }

  // RFC 8020: with NXDOMAIN there is nothing below it either. Behind an alias it is about where
  // that leads.
  void note_existence(const dns::Provenance& provenance) {
    facts_.domain_exists =
        facts_.domain_exists && !(provenance.no_such_name && provenance.chain.empty());
  }

  void ask_texts();
  void ask_text(std::string_view label, Fact<TextRecords>& fact);
  void ask_resolver();
  void ask_addresses(const std::string& name, std::function<void(Fact<AddressRecords>)> then);
  void ask_policy_host();
  void fetch(PolicyHost& host, const DomainName& name);
  void look_at_apex();
  void ask_mail();
  void on_mx(dns::Answer<dns::MxRecords> answer);
  void ask_implicit_mail();
  void add_hosts(std::vector<dns::Mx> records);
  void ask_host(HostIndex index);
  void probe(HostIndex index);
  std::vector<IpAddress> vetted(const AddressRecords& addresses) const;
  void done();
  void finish();

  const GatherServices& services_;
  const GatherOptions& options_;
  const TrustStore& trusted_;
  DomainName domain_;
  std::function<void(Facts)> callback_;
  SteadyTime ends_at_;
  std::unique_ptr<event::Timer> deadline_;
  Facts facts_;
  std::size_t pending_ = 0;
  bool policy_host_done_ = false;
  bool record_done_ = false;
  std::vector<dns::Handle> queries_;
  std::vector<https::Handle> fetches_;
  std::vector<std::unique_ptr<SmtpProbe>> probes_;
};

void OneDomain::ask_texts() {
  ask_text("_mta-sts", facts_.record);
  ask_text("_smtp._tls", facts_.tlsrpt);
  keep(services_.dns.txt(domain_.str(), [this](dns::Answer<dns::TxtRecords> answer) {
    note_existence(answer.provenance);
    facts_.apex_text = text_fact(std::move(answer));
    done();
  }));
}

void OneDomain::ask_text(std::string_view label, Fact<TextRecords>& fact) {
  const auto name = domain_.under(label);
  if (!name) {
    fact = Fact<TextRecords>::none("the name would be too long");
    record_done_ = record_done_ || &fact == &facts_.record;
    return;
  }
  keep(services_.dns.txt(name->str(), [this, &fact](dns::Answer<dns::TxtRecords> answer) {
    fact = text_fact(std::move(answer));
    record_done_ = record_done_ || &fact == &facts_.record;
    look_at_apex();
    done();
  }));
}

// The root zone is signed: a resolver that does not vouch for it does not validate. There is no
// address at the root, and that is what a validating resolver can prove.
void OneDomain::ask_resolver() {
  keep(services_.dns.a(".", [this](dns::Answer<dns::Addresses> answer) {
    const dns::Provenance& provenance = answer.provenance;
    if (!answer) {
      facts_.validating = Fact<bool>::unknown(describe(answer.error()));
    } else if (!provenance.authenticated) {
      facts_.validating = Fact<bool>::is(false);
    } else if (options_.resolver_trusted || on_this_host(provenance.server)) {
      facts_.validating = Fact<bool>::is(true);
    } else {
      facts_.validating = Fact<bool>::unknown("the resolver " + provenance.server +
                                              " is not on this host, and nobody has named it");
    }
    done();
  }));
}

void OneDomain::ask_addresses(const std::string& name,
                              std::function<void(Fact<AddressRecords>)> then) {
  const auto families = std::make_shared<Families>();
  const auto both = [this, families, then = std::move(then)] {
    if (families->v4 && families->v6) {
      then(address_fact(std::move(*families)));
    }
    done();
  };
  keep(services_.dns.a(name, [families, both](dns::Answer<dns::Addresses> answer) {
    families->v4 = std::move(answer);
    both();
  }));
  keep(services_.dns.aaaa(name, [families, both](dns::Answer<dns::Addresses> answer) {
    families->v6 = std::move(answer);
    both();
  }));
}

void OneDomain::ask_policy_host() {
  const auto name = domain_.under("mta-sts");
  facts_.policy_host.name = "mta-sts." + facts_.domain;
  if (!name) {
    facts_.policy_host.addresses = Fact<AddressRecords>::none("the name would be too long");
    facts_.policy_host.fetch = Fact<Fetch>::none("the name would be too long");
    return;
  }
  ask_addresses(name->str(), [this, name](Fact<AddressRecords> addresses) {
    facts_.policy_host.addresses = std::move(addresses);
    fetch(facts_.policy_host, *name);
  });
}

std::vector<IpAddress> OneDomain::vetted(const AddressRecords& addresses) const {
  std::vector<IpAddress> result;
  for (const auto* family : {&addresses.v6, &addresses.v4}) {
    std::copy_if(family->begin(), family->end(), std::back_inserter(result),
                 [this](const IpAddress& address) {
                   return options_.allow_local_addresses || !address.is_local();
                 });
  }
  return result;
}

void OneDomain::fetch(PolicyHost& host, const DomainName& name) {
  const bool by_proxy = services_.fetcher.uses_proxy();
  const std::vector<IpAddress> addresses =
      by_proxy ? std::vector<IpAddress>() : vetted(host.addresses.value);
  if (addresses.empty() && !by_proxy) {
    host.fetch = host.addresses.known() ? Fact<Fetch>::none("only local addresses")
                                        : without_addresses<Fetch>(host.addresses);
    policy_host_done_ = policy_host_done_ || &host == &facts_.policy_host;
    look_at_apex();
    return;
  }
  ++pending_;
  fetches_.push_back(services_.fetcher.fetch(
      name, addresses, std::min(options_.fetch_timeout, time_left()),
      [this, &host](https::FetchResult result) {
        Fetch fetched{.seen = std::move(result.seen), .error = {}, .body = {}};
        if (result) {
          fetched.body = std::move(result->body);
          fetched.seen.body_size = fetched.body.size();
        } else {
          fetched.error = std::move(result.error());
        }
        host.fetch = Fact<Fetch>::is(std::move(fetched));
        policy_host_done_ = policy_host_done_ || &host == &facts_.policy_host;
        look_at_apex();
        done();
      }));
}

// A frequent mistake: the policy is served by the domain's own web server. Looked for only where
// a record says that there is a policy, and the policy host has none.
void OneDomain::look_at_apex() {
  if (!record_done_ || !policy_host_done_) {
    return;
  }
  record_done_ = false;  // once is enough
  const Fact<Fetch>& fetched = facts_.policy_host.fetch;
  const auto& records = facts_.record.value.records;
  if (fetched.cannot_tell() || (fetched.known() && !fetched.value.error) ||
      std::none_of(records.begin(), records.end(), mtasts::claims_mta_sts)) {
    return;
  }
  ask_addresses(domain_.str(), [this](Fact<AddressRecords> addresses) {
    facts_.apex_host.addresses = std::move(addresses);
    fetch(facts_.apex_host, domain_);
  });
}

void OneDomain::ask_mail() {
  keep(services_.dns.mx(domain_.str(), [this](dns::Answer<dns::MxRecords> answer) {
    on_mx(std::move(answer));
    done();
  }));
}

void OneDomain::on_mx(dns::Answer<dns::MxRecords> answer) {
  if (!answer) {
    facts_.mail = Fact<MailServers>::unknown(describe(answer.error()));
    return;
  }
  note_existence(answer.provenance);
  MailServers servers;
  servers.chain = std::move(answer.provenance.chain);
  servers.authenticated = answer.provenance.authenticated;
  auto* found = std::get_if<dns::MxRecords>(&*answer);
  if (found == nullptr) {
    facts_.mail.value = std::move(servers);
    ask_implicit_mail();
    return;
  }
  servers.ttl = found->ttl;
  facts_.mail = Fact<MailServers>::is(std::move(servers));
  add_hosts(std::move(found->records));
}

// RFC 5321 section 5.1: without MX records the domain's own address is the mail server.
void OneDomain::ask_implicit_mail() {
  ask_addresses(domain_.str(), [this](const Fact<AddressRecords>& addresses) {
    if (!addresses.known()) {
      facts_.mail = without_addresses<MailServers>(addresses);
      return;
    }
    facts_.mail.outcome = Outcome::Known;
    facts_.mail.why.clear();
    facts_.mail.value.implicit = true;
    add_hosts({{0, domain_.str()}});
  });
}

void OneDomain::add_hosts(std::vector<dns::Mx> records) {
  MailServers& servers = facts_.mail.value;
  std::stable_sort(records.begin(), records.end(),
                   [](const dns::Mx& a, const dns::Mx& b) { return a.preference < b.preference; });
  for (dns::Mx& record : records) {
    if (record.host == ".") {
      servers.null_mx = true;
    } else if (servers.hosts.size() == kMaxMxHosts) {
      ++servers.left_out;
    } else {
      MxHost host;
      host.preference = record.preference;
      host.name = DomainName::parse(record.host);
      host.host = std::move(record.host);
      servers.hosts.push_back(std::move(host));
    }
  }
  for (HostIndex i = 0; i < servers.hosts.size(); ++i) {
    ask_host(i);
  }
}

void OneDomain::ask_host(HostIndex index) {
  MxHost& host = facts_.mail.value.hosts[index];
  if (!host.name) {
    host.addresses = Fact<AddressRecords>::none("not the name of a host");
    host.tlsa = Fact<std::vector<dns::Tlsa>>::none("not the name of a host");
    host.smtp = Fact<Smtp>::none("not the name of a host");
    return;
  }
  ask_addresses(host.name->str(), [this, index](Fact<AddressRecords> addresses) {
    facts_.mail.value.hosts[index].addresses = std::move(addresses);
    if (options_.smtp) {
      probe(index);
    }
  });
  const auto name = host.name->under("_25._tcp");
  if (!name) {
    host.tlsa = Fact<std::vector<dns::Tlsa>>::none("the name would be too long");
    return;
  }
  keep(services_.dns.tlsa(name->str(), [this, index](dns::Answer<dns::TlsaRecords> answer) {
    MxHost& asked = facts_.mail.value.hosts[index];
    asked.tlsa_authenticated = answer.provenance.authenticated;
    asked.tlsa = tlsa_fact(std::move(answer));
    done();
  }));
}

void OneDomain::probe(HostIndex index) {
  MxHost& host = facts_.mail.value.hosts[index];
  SmtpTarget target{.host = *host.name,
                    .addresses = vetted(host.addresses.value),
                    .port = kSmtpPort,
                    .helo = options_.helo};
  if (target.addresses.empty()) {
    host.smtp = host.addresses.known() ? Fact<Smtp>::unknown("only local addresses")
                                       : without_addresses<Smtp>(host.addresses);
    return;
  }
  ++pending_;
  probes_.push_back(std::make_unique<SmtpProbe>(
      services_.loop, trusted_, std::move(target), time_left(), [this, index](Fact<Smtp> smtp) {
        facts_.mail.value.hosts[index].smtp = std::move(smtp);
        done();
      }));
}

void OneDomain::done() {
  if (--pending_ == 0) {
    finish();  // Nothing may follow: it can destroy *this.
  }
}

void OneDomain::finish() {
  deadline_->cancel();
  queries_.clear();
  fetches_.clear();
  probes_.clear();
  const auto callback = std::move(callback_);
  callback(std::move(facts_));  // Nothing may follow: it can destroy *this.
}

}  // namespace

Gatherer::Gatherer(GatherServices services, GatherOptions options)
    : impl_(std::make_unique<Impl>(services, std::move(options))) {}

Gatherer::~Gatherer() = default;

std::unique_ptr<Gathering> Gatherer::start(const DomainName& domain,
                                           std::function<void(Facts)> callback) {
  return std::make_unique<OneDomain>(impl_->services_, impl_->options_, impl_->trusted_, domain,
                                     std::move(callback));
}

}  // namespace mtastsd::check
