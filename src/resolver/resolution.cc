#include "resolution.h"

#include <algorithm>
#include <utility>

#include "mtastsd/cache/store.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/mtasts/txt_record.h"

namespace mtastsd::resolver {
namespace {

// After the first family of addresses is there, how long the other is waited for.
constexpr Milliseconds kAddressGrace{1000};
constexpr Milliseconds kLeastFetchTime{1000};
constexpr std::size_t kMaxAddressesPerFamily = 8;

std::string describe(const mtasts::TxtError& error) {
  switch (error.fault) {
    case mtasts::TxtFault::NoRecord:
      return "no MTA-STS record";
    case mtasts::TxtFault::MultipleRecords:
      return "more than one MTA-STS record";
    case mtasts::TxtFault::InvalidRecord:
      return "invalid MTA-STS record: " + error.error.detail;
  }
  return "no MTA-STS record";
}

}  // namespace

Resolution::Resolution(const DomainName& domain, Services& services, const Options& options,
                       ResolutionOwner& owner, Counters& counters)
    : domain_(domain),
      services_(services),
      options_(options),
      owner_(owner),
      counters_(counters),
      started_(services.clock.steady()) {}

void Resolution::begin() {
  phase_ = Phase::Discovering;
  counters_.resolutions.add();
  const auto name = domain_.under("_mta-sts");
  if (!name) {
    // Keys are bounded so that the name fits; an imported or older entry might not be.
    on_txt(std::variant<dns::TxtRecords, dns::NoSuchRecord>(dns::NoSuchRecord{}));
    return;
  }
  txt_ =
      services_.dns.txt(name->str(), [this](dns::TxtAnswer answer) { on_txt(std::move(answer)); });
}

void Resolution::on_txt(dns::TxtAnswer answer) {
  TxtOutcome txt;
  if (!answer) {
    txt.status = TxtStatus::Failed;
    dns_failed_ = true;
    counters_.txt_failures.add();
    detail_ = "DNS: " + describe(answer.error());
  } else if (const auto* found = std::get_if<dns::TxtRecords>(&*answer)) {
    const auto record = mtasts::select_txt_record(found->records);
    txt.status = record ? TxtStatus::Found : TxtStatus::NoRecord;
    txt.ttl = found->ttl;
    if (record) {
      txt.id = record->id;
    } else {
      detail_ = describe(record.error());
      broken_record_ = record.error().fault != mtasts::TxtFault::NoRecord;
    }
  } else {
    txt.status = TxtStatus::NoRecord;
    txt.ttl = std::get<dns::NoSuchRecord>(*answer).negative_ttl;
    detail_ = "no MTA-STS record";
  }

  // Read now and not at the start: the answer took its time.
  const cache::EntryPtr known = services_.store.find(domain_);
  AfterTxt after = after_txt(known ? std::optional(*known) : std::nullopt, txt, refresh,
                             services_.clock.wall(), options_.limits);
  if (after.fetch) {
    id_ = txt.id;
    entry_ = std::move(after.entry);
    phase_ = Phase::WaitingToFetch;
    owner_.wants_fetch(*this);
    return;
  }
  Outcome outcome;
  outcome.entry = std::move(after.entry);
  outcome.dns_failed = dns_failed_;
  outcome.broken_record = broken_record_;
  outcome.detail = std::move(detail_);
  owner_.finished(*this, std::move(outcome));  // Nothing may follow: it destroys *this.
}

void Resolution::begin_fetch() {
  phase_ = Phase::Fetching;
  fetch_started_ = services_.clock.steady();
  if (host_) {  // it had to wait for its place there
    connect();
    return;
  }
  counters_.fetches.add();
  if (services_.fetcher.uses_proxy()) {
    addresses_complete();
    return;
  }
  const auto host = domain_.under("mta-sts");
  const std::string name = host->str();
  a_ = services_.dns.a(
      name, [this](dns::AddressAnswer answer) { on_addresses(false, std::move(answer)); });
  if (services_.has_ipv6()) {
    aaaa_ = services_.dns.aaaa(
        name, [this](dns::AddressAnswer answer) { on_addresses(true, std::move(answer)); });
  }
}

void Resolution::on_addresses(bool v6, dns::AddressAnswer answer) {
  (v6 ? aaaa_ : a_).reset();
  if (!answer) {
    address_error_ = describe(answer.error());
  } else if (auto* found = std::get_if<dns::Addresses>(&*answer)) {
    (v6 ? v6_ : v4_) = std::move(found->addresses);
  }
  if (!a_ && !aaaa_) {
    addresses_complete();  // Nothing may follow: it can destroy *this.
    return;
  }
  if (!v4_.empty() || !v6_.empty()) {
    grace_ = services_.timers.make_timer([this] {
      a_.reset();
      aaaa_.reset();
      addresses_complete();  // Nothing may follow: it can destroy *this.
    });
    grace_->arm(kAddressGrace);
  }
}

std::vector<IpAddress> Resolution::vetted(std::string& refused) const {
  std::vector<IpAddress> addresses;
  for (const auto* family : {&v6_, &v4_}) {
    std::size_t taken = 0;
    for (const IpAddress& address : *family) {
      if (!options_.allow_local_addresses && address.is_local()) {
        refused = address.str();
      } else if (taken < kMaxAddressesPerFamily) {
        addresses.push_back(address);
        ++taken;
      }
    }
  }
  return addresses;
}

void Resolution::addresses_complete() {
  if (grace_) {
    grace_->cancel();
  }
  if (services_.fetcher.uses_proxy()) {
    connect();
    return;
  }
  std::string refused;
  addresses_ = vetted(refused);
  if (addresses_.empty()) {
    std::string why = domain_.under("mta-sts")->str();
    if (!refused.empty()) {
      why += " has only local addresses (" + refused +
             "), which [https] allow_local_addresses forbids";
    } else if (!address_error_.empty()) {
      why += ": DNS: " + address_error_;
    } else {
      why += " has no address";
    }
    fail_fetch(cache::FailureType::FetchError, std::move(why));
    return;
  }
  host_ = addresses_.front();
  switch (owner_.claim_host(*this)) {
    case HostPlaces::Claim::Granted:
      connect();
      break;
    case HostPlaces::Claim::Waits:
      break;
    case HostPlaces::Claim::Refused: {
      const std::string host = host_->str();
      host_.reset();
      fail_fetch(cache::FailureType::FetchError,
                 "too many policies are being fetched from " + host + " already");
      break;
    }
  }
}

void Resolution::connect() {
  const auto elapsed =
      std::chrono::duration_cast<Milliseconds>(services_.clock.steady() - fetch_started_);
  const Milliseconds limit = std::max(options_.fetch_timeout - elapsed, kLeastFetchTime);
  fetch_ =
      services_.fetcher.fetch(*domain_.under("mta-sts"), addresses_, limit,
                              [this](https::FetchResult result) { on_fetched(std::move(result)); });
}

void Resolution::on_fetched(https::FetchResult result) {
  if (!result) {
    const bool certificate = result.error().kind == https::ErrorKind::Certificate;
    fail_fetch(certificate ? cache::FailureType::WebpkiInvalid : cache::FailureType::FetchError,
               std::move(result.error().detail));
    return;
  }
  auto policy = mtasts::parse_policy(result->body);
  if (!policy) {
    fail_fetch(
        cache::FailureType::PolicyInvalid,
        "policy at byte " + std::to_string(policy.error().offset) + ": " + policy.error().detail);
    return;
  }
  finish_fetch(Fetched{std::move(*policy), std::move(result->body)});
}

void Resolution::fail_fetch(cache::FailureType type, std::string detail) {
  counters_.fetch_failures.add();
  finish_fetch(failure(FetchFailure{type, std::move(detail)}));
}

void Resolution::finish_fetch(const Result<Fetched, FetchFailure>& outcome) {
  // The entry may have been noted as used while the fetch ran.
  if (const auto current = services_.store.find(domain_)) {
    entry_.last_used_at = current->last_used_at;
  }
  AfterFetch after = after_fetch(entry_, id_, outcome, services_.clock.wall(), options_.limits,
                                 services_.jitter());
  Outcome result;
  result.entry = std::move(after.entry);
  result.fetched = outcome.has_value();
  result.change = after.change;
  result.weaker = after.weaker;
  result.alarm = after.alarm;
  result.fetch_failed = !outcome;
  result.dns_failed = dns_failed_;
  result.detail = outcome ? std::string() : outcome.error().detail;
  owner_.finished(*this, std::move(result));  // Nothing may follow: it destroys *this.
}

}  // namespace mtastsd::resolver
