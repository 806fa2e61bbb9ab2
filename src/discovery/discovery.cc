#include "mtastsd/discovery/discovery.h"

#include <utility>
#include <variant>

#include "mtastsd/event/loop.h"
#include "mtastsd/mtasts/txt_record.h"
#include "vet.h"

namespace mtastsd::discovery {
namespace {

// How long the second family of addresses is waited for once the first one is known.
constexpr Milliseconds kSecondFamilyGrace{1000};

std::string describe(const mtasts::TxtError& error) {
  switch (error.fault) {
    case mtasts::TxtFault::NoRecord:
      break;
    case mtasts::TxtFault::MultipleRecords:
      return "more than one MTA-STS record";
    case mtasts::TxtFault::InvalidRecord:
      return "invalid MTA-STS record: " + error.error.detail;
  }
  return "no MTA-STS record";
}

class RecordStep final : public Step {
 public:
  RecordStep(const Services& services, const DomainName& domain,
             std::function<void(Record)> callback)
      : callback_(std::move(callback)) {
    if (const auto name = domain.under("_mta-sts")) {
      query_ = services.dns.txt(
          name->str(), [this](dns::TxtAnswer answer) { deliver(read_record(std::move(answer))); });
    } else {
      // Below a name this long there can be no record.
      at_once_ = services.timers.make_timer([this] { deliver(read_record(dns::NoSuchRecord{})); });
      at_once_->arm(Milliseconds(0));
    }
  }

 private:
  void deliver(Record record) {
    const auto callback = std::move(callback_);
    callback(std::move(record));  // Nothing may follow: it can destroy *this.
  }

  std::function<void(Record)> callback_;
  std::unique_ptr<event::Timer> at_once_;
  dns::Handle query_;
};

class AddressStep final : public Step {
 public:
  AddressStep(const Services& services, const Settings& settings, const DomainName& host,
              bool by_proxy, std::function<void(HostAddresses)> callback)
      : host_(host),
        for_report_(settings.for_report),
        rules_{.by_proxy = by_proxy,
               .allow_all = settings.allow_local_addresses,
               .allow_networks = settings.allow_networks},
        callback_(std::move(callback)),
        timer_(services.timers.make_timer([this] { deliver(); })) {
    if (rules_.by_proxy && !for_report_) {
      timer_->arm(Milliseconds(0));
      return;
    }
    const std::string name = host.str();
    a_ = services.dns.a(name, [this](dns::AddressAnswer answer) {
      v4_ = std::move(answer);
      on_answer(a_, *v4_);
    });
    aaaa_ = services.dns.aaaa(name, [this](dns::AddressAnswer answer) {
      v6_ = std::move(answer);
      on_answer(aaaa_, *v6_);
    });
  }

 private:
  void on_answer(dns::Handle& query, const dns::AddressAnswer& answer) {
    query.reset();
    if (!a_ && !aaaa_) {
      deliver();  // Nothing may follow: it can destroy *this.
    } else if (answer && std::holds_alternative<dns::Addresses>(*answer)) {
      timer_->arm(kSecondFamilyGrace);
    }
  }

  void deliver() {
    a_.reset();
    aaaa_.reset();
    timer_->cancel();
    HostAddresses addresses = vet(host_, rules_, v4_, v6_);
    if (for_report_) {
      addresses.v4 = std::move(v4_);
      addresses.v6 = std::move(v6_);
    }
    const auto callback = std::move(callback_);
    callback(std::move(addresses));  // Nothing may follow: it can destroy *this.
  }

  const DomainName host_;
  const bool for_report_;
  const VettingRules rules_;
  std::function<void(HostAddresses)> callback_;
  std::optional<dns::AddressAnswer> v4_;
  std::optional<dns::AddressAnswer> v6_;
  std::unique_ptr<event::Timer> timer_;  // for the second family, or to answer without asking
  dns::Handle a_;
  dns::Handle aaaa_;
};

// Hands on what the settings say.
class GivenStep final : public Step {
 public:
  GivenStep(const Services& services, HostAddresses addresses,
            std::function<void(HostAddresses)> callback)
      : addresses_(std::move(addresses)),
        callback_(std::move(callback)),
        at_once_(services.timers.make_timer([this] {
          const auto then = std::move(callback_);
          then(std::move(addresses_));  // Nothing may follow: it can destroy *this.
        })) {
    at_once_->arm(Milliseconds(0));
  }

