// Questions about one domain go out at once; what depends on an answer follows it. Each answer
// fills its fact, and the last one ends the gathering. Facts whose answer has not come when the
// time is over stay what they were made as: not found out in time.

#include "mtastsd/check/gather.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "answers.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/discovery/host_tries.h"
#include "mtastsd/https/dialer.h"
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

// False if this host has no way to send to an address of this kind, such as IPv6 in an IPv4
// network. Nothing is sent for that.
bool has_route(const IpAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.str().c_str(), "443", &hints, &found) != 0) {
    return false;
  }
  const Fd socket(::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const bool routed =
      socket.get() >= 0 && ::connect(socket.get(), found->ai_addr, found->ai_addrlen) == 0;
  ::freeaddrinfo(found);
  return routed;
}

// At most `most`, of both families if there are both. Those without a route say nothing about the
// domain, and are tried only if there are no others.
std::vector<IpAddress> addresses_to_try(const std::vector<IpAddress>& usable, std::size_t most) {
  std::vector<IpAddress> tried = https::interleave_families(usable);
  const auto routed_end = std::stable_partition(tried.begin(), tried.end(), has_route);
  if (routed_end != tried.begin()) {
    tried.erase(routed_end, tried.end());
  }
  if (tried.size() > most) {
    tried.erase(tried.begin() + static_cast<std::ptrdiff_t>(most), tried.end());
  }
  return tried;
}

// What counts for a sender that tries the next address, and no more of them than mtastsd
// (discovery::HostTries): the first policy, or else the most telling failure. A certificate tells
// more than a status, and that more than no connection.
const Fetch& best_of(const std::vector<Fetch>& fetches) {
  const auto weight = [](const Fetch& fetch) {
    if (!fetch.error) {
      return 3;
    }
    return fetch.error->kind == https::ErrorKind::Certificate ? 2
           : fetch.error->kind == https::ErrorKind::Connect   ? 0
                                                              : 1;
  };
  const Fetch* best = &fetches.front();
  std::size_t answered = 0;
  for (const Fetch& fetch : fetches) {
    if (weight(fetch) > weight(*best)) {
      best = &fetch;
    }
    if (weight(fetch) > 0 && ++answered == discovery::kMaxHostsTried) {
      break;
    }
  }
  return *best;
}

