// A lookup goes from start_record() to finish(): each function starts a step and the next one takes
// its result. WorkQueue says when a step may start, decide.h what its result means.
//
// Logs Overloaded, at most once a minute, and what log_outcome() and upkeep.cc log.

#include "mtastsd/resolver/resolver.h"

#include <algorithm>
#include <utility>

#include "clock_check.h"
#include "line_budget.h"
#include "lookup.h"
#include "mtastsd/base/owner.h"
#include "mtastsd/base/text.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mx_watch.h"
#include "outcome.h"
#include "repeats.h"
#include "surveys.h"
#include "work_queue.h"

namespace mtastsd::resolver {
namespace {

constexpr Milliseconds kMinFetchTime{1000};
constexpr std::chrono::minutes kOverloadWarningInterval{1};
// RFC 8461 section 3.3 suggests a minute for a fetch. Others wait when more than half of the slots
// are taken, and then a connection, or a standstill, gets less.
constexpr Milliseconds kConnectUnderPressure{10000};
constexpr Milliseconds kStallUnderPressure{10000};

WorkQueue::Slots slots_of(const Options& options) {
  return {.record = options.max_discovering,
          .addresses = options.max_locating,
          .policy = options.max_fetching,
          .per_host = options.max_fetching_per_host,
          .domains = options.max_domains};
}

cache::FailureType type_of(discovery::PolicyFailure::Kind kind) {
  switch (kind) {
    case discovery::PolicyFailure::Kind::Fetch:
      break;
    case discovery::PolicyFailure::Kind::Certificate:
      return cache::FailureType::WebpkiInvalid;
    case discovery::PolicyFailure::Kind::Syntax:
      return cache::FailureType::PolicyInvalid;
  }
  return cache::FailureType::FetchError;
}

Outcome::Kind kind_of(discovery::Record::Status status) {
  switch (status) {
    case discovery::Record::Status::Found:
    case discovery::Record::Status::None:
      break;
    case discovery::Record::Status::Unusable:
      return Outcome::Kind::RecordUnusable;
    case discovery::Record::Status::DnsFailed:
      return Outcome::Kind::DnsFailed;
  }
  return Outcome::Kind::Checked;
}

std::string_view result_text(discovery::Record::Status status) {
  switch (status) {
    case discovery::Record::Status::Found:
      return "found";
    case discovery::Record::Status::None:
      return "none";
    case discovery::Record::Status::Unusable:
      return "unusable";
    case discovery::Record::Status::DnsFailed:
      break;
  }
  return "dns-failed";
}

// Empty: none has answered, or a proxy connects.
std::string address_text(const std::optional<IpAddress>& address) {
  return address ? address->str() : std::string();
}

Answer refused() {
  return {.failed = true, .detail = "too many domains are being looked up"};
}

}  // namespace

Resolver::Resolver(Services services, Options options)
    : services_(std::move(services)),
      options_(options),
      queue_(std::make_unique<WorkQueue>(slots_of(options))),
      dns_failed_(std::make_unique<Repeats>()),
      follow_up_slots_(std::make_unique<FairSlots>()),
      line_budget_(std::make_unique<LineBudget>(services_.log)),
      clock_check_(std::make_unique<ClockCheck>(services_.clock)),
      surveys_(std::make_unique<Surveys>(services_, counters_, *line_budget_)),
      mx_watch_(std::make_unique<MxWatch>(services_, counters_, *line_budget_)),
      follow_up_timer_(services_.timers.make_timer([this] { run_follow_ups(); })),
      due_timer_(services_.timers.make_timer([this] { run_due(); })) {
  follow_up_slots_->set_size(kMaxFollowUps);
  mx_watch_->set_idle_after(options.limits.idle_after);
  due_timer_->arm(kDueInterval);
}

Resolver::~Resolver() = default;

void Resolver::set_options(const Options& options) {
  options_ = options;
  queue_->set_slots(slots_of(options));
  mx_watch_->set_idle_after(options.limits.idle_after);
}

void Resolver::set_overrides(overrides::TablePtr overrides) {
  mx_watch_->set_overrides(std::move(overrides));
}

std::vector<MxMismatch> Resolver::mx_mismatches(const std::string& after, std::size_t most) const {
  return mx_watch_->mismatches(after, most);
}

std::size_t Resolver::mx_mismatch_count() const {
  return mx_watch_->count();
}

// --- queries and operators --------------------------------------------------------------------

NowOrLater<Answer> Resolver::ask(const DomainName& domain, Waiter waiter) {
  if (cache::EntryPtr known = note_query(domain)) {
    return Answer{.entry = std::move(known)};
  }
  Lookup* lookup = join_or_create(domain, Lane::Waited);
  if (lookup == nullptr) {
    return refused();
  }
  lookup->for_query = true;
  return wait_for(*lookup, lookup->waiters, std::move(waiter));
}

void Resolver::touch(const DomainName& domain) {
  if (!note_query(domain)) {
    look_up_for_query(domain, Lane::Idle);
  }
}

// Notes the use of the domain and has its record checked if that is due. What is known, or null if
// that has to be found out first.
cache::EntryPtr Resolver::note_query(const DomainName& domain) {
  const WallTime now = services_.clock.wall();
  cache::EntryPtr known = services_.store.find(domain);
  if (!known) {
    return nullptr;
  }
  if (auto touched = resolver::touch(*known, now, options_.limits)) {
    known = std::make_shared<const cache::Entry>(*touched);
    services_.store.put(domain, *std::move(touched));
  }
  const cache::EntryFacts facts = facts_of(*known);
  if (judge(facts, now).standing == Standing::Unknown) {
    return nullptr;
  }
  if (recheck_due(facts, now)) {
    look_up_for_query(domain, Lane::Upkeep);
  }
  return known;
}

void Resolver::look_up_for_query(const DomainName& domain, Lane lane) {
  if (Lookup* lookup = join_or_create(domain, lane)) {
    lookup->for_query = true;
    start_work();
  }
}

NowOrLater<Answer> Resolver::survey(const DomainName& domain, const dane::Target& target,
                                    Waiter waiter) {
  return surveys_->survey(domain, target, std::move(waiter));
}

NowOrLater<Answer> Resolver::refresh(const DomainName& domain, Purpose purpose, Waiter waiter) {
  Lookup* lookup = join_or_create(domain, Lane::Waited);
  if (lookup == nullptr) {
    return refused();
  }
  if (lookup->decided && lookup->purpose == Purpose::Check) {
    // It may be fetching a policy that is no longer the one of now.
    lookup->purpose_after = std::max(lookup->purpose_after, purpose);
    return wait_for(*lookup, lookup->waiters_for_refresh, std::move(waiter));
  }
  mark_refresh(*lookup, purpose);
  return wait_for(*lookup, lookup->waiters, std::move(waiter));
}

NowOrLater<cache::EntryPtr> Resolver::forget(const DomainName& domain,
                                             std::function<void(cache::EntryPtr)> done) {
  const auto drop = [this, domain] {
    cache::EntryPtr known = services_.store.find(domain);
    if (known) {
      services_.store.erase(domain);
    }
    ending_soon_.erase(domain);
    mx_watch_->forget(domain);
    return known;
  };
  if (auto ticket = when_idle(domain, [drop, done = std::move(done)] { done(drop()); })) {
    return *std::move(ticket);
  }
  return drop();
}

std::optional<Ticket> Resolver::when_idle(const DomainName& domain, std::function<void()> then) {
  const auto it = lookups_.find(domain);
  if (it == lookups_.end()) {
    return std::nullopt;
  }
  Lookup& lookup = *it->second;
  return wait_for(lookup, lookup.waiters, [then = std::move(then)](const Answer&) { then(); });
}

// The lookup of the domain that is running, a new one in `lane`, or null where there is no room.
Resolver::Lookup* Resolver::join_or_create(const DomainName& domain, Lane lane) {
  if (const auto it = lookups_.find(domain); it != lookups_.end()) {
    counters_.coalesced.add();
    return it->second.get();
  }
  return create(domain, lane);
}

Resolver::Lookup* Resolver::create(const DomainName& domain, Lane lane) {
  if (!queue_->add(domain, lane)) {
    counters_.overload.add();
    warn_overload();
    return nullptr;
  }
  // What is looked up for somebody is of no use to anybody when they have gone.
  const Lane later = lane == Lane::Waited ? Lane::Idle : lane;
  auto lookup = std::make_unique<Lookup>(domain, later, ++last_lookup_, services_.clock.steady());
  return lookups_.emplace(domain, std::move(lookup)).first->second.get();
}

void Resolver::mark_refresh(Lookup& lookup, Purpose purpose) {
  counters_.refreshes.add();
  queue_->add_refresh(lookup.domain);
  lookup.purpose = std::max(lookup.purpose, purpose);
}

Ticket Resolver::wait_for(Lookup& lookup, Cells& cells, Waiter waiter) {
  auto cell = std::make_shared<Waiter>(std::move(waiter));
  cells.push_back(cell);
  wait_in_front(lookup);
  start_work();
  return Ticket(std::move(cell));
}

void Resolver::wait_in_front(Lookup& lookup) {
  const SteadyTime now = services_.clock.steady();
  const bool noted = lookup.waited_until > SteadyTime{};
  lookup.waited_until = now + options_.patience;
  if (!noted) {
    patience_.push_back({lookup.waited_until, lookup.domain, lookup.number});
  }
  queue_->move(lookup.domain, Lane::Waited);
}

// Those who waited have been answered with what was known.
void Resolver::lower_what_nobody_waits_for() {
  const SteadyTime now = services_.clock.steady();
  while (!patience_.empty() && patience_.front().until <= now) {
    const Patience next = patience_.front();
    patience_.pop_front();
    const auto it = lookups_.find(next.domain);
    if (it == lookups_.end() || it->second->number != next.lookup) {
      continue;
    }
    Lookup& lookup = *it->second;
    if (lookup.waited_until > now) {
      patience_.push_back({lookup.waited_until, lookup.domain, lookup.number});
      continue;
    }
    lookup.waited_until = {};
    queue_->move(lookup.domain, lookup.lane);
  }
}

void Resolver::warn_overload() {
  const SteadyTime now = services_.clock.steady();
  if (last_overload_warning_ && now - *last_overload_warning_ < kOverloadWarningInterval) {
    return;
  }
  last_overload_warning_ = now;
  services_.log.write(Event::Overloaded, {{"at_work", lookups_.size()},
                                          {"refused_so_far", counters_.overload.value()}});
}

// --- one lookup -------------------------------------------------------------------------------

void Resolver::start_work() {
  lower_what_nobody_waits_for();
  while (const auto domain = queue_->next(WorkQueue::Stage::Policy)) {
    start_policy(*lookups_.at(*domain));
  }
  while (const auto domain = queue_->next(WorkQueue::Stage::Addresses)) {
    start_addresses(*lookups_.at(*domain));
  }
  while (const auto domain = queue_->next(WorkQueue::Stage::Record)) {
    start_record(*lookups_.at(*domain));
  }
}

void Resolver::start_record(Lookup& lookup) {
  counters_.resolutions.add();
  services_.log.write(Event::LookupStarted,
                      {{"domain", lookup.domain.view()}, {"purpose", to_string(lookup.purpose)}});
  lookup.step = services_.discovery.record(
      lookup.domain,
      [this, &lookup](const discovery::Record& record) { on_record(lookup, record); });
}

void Resolver::on_record(Lookup& lookup, const discovery::Record& record) {
  if (record.status == discovery::Record::Status::DnsFailed) {
    counters_.txt_failures.add();
  }
  services_.log.write(Event::RecordLookedUp, {{"domain", lookup.domain.view()},
                                              {"result", result_text(record.status)},
                                              {"id", record.id},
                                              {"ttl_s", record.ttl.count()},
                                              {"reason", record.detail}});
  note_dns(record.status == discovery::Record::Status::DnsFailed);
  // Read now and not at the start: the answer took its time.
  const cache::EntryPtr known = services_.store.find(lookup.domain);
  AfterRecord after =
      after_record(known.get(), record, lookup.purpose, services_.clock.wall(), options_.limits);
  // An entry that was imported by an older version can have a name too long for a policy host.
  if (!after.fetch || !lookup.domain.under("mta-sts")) {
    finish(
        lookup,
        {.kind = kind_of(record.status), .entry = std::move(after.entry), .detail = record.detail});
    return;
  }
  lookup.decided = true;
  lookup.id = record.id;
  lookup.entry = std::move(after.entry);
  queue_->advance(lookup.domain);
  start_work();
}

void Resolver::start_addresses(Lookup& lookup) {
  counters_.fetches.add();
  lookup.step = services_.discovery.policy_host(
      *lookup.domain.under("mta-sts"), [this, &lookup](discovery::HostAddresses addresses) {
        on_addresses(lookup, std::move(addresses));
      });
}

void Resolver::on_addresses(Lookup& lookup, discovery::HostAddresses addresses) {
  if (services_.log.wanted(LogLevel::Trace)) {
    services_.log.write(
        Event::PolicyHostLookedUp,
        {{"domain", lookup.domain.view()},
         {"addresses", joined(addresses.usable, ",", [](const auto& one) { return one.str(); })},
         {"reason", addresses.detail}});
  }
  if (!addresses.can_connect()) {
    finish_fetch(
        lookup, failure(FetchFailure{cache::FailureType::FetchError, std::move(addresses.detail)}));
    return;
  }
  lookup.tries.emplace(std::move(addresses));
  queue_->advance(lookup.domain);
  start_work();
}

// A slot of a policy host is that of the address which has answered. Where it had none left, the
// connection is made anew when its turn comes.
void Resolver::start_policy(Lookup& lookup) {
  const auto& address = lookup.tries->address();
  if (address && !queue_->claim_host(lookup.domain, *address)) {
    return;
  }
  if (lookup.tries->is_first()) {
    lookup.fetch_started = services_.clock.steady();
  }
  connect(lookup);
}

void Resolver::connect(Lookup& lookup) {
  const bool hurry = queue_->under_pressure();
  lookup.step = services_.discovery.connect(
      lookup.tries->next(),
      hurry ? std::min(kConnectUnderPressure, time_left(lookup)) : time_left(lookup),
      [this, &lookup](discovery::Connected connected) {
        on_connected(lookup, std::move(connected));
      });
}

void Resolver::on_connected(Lookup& lookup, discovery::Connected connected) {
  if (!connected) {
    trace_failure(lookup, connected.error());
    lookup.tries->connect_failed(std::move(connected.error()));
    give_up(lookup);
    return;
  }
  const bool chosen = lookup.tries->address().has_value();
  lookup.tries->connected(connected->address);
  const auto& address = lookup.tries->address();
  if (address && !chosen && !queue_->claim_host(lookup.domain, *address)) {
    lookup.step.reset();
    start_work();
    return;
  }
  fetch(lookup, *std::move(connected));
}

void Resolver::fetch(Lookup& lookup, https::Connection connection) {
  const auto& address = lookup.tries->address();
  services_.log.write(Event::PolicyHostConnected,
                      {{"domain", lookup.domain.view()}, {"address", address_text(address)}});
  const bool hurry = queue_->under_pressure() || (address && queue_->under_pressure(*address));
  lookup.step = services_.discovery.policy(
      *lookup.domain.under("mta-sts"), std::move(connection),
      {.total = time_left(lookup), .stall = hurry ? kStallUnderPressure : Milliseconds(0)},
      [this, &lookup](discovery::FetchedPolicy fetched) { on_policy(lookup, std::move(fetched)); });
}

void Resolver::on_policy(Lookup& lookup, discovery::FetchedPolicy fetched) {
  if (fetched.policy) {
    finish_fetch(lookup, Fetched{*std::move(fetched.policy)});
    return;
  }
  trace_failure(lookup, fetched.policy.error());
  const bool in_time = services_.clock.steady() - lookup.fetch_started < options_.fetch_timeout;
  if (!lookup.tries->fetch_failed(std::move(fetched.policy.error()), in_time)) {
    give_up(lookup);
    return;
  }
  queue_->leave_host(lookup.domain);
  connect(lookup);
}

void Resolver::trace_failure(const Lookup& lookup, const discovery::PolicyFailure& why) {
  services_.log.write(Event::PolicyHostFailed, {{"domain", lookup.domain.view()},
                                                {"address", address_text(lookup.tries->address())},
                                                {"reason", why.detail}});
}

// No address of the policy host gave a policy.
void Resolver::give_up(Lookup& lookup) {
  const discovery::PolicyFailure why = lookup.tries->failures()[lookup.tries->most_telling()].why;
  finish_fetch(lookup, failure(FetchFailure{type_of(why.kind), why.detail}));
}

// Of options_.fetch_timeout.
Milliseconds Resolver::time_left(const Lookup& lookup) const {
  const auto elapsed =
      std::chrono::duration_cast<Milliseconds>(services_.clock.steady() - lookup.fetch_started);
  return std::max(options_.fetch_timeout - elapsed, kMinFetchTime);
}

void Resolver::finish_fetch(Lookup& lookup, const Result<Fetched, FetchFailure>& fetched) {
  // A use may have been noted, and a survey have ended, while the fetch was running.
  if (const auto current = services_.store.find(lookup.domain)) {
    lookup.entry.last_used_at = current->last_used_at;
    lookup.entry.dane_states = current->dane_states;
  }
  AfterFetch after = after_fetch(lookup.entry, lookup.id, fetched, services_.clock.wall(),
                                 options_.limits, services_.jitter());
  Outcome outcome{.kind = Outcome::Kind::Fetched,
                  .entry = std::move(after.entry),
                  .change = after.change,
                  .weaker = after.weaker,
                  .alarm = after.alarm};
  if (!fetched) {
    counters_.fetch_failures.add();
    count_failure(fetched.error().type);
    outcome.kind = Outcome::Kind::FetchFailed;
    outcome.detail = fetched.error().detail;
  }
  finish(lookup, std::move(outcome));
}

void Resolver::count_failure(cache::FailureType type) {
  switch (type) {
    case cache::FailureType::FetchError:
      counters_.fetch_errors.add();
      break;
    case cache::FailureType::PolicyInvalid:
      counters_.policies_invalid.add();
      break;
    case cache::FailureType::WebpkiInvalid:
      counters_.certificates_invalid.add();
      break;
  }
}

std::array<Resolver::StageLoad, Resolver::kStages> Resolver::load() const {
  std::array<StageLoad, kStages> load = queue_->load();
  load[0].places = options_.max_discovering;
  load[1].places = options_.max_locating;
  load[2].places = options_.max_fetching;
  return load;
}

void Resolver::finish(Lookup& lookup, Outcome outcome) {
  lookup.step.reset();  // the one whose callback this is
  const DomainName domain = lookup.domain;
  outcome.took =
      std::chrono::duration_cast<Milliseconds>(services_.clock.steady() - lookup.started);
  counters_.look_up_time.add(outcome.took);
  if (lookup.for_query) {
    outcome.entry.last_used_at = services_.clock.wall();
  }
  const auto entry = std::make_shared<const cache::Entry>(outcome.entry);
  services_.store.put(domain, *entry);
  note_ending(domain, *entry);
  if (outcome.kind == Outcome::Kind::DnsFailed) {
    outcome.again = dns_failed_->again(domain, services_.clock.steady());
  } else {
    dns_failed_->is_well(domain);
  }
  if (line_budget_->spend(owner_of(domain), services_.clock.steady())) {
    log_outcome(services_.log, domain, outcome, services_.clock.wall());
  }

  queue_->finish(domain);
  const auto ended = std::move(lookups_.extract(domain).mapped());
  const Answer answer{.entry = entry,
                      .fresh = outcome.kind == Outcome::Kind::Fetched,
                      .change = outcome.change,
                      .failed = outcome.failed(),
                      .detail = std::move(outcome.detail)};
  tell(ended->waiters, answer);
  if (!ended->waiters_for_refresh.empty()) {
    refresh_again(domain, ended->purpose_after, std::move(ended->waiters_for_refresh));
  }
  if (ended->for_query) {
    plan_follow_up(domain, *entry);
  }
  start_work();
}

// For operators who came while a lookup was fetching already.
void Resolver::refresh_again(const DomainName& domain, Purpose purpose, Cells cells) {
  if (Lookup* next = join_or_create(domain, Lane::Waited)) {
    mark_refresh(*next, purpose);
    next->waiters.insert(next->waiters.end(), cells.begin(), cells.end());
    wait_in_front(*next);
    return;
  }
  tell(cells, refused());
}

void Resolver::tell(const Cells& cells, const Answer& answer) {
  for (const auto& cell : cells) {
    if (const Waiter waiter = std::exchange(*cell, nullptr)) {
      waiter(answer);
    }
  }
}

// A policy whose refreshes fail, near its end.
void Resolver::note_ending(const DomainName& domain, const cache::Entry& entry) {
  const WallTime now = services_.clock.wall();
  if (!entry.holds_policy() || !entry.failure ||
      entry.policy->policy.mode != mtasts::Mode::Enforce ||
      entry.policy->expires_at() - now > kEndsSoon) {
    ending_soon_.erase(domain);
    return;
  }
  if (ending_soon_.size() < kMaxEndingSoon && ending_soon_.insert(domain).second &&
      line_budget_->spend(owner_of(domain), services_.clock.steady())) {
    services_.log.write(
        Event::PolicyEndsSoon,
        {{"domain", domain.view()},
         {"reason", entry.failure->detail},
         {"expires_in_s", std::max(entry.policy->expires_at() - now, Seconds(0)).count()}});
  }
}

}  // namespace mtastsd::resolver