 private:
  HostAddresses addresses_;
  std::function<void(HostAddresses)> callback_;
  std::unique_ptr<event::Timer> at_once_;
};

// The addresses of the settings, with for_report as if DNS had said so.
HostAddresses given(const std::vector<IpAddress>& addresses, bool for_report) {
  HostAddresses result;
  result.usable = addresses;
  if (for_report) {
    dns::Addresses v4;
    dns::Addresses v6;
    for (const IpAddress& address : addresses) {
      (address.is_v6() ? v6 : v4).addresses.push_back(address);
    }
    result.v4 = dns::AddressAnswer(std::move(v4));
    result.v6 = dns::AddressAnswer(std::move(v6));
  }
  return result;
}

class ConnectStep final : public Step {
 public:
  ConnectStep(const Services& services, const HostAddresses& addresses, Milliseconds limit,
              std::function<void(Connected)> callback)
      : callback_(std::move(callback)) {
    if (addresses.by_proxy) {
      at_once_ = services.timers.make_timer([this] { deliver(https::Connection{}); });
      at_once_->arm(Milliseconds(0));
      return;
    }
    dial_ = services.dialer.dial(
        addresses.usable, limit, [this](Result<https::Connection, https::Error> result) {
          if (result) {
            deliver(*std::move(result));
          } else {
            deliver(failure(PolicyFailure{PolicyFailure::Kind::Fetch, result.error().detail}));
          }
        });
  }

 private:
  void deliver(Connected result) {
    const auto callback = std::move(callback_);
    callback(std::move(result));  // Nothing may follow: it can destroy *this.
  }

  std::function<void(Connected)> callback_;
  std::unique_ptr<event::Timer> at_once_;
  https::DialHandle dial_;
};

class PolicyStep final : public Step {
 public:
  PolicyStep(https::PolicyFetcher& fetcher, const DomainName& host, https::Connection connection,
             https::FetchLimits limits, std::function<void(FetchedPolicy)> callback)
      : callback_(std::move(callback)),
        fetch_(
            fetcher.fetch(host, std::move(connection), limits, [this](https::FetchResult result) {
              const auto then = std::move(callback_);
              then(read_policy(std::move(result)));  // Nothing may follow: it can destroy *this.
            })) {}

 private:
  std::function<void(FetchedPolicy)> callback_;
  https::Handle fetch_;
};

}  // namespace

Record read_record(dns::TxtAnswer answer) {
  Record record;
  if (!answer) {
    record.status = Record::Status::DnsFailed;
    record.detail = "DNS: " + describe(answer.error());
  } else if (const auto* found = std::get_if<dns::TxtRecords>(&*answer)) {
    record.ttl = found->ttl;
    if (auto selected = mtasts::select_txt_record(found->records)) {
      record.status = Record::Status::Found;
      record.id = std::move(selected->id);
    } else {
      record.status = selected.error().fault == mtasts::TxtFault::NoRecord
                          ? Record::Status::None
                          : Record::Status::Unusable;
      record.detail = describe(selected.error());
    }
  } else {
    record.status = Record::Status::None;
    record.ttl = std::get<dns::NoSuchRecord>(*answer).negative_ttl;
    record.detail = describe(mtasts::TxtError{}) + dns::describe_dead_end(answer.provenance, "TXT");
  }
  record.answer = std::move(answer);
  return record;
}

FetchedPolicy read_policy(https::FetchResult fetched) {
  FetchedPolicy result;
  if (!fetched) {
    const bool certificate = fetched.error().kind == https::ErrorKind::Certificate;
    result.policy = failure(
        PolicyFailure{certificate ? PolicyFailure::Kind::Certificate : PolicyFailure::Kind::Fetch,
                      fetched.error().detail});
  } else if (auto policy = mtasts::parse_policy(fetched->body)) {
    result.policy = std::move(*policy);
  } else {
    result.policy = failure(PolicyFailure{
        PolicyFailure::Kind::Syntax,
        "policy at byte " + std::to_string(policy.error().offset) + ": " + policy.error().detail});
  }
  result.fetched = std::move(fetched);
  return result;
}

Discovery::Discovery(Services services, Settings settings)
    : services_(services), settings_(std::move(settings)) {}

Handle Discovery::record(const DomainName& domain, std::function<void(Record)> callback) {
  return std::make_unique<RecordStep>(services_, domain, std::move(callback));
}

Handle Discovery::policy_host(const DomainName& host, std::function<void(HostAddresses)> callback) {
  const bool by_proxy = services_.fetcher.uses_proxy();
  const auto known = settings_.addresses.find(host);
  if (known != settings_.addresses.end() && !by_proxy) {
    return std::make_unique<GivenStep>(services_, given(known->second, settings_.for_report),
                                       std::move(callback));
  }
  return std::make_unique<AddressStep>(services_, settings_, host, by_proxy, std::move(callback));
}

Handle Discovery::mail_host(const DomainName& host, std::function<void(HostAddresses)> callback) {
  return std::make_unique<AddressStep>(services_, settings_, host, false, std::move(callback));
}

Handle Discovery::connect(const HostAddresses& addresses, Milliseconds limit,
                          std::function<void(Connected)> callback) {
  return std::make_unique<ConnectStep>(services_, addresses, limit, std::move(callback));
}

Handle Discovery::policy(const DomainName& policy_host, https::Connection connection,
                         https::FetchLimits limits, std::function<void(FetchedPolicy)> callback) {
  return std::make_unique<PolicyStep>(services_.fetcher, policy_host, std::move(connection), limits,
                                      std::move(callback));
}

}  // namespace mtastsd::discovery