// A fact about a host that cannot be connected to.
template <typename T>
Fact<T> without_connection(const discovery::HostAddresses& addresses) {
  using Problem = discovery::HostAddresses::Problem;
  const bool absent =
      addresses.problem == Problem::NoAddress || addresses.problem == Problem::Forbidden;
  return absent ? Fact<T>::none(addresses.detail) : Fact<T>::unknown(addresses.detail);
}

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
    if (!options.mail_only) {
      ask_record();
      ask_texts();
      ask_resolver();
      ask_policy_host();
    }
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

  void keep(discovery::Handle step) {
    ++pending_;
    steps_.push_back(std::move(step));
  }

  // The callback of a step after which there is nothing to do.
  template <typename Then>
  auto and_done(Then then) {
    return [this, then = std::move(then)](discovery::HostAddresses addresses) {
      then(std::move(addresses));
      done();
    };
  }
  void ask_record() {
    keep(services_.discovery.record(domain_, [this](discovery::Record record) {
      facts_.record = text_fact(std::move(record.answer));
      record_done_ = true;
      look_at_apex();
      done();
    }));
  }

  void ask_texts() {
    if (const auto name = domain_.under("_smtp._tls")) {
      keep(services_.dns.txt(name->str(), [this](dns::TxtAnswer answer) {
        facts_.tlsrpt = text_fact(std::move(answer));
        done();
      }));
    } else {
      facts_.tlsrpt = Fact<TextRecords>::none("the name would be too long");
    }
    keep(services_.dns.txt(domain_.str(), [this](dns::TxtAnswer answer) {
      note_existence(answer.provenance);
      facts_.apex_text = text_fact(std::move(answer));
      done();
    }));
  }

  // The root zone is signed: a resolver that does not vouch for it does not validate. There is no
  // address at the root, and that is what a validating resolver can prove.
  void ask_resolver() {
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

  void ask_policy_host() {
    const auto name = domain_.under("mta-sts");
    facts_.policy_host.name = "mta-sts." + facts_.domain;
    if (!name) {
      facts_.policy_host.addresses = Fact<AddressRecords>::none("the name would be too long");
      facts_.policy_host.fetch = Fact<Fetch>::none("the name would be too long");
      return;
    }
    keep(services_.discovery.policy_host(*name,
                                         and_done([this, name](discovery::HostAddresses addresses) {
                                           connect(facts_.policy_host, *name, std::move(addresses));
                                         })));
  }

  // Each address is asked by itself, so that a good one hides no bad one.
  void connect(PolicyHost& host, const DomainName& name, discovery::HostAddresses addresses) {
    host.addresses = address_fact(addresses);
    if (!addresses.can_connect()) {
      note_fetch(host, without_connection<Fetch>(addresses));
      return;
    }
    if (addresses.by_proxy) {
      host.by_address.resize(1);
      connect_to(host, 0, name, addresses);
      return;
    }
    const std::vector<IpAddress> tried =
        addresses_to_try(addresses.usable, 2 * discovery::kMaxAddressesPerFamily);
    host.by_address.resize(tried.size());
    for (std::size_t i = 0; i < tried.size(); ++i) {
      host.by_address[i].seen.address = tried[i].str();
      discovery::HostAddresses one;
      one.usable = {tried[i]};
      connect_to(host, i, name, one);
    }
  }

  void connect_to(PolicyHost& host, std::size_t index, const DomainName& name,
                  const discovery::HostAddresses& addresses) {
    ++fetching_[&host];
    // Until something else is known of it.
    host.by_address[index].error = {https::ErrorKind::Timeout, "timeout: no answer"};
    keep(services_.discovery.connect(addresses, std::min(options_.fetch_timeout, time_left()),
                                     [this, &host, index, name](discovery::Connected connected) {
                                       if (connected) {
                                         fetch(host, index, name, *std::move(connected));
                                       } else {
                                         host.by_address[index].error = {
                                             https::ErrorKind::Connect,
                                             std::move(connected.error().detail)};
                                         fetched_one(host);
                                       }
                                       done();
                                     }));
  }

  void fetch(PolicyHost& host, std::size_t index, const DomainName& name,
             https::Connection connection) {
    keep(services_.discovery.policy(
        name, std::move(connection), {.total = std::min(options_.fetch_timeout, time_left())},
        [this, &host, index](discovery::FetchedPolicy policy) {
          https::FetchResult& fetched = policy.fetched;
          Fetch& fact = host.by_address[index];
          const std::string address = std::move(fact.seen.address);
          fact = {.seen = std::move(fetched.seen), .error = {}, .body = {}};
          if (!address.empty()) {
            fact.seen.address = address;
          }
          if (fetched) {
            fact.body = std::move(fetched->body);
            fact.seen.body_size = fact.body.size();
          } else {
            fact.error = std::move(fetched.error());
          }
          fetched_one(host);
          done();
        }));
  }

  // The last one settles what a sender finds that tries one address after the other.
  void fetched_one(PolicyHost& host) {
    if (--fetching_[&host] == 0) {
      const Fetch& best = best_of(host.by_address);
      // What the proxy failed at says nothing of the host.
      const bool known = !best.error || best.error->kind != https::ErrorKind::Proxy;
      note_fetch(host, known ? Fact<Fetch>::is(best) : Fact<Fetch>::unknown(best.error->detail));
      if (host.by_address.size() == 1) {
        host.by_address.clear();
      }
    }
  }

  void note_fetch(PolicyHost& host, Fact<Fetch> fetched) {
    host.fetch = std::move(fetched);
    policy_host_done_ = policy_host_done_ || &host == &facts_.policy_host;
    look_at_apex();
  }

  // A frequent mistake: the policy is served by the domain's own web server. Looked for only where
  // a record says that there is a policy, and the policy host has none.
  void look_at_apex() {
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
    keep(services_.discovery.policy_host(domain_,
                                         and_done([this](discovery::HostAddresses addresses) {
                                           connect(facts_.apex_host, domain_, std::move(addresses));
                                         })));
  }

  void ask_mail() {
    keep(services_.dns.mx(domain_.str(), [this](dns::Answer<dns::MxRecords> answer) {
      on_mx(std::move(answer));
      done();
    }));
  }

  void on_mx(dns::Answer<dns::MxRecords> answer) {
    if (!answer) {
      facts_.mail = Fact<MailServers>::unknown(describe(answer.error()));
      return;
    }
    note_existence(answer.provenance);
    MailServers servers;
    servers.chain = std::move(answer.provenance.chain);
    servers.authenticated = answer.provenance.authenticated;
    if (options_.mail_only && answer.provenance.no_such_name) {
      facts_.mail = Fact<MailServers>::none("there is no such domain");
      return;
    }
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
  void ask_implicit_mail() {
    keep(services_.discovery.mail_host(
        domain_, and_done([this](const discovery::HostAddresses& found) {
          const Fact<AddressRecords> addresses = address_fact(found);
          if (!addresses.known()) {
            facts_.mail = addresses.absent() ? Fact<MailServers>::none("no address")
                                             : Fact<MailServers>::unknown(addresses.why);
            return;
          }
          facts_.mail.outcome = Outcome::Known;
          facts_.mail.why.clear();
          facts_.mail.value.implicit = true;
          add_hosts({{0, domain_.str()}});
        })));
  }

  void add_hosts(std::vector<dns::Mx> records) {
    MailServers& servers = facts_.mail.value;
    std::stable_sort(records.begin(), records.end(), [](const dns::Mx& a, const dns::Mx& b) {
      return a.preference < b.preference;
    });
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
      if (!options_.mail_only || options_.smtp) {
        ask_host(i);
      }
    }
  }

  void ask_host(HostIndex index) {
    MxHost& host = facts_.mail.value.hosts[index];
    if (!host.name) {
      host.addresses = Fact<AddressRecords>::none("not the name of a host");
      host.tlsa = Fact<std::vector<dns::Tlsa>>::none("not the name of a host");
      return;
    }
    keep(services_.discovery.mail_host(
        *host.name, and_done([this, index](const discovery::HostAddresses& addresses) {
          facts_.mail.value.hosts[index].addresses = address_fact(addresses);
          if (options_.smtp) {
            probe(index, addresses);
          }
        })));
    if (options_.mail_only) {
      return;
    }
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

  void probe(HostIndex index, const discovery::HostAddresses& addresses) {
    MxHost& host = facts_.mail.value.hosts[index];
    if (addresses.usable.empty()) {
      host.smtp = {addresses.problem == discovery::HostAddresses::Problem::NoAddress
                       ? Fact<Smtp>::none("no address")
                       : Fact<Smtp>::unknown(addresses.detail)};
      return;
    }
    const std::vector<IpAddress> tried = addresses_to_try(addresses.usable, kMaxMxAddressesTried);
    host.smtp.resize(tried.size());
    for (std::size_t i = 0; i < tried.size(); ++i) {
      host.smtp[i].value.address = tried[i].str();
      SmtpTarget target{
          .host = *host.name, .address = tried[i], .port = kSmtpPort, .helo = options_.helo};
      ++pending_;
      probes_.push_back(std::make_unique<SmtpProbe>(services_.loop, trusted_, std::move(target),
                                                    time_left(), [this, index, i](Fact<Smtp> smtp) {
                                                      Fact<Smtp>& fact =
                                                          facts_.mail.value.hosts[index].smtp[i];
                                                      smtp.value.address =
                                                          std::move(fact.value.address);
                                                      fact = std::move(smtp);
                                                      done();
                                                    }));
    }
  }

  void done() {
    if (--pending_ == 0) {
      finish();  // Nothing may follow: it can destroy *this.
    }
  }

  void finish() {
    deadline_->cancel();
    queries_.clear();
    steps_.clear();
    for (const auto& [host, running] : fetching_) {
      if (running > 0) {
        host->by_address.clear();  // "timeout" is all there is to say
      }
    }
    probes_.clear();
    const auto callback = std::move(callback_);
    callback(std::move(facts_));  // Nothing may follow: it can destroy *this.
  }

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
  std::map<PolicyHost*, std::size_t> fetching_;  // addresses whose fetch has not ended
  std::vector<dns::Handle> queries_;
  std::vector<discovery::Handle> steps_;
  std::vector<std::unique_ptr<SmtpProbe>> probes_;
};

}  // namespace

Gatherer::Gatherer(GatherServices services, GatherOptions options)
    : services_(services),
      options_(std::move(options)),
      trusted_(std::make_unique<TrustStore>(options_.ca_file)) {}

Gatherer::~Gatherer() = default;

std::unique_ptr<Gathering> Gatherer::start(const DomainName& domain,
                                           std::function<void(Facts)> callback) {
  return std::make_unique<OneDomain>(services_, options_, *trusted_, domain, std::move(callback));
}

}  // namespace mtastsd::check
