// Logs, at info: "policy stored", "policy expired", "fetch failed", "TXT look-up failed",
// "unusable record"; "checked" and "no policy" at debug. At warn:
// "policy weakened", "policy refresh fails", "too many domains at once" (once a minute).

#include "mtastsd/resolver/resolver.h"

#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "mtastsd/cache/store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "resolution.h"

namespace mtastsd::resolver {
namespace {

constexpr std::size_t kMaxFollowUps = 20000;
constexpr Milliseconds kDuePass{15000};
constexpr Milliseconds kNextDuePass{100};  // while there is more than one pass takes
constexpr std::chrono::minutes kOverloadWarning{1};

std::string_view name_of(Change change) {
  switch (change) {
    case Change::None:
      return "none";
    case Change::New:
      return "new";
    case Change::Replaced:
      return "replaced";
    case Change::Drifted:
      return "drifted";
  }
  return "none";
}

}  // namespace

class Resolver::Impl final : public ResolutionOwner {
 public:
  Impl(Services services, Options options)
      : services_(std::move(services)),
        options_(options),
        follow_up_timer_(services_.timers.make_timer([this] { run_follow_ups(); })),
        due_timer_(services_.timers.make_timer([this] { run_due(); })) {
    due_timer_->arm(kDuePass);
  }

  void ask(const DomainName& domain, Waiter waiter);
  void refresh(const DomainName& domain, Waiter waiter);
  void forget(const DomainName& domain, std::function<void(cache::EntryPtr)> done);
  void when_idle(const DomainName& domain, std::function<void()> then);
  void run_due();
  void wants_fetch(Resolution& resolution) override;
  HostPlaces::Claim claim_host(Resolution& resolution) override;
  void finished(Resolution& resolution, Outcome outcome) override;

  Services services_;
  Options options_;
  Counters counters_;
  std::unordered_map<DomainName, std::unique_ptr<Resolution>> running_;
  std::set<DomainName> failing_;  // at most kMaxFailing

 private:
  Resolution* join_or_create(const DomainName& domain);
  void schedule(Resolution& resolution);
  void start_queued();
  Resolution* next_queued(std::deque<DomainName>& queue, Resolution::Phase phase);
  void start_fetches();
  void release_host(const IpAddress& address);
  bool waits_for_host(const DomainName& domain) const;
  std::size_t room_to_refresh() const;
  void look_at(const DomainName& domain, WallTime now);
  void note_failing(const DomainName& domain, const cache::Entry& entry);
  void plan_follow_up(const DomainName& domain, const cache::Entry& entry);
  void run_follow_ups();
  void arm_follow_up_timer();
  void log_outcome(const Resolution& resolution, const Outcome& outcome);
  void warn_overload();

  std::size_t discovering_ = 0;
  std::size_t fetching_ = 0;
  std::size_t refreshing_ = 0;  // of running_
  HostPlaces hosts_;
  std::deque<DomainName> urgent_;      // queued, somebody waits
  std::deque<DomainName> background_;  // queued, nobody does
  std::deque<DomainName> fetch_urgent_;
  std::deque<DomainName> fetch_background_;
  std::multimap<SteadyTime, DomainName> follow_ups_;
  SteadyTime last_overload_warning_{};
  std::unique_ptr<event::Timer> follow_up_timer_;
  std::unique_ptr<event::Timer> due_timer_;
};

void Resolver::Impl::ask(const DomainName& domain, Waiter waiter) {
  const WallTime now = services_.clock.wall();
  if (auto entry = services_.store.find(domain)) {
    if (cache::Entry used = *entry; note_use(used, now, options_.limits)) {
      entry = std::make_shared<const cache::Entry>(used);
      services_.store.put(domain, std::move(used));
    }
    const Look known = look(facts_of(*entry), now);
    if (known.standing != Standing::Unknown) {
      if (waiter) {
        waiter(std::make_shared<const Answer>(Answer{entry, false}));
        waiter = nullptr;
      }
      if (!recheck_due(facts_of(*entry), now)) {
        return;
      }
    }
  }
  Resolution* resolution = join_or_create(domain);
  if (resolution == nullptr) {
    if (waiter) {
      waiter(nullptr);
    }
    return;
  }
  resolution->for_query = true;
  if (waiter) {
    resolution->waiters.push_back(std::move(waiter));
  }
  schedule(*resolution);
}

void Resolver::Impl::refresh(const DomainName& domain, Waiter waiter) {
  Resolution* resolution = join_or_create(domain);
  if (resolution == nullptr) {
    if (waiter) {
      waiter(nullptr);
    }
    return;
  }
  if (waiter && !resolution->refresh && resolution->phase() != Resolution::Phase::Queued &&
      resolution->phase() != Resolution::Phase::Discovering) {
    // It was decided already what to fetch, for another reason.
    when_idle(domain, [this, domain, waiter = std::move(waiter)] { refresh(domain, waiter); });
    return;
  }
  counters_.refreshes.add();
  refreshing_ += resolution->refresh ? 0 : 1;
  resolution->refresh = true;
  if (waiter) {
    resolution->waiters.push_back(std::move(waiter));
  }
  schedule(*resolution);
}

void Resolver::Impl::forget(const DomainName& domain, std::function<void(cache::EntryPtr)> done) {
  when_idle(domain, [this, domain, done = std::move(done)] {
    auto known = services_.store.find(domain);
    if (known) {
      services_.store.erase(domain);
    }
    failing_.erase(domain);
    done(std::move(known));
  });
}

void Resolver::Impl::when_idle(const DomainName& domain, std::function<void()> then) {
  const auto it = running_.find(domain);
  if (it == running_.end()) {
    then();
    return;
  }
  it->second->waiters.push_back(
      [then = std::move(then)](const std::shared_ptr<const Answer>&) { then(); });
  schedule(*it->second);
}

void Resolver::Impl::note_failing(const DomainName& domain, const cache::Entry& entry) {
  if (!entry.policy || !entry.failure) {
    failing_.erase(domain);
  } else if (failing_.size() < kMaxFailing) {
    failing_.insert(domain);
  }
}

// The running resolution of the domain, a new one, or null beyond max_domains.
Resolution* Resolver::Impl::join_or_create(const DomainName& domain) {
  if (const auto it = running_.find(domain); it != running_.end()) {
    counters_.coalesced.add();
    return it->second.get();
  }
  if (running_.size() >= options_.max_domains) {
    counters_.overload.add();
    warn_overload();
    return nullptr;
  }
  auto resolution = std::make_unique<Resolution>(domain, services_, options_, *this, counters_);
  return running_.emplace(domain, std::move(resolution)).first->second.get();
}

// Puts a resolution in line, or in the line of those that somebody waits for. One that stands in
// both has begun by its second turn, which then passes.
void Resolver::Impl::schedule(Resolution& resolution) {
  const auto line =
      resolution.waiters.empty() ? Resolution::Line::Background : Resolution::Line::Urgent;
  if (line <= resolution.line) {
    return;
  }
  resolution.line = line;
  if (resolution.phase() == Resolution::Phase::Queued) {
    (line == Resolution::Line::Urgent ? urgent_ : background_).push_back(resolution.domain());
    start_queued();
  } else if (resolution.phase() == Resolution::Phase::WaitingToFetch) {
    fetch_urgent_.push_back(resolution.domain());
  } else if (resolution.phase() == Resolution::Phase::WaitingForHost) {
    hosts_.hurry(*resolution.host(), resolution.domain());
  }
}

Resolution* Resolver::Impl::next_queued(std::deque<DomainName>& queue, Resolution::Phase phase) {
  while (!queue.empty()) {
    const auto it = running_.find(queue.front());
    queue.pop_front();
    if (it != running_.end() && it->second->phase() == phase) {
      return it->second.get();
    }
  }
  return nullptr;
}

void Resolver::Impl::start_queued() {
  while (discovering_ < options_.max_discovering) {
    Resolution* next = next_queued(urgent_, Resolution::Phase::Queued);
    if (next == nullptr) {
      next = next_queued(background_, Resolution::Phase::Queued);
    }
    if (next == nullptr) {
      return;
    }
    ++discovering_;
    next->begin();
  }
}

void Resolver::Impl::wants_fetch(Resolution& resolution) {
  --discovering_;
  (resolution.waiters.empty() ? fetch_background_ : fetch_urgent_).push_back(resolution.domain());
  start_fetches();
  start_queued();
}

void Resolver::Impl::start_fetches() {
  while (fetching_ < options_.max_fetching) {
    Resolution* next = next_queued(fetch_urgent_, Resolution::Phase::WaitingToFetch);
    if (next == nullptr) {
      next = next_queued(fetch_background_, Resolution::Phase::WaitingToFetch);
    }
    if (next == nullptr) {
      return;
    }
    ++fetching_;
    next->begin_fetch();
  }
}

HostPlaces::Claim Resolver::Impl::claim_host(Resolution& resolution) {
  const auto claim = hosts_.claim(*resolution.host(), resolution.domain(),
                                  !resolution.waiters.empty(), options_.max_fetching_per_host);
  if (claim == HostPlaces::Claim::Waits) {
    resolution.wait_for_host();
    --fetching_;
    start_fetches();
  }
  return claim;
}

bool Resolver::Impl::waits_for_host(const DomainName& domain) const {
  const auto it = running_.find(domain);
  return it != running_.end() && it->second->phase() == Resolution::Phase::WaitingForHost;
}

void Resolver::Impl::release_host(const IpAddress& address) {
  const auto next =
      hosts_.release(address, [this](const DomainName& domain) { return waits_for_host(domain); });
  if (next) {
    Resolution& resolution = *running_.at(*next);
    resolution.host_claimed();
    (resolution.waiters.empty() ? fetch_background_ : fetch_urgent_).push_back(*next);
  }
}

void Resolver::Impl::finished(Resolution& resolution, Outcome outcome) {
  const DomainName domain = resolution.domain();
  if (resolution.phase() == Resolution::Phase::Fetching) {
    --fetching_;
  } else {
    --discovering_;
  }
  if (resolution.host()) {
    release_host(*resolution.host());
  }
  refreshing_ -= resolution.refresh ? 1 : 0;
  const bool for_query = resolution.for_query;
  if (for_query) {
    outcome.entry.last_used_at = services_.clock.wall();
  }
  services_.store.put(domain, outcome.entry);
  note_failing(domain, outcome.entry);
  log_outcome(resolution, outcome);

  const std::vector<Waiter> waiters = std::move(resolution.waiters);
  running_.erase(domain);  // destroys the resolution
  if (!waiters.empty()) {
    const auto answer = std::make_shared<const Answer>(Answer{
        std::make_shared<const cache::Entry>(outcome.entry), outcome.fetched, outcome.change,
        outcome.fetch_failed || outcome.dns_failed || outcome.broken_record, outcome.detail});
    for (const Waiter& waiter : waiters) {
      waiter(answer);
    }
  }
  if (for_query) {
    plan_follow_up(domain, outcome.entry);
  }
  start_fetches();
  start_queued();
}

// --- follow-ups -------------------------------------------------------------------------------

void Resolver::Impl::plan_follow_up(const DomainName& domain, const cache::Entry& entry) {
  const WallTime now = services_.clock.wall();
  if (!entry.policy || entry.recheck_at >= entry.policy->expires_at() ||
      follow_ups_.size() >= kMaxFollowUps) {
    return;
  }
  const Seconds wait = std::max(entry.recheck_at - now, Seconds(0));
  follow_ups_.emplace(services_.clock.steady() + wait + Milliseconds(1), domain);
  arm_follow_up_timer();
}

void Resolver::Impl::arm_follow_up_timer() {
  if (follow_ups_.empty()) {
    return;
  }
  const auto wait =
      std::chrono::ceil<Milliseconds>(follow_ups_.begin()->first - services_.clock.steady());
  follow_up_timer_->arm(std::max(wait, Milliseconds(0)));
}

void Resolver::Impl::run_follow_ups() {
  const SteadyTime until = services_.clock.steady();
  while (!follow_ups_.empty() && follow_ups_.begin()->first <= until) {
    const DomainName domain = follow_ups_.begin()->second;
    follow_ups_.erase(follow_ups_.begin());
    const auto entry = services_.store.find(domain);
    if (!entry || !entry->policy || !recheck_due(facts_of(*entry), services_.clock.wall())) {
      continue;
    }
    if (Resolution* resolution = join_or_create(domain)) {
      schedule(*resolution);
    }
  }
  arm_follow_up_timer();
}

// --- refreshing -------------------------------------------------------------------------------

// Half of the places stay free for domains that mail waits for.
std::size_t Resolver::Impl::room_to_refresh() const {
  const std::size_t most = std::max<std::size_t>(options_.max_fetching / 2, 1);
  return most - std::min(refreshing_, most);
}

void Resolver::Impl::run_due() {
  const std::size_t room = room_to_refresh();
  bool more = room == 0;
  if (room > 0) {
    const WallTime now = services_.clock.wall();
    const auto domains = services_.store.due(
        {now, farthest_due(now, options_.limits), room,
         [this](const DomainName& domain) { return running_.contains(domain); }});
    for (const DomainName& domain : domains) {
      look_at(domain, now);
    }
    more = domains.size() == room;
  }
  due_timer_->arm(more ? kNextDuePass : kDuePass);
}

void Resolver::Impl::look_at(const DomainName& domain, WallTime now) {
  const auto entry = services_.store.find(domain);
  if (!entry) {
    return;
  }
  const AfterDue after = when_due(*entry, now, options_.limits);
  switch (after.action) {
    case DueAction::Nothing:
      break;
    case DueAction::Refresh:
      refresh(domain, nullptr);
      break;
    case DueAction::Drop:
      services_.log.write(Event::PolicyExpired, {{"domain", domain.view()}});
      services_.store.erase(domain);
      failing_.erase(domain);
      break;
    case DueAction::Store:
      services_.store.put(domain, after.entry);
      note_failing(domain, after.entry);
      break;
  }
}

// --- log --------------------------------------------------------------------------------------

void Resolver::Impl::warn_overload() {
  const SteadyTime now = services_.clock.steady();
  if (last_overload_warning_ != SteadyTime{} && now - last_overload_warning_ < kOverloadWarning) {
    return;
  }
  last_overload_warning_ = now;
  services_.log.write(Event::Overloaded, {{"at_work", running_.size()},
                                          {"refused_so_far", counters_.overload.value()}});
}

void Resolver::Impl::log_outcome(const Resolution& resolution, const Outcome& outcome) {
  Log& log = services_.log;
  const std::string_view domain = resolution.domain().view();
  const auto took =
      std::chrono::duration_cast<Milliseconds>(services_.clock.steady() - resolution.started())
          .count();
  const auto& policy = outcome.entry.policy;
  if (outcome.fetched) {
    log.write(Event::PolicyStored, {{"domain", domain},
                                    {"mode", to_string(policy->policy.mode)},
                                    {"id", policy->id},
                                    {"max_age", policy->policy.max_age.count()},
                                    {"change", name_of(outcome.change)},
                                    {"took_ms", took}});
  } else if (outcome.fetch_failed) {
    log.write(Event::FetchFailed, {{"domain", domain},
                                   {"result", to_string(outcome.entry.failure->type)},
                                   {"cached", policy ? to_string(policy->policy.mode) : "no"},
                                   {"reason", outcome.detail},
                                   {"took_ms", took}});
  } else if (outcome.dns_failed) {
    log.write(Event::TxtLookupFailed, {{"domain", domain},
                                       {"cached", policy ? to_string(policy->policy.mode) : "no"},
                                       {"reason", outcome.detail},
                                       {"took_ms", took}});
  } else if (outcome.broken_record) {
    log.write(Event::RecordUnusable, {{"domain", domain},
                                      {"cached", policy ? to_string(policy->policy.mode) : "no"},
                                      {"reason", outcome.detail},
                                      {"took_ms", took}});
  } else {
    log.write(policy ? Event::PolicyChecked : Event::NoPolicy,
              {{"domain", domain}, {"reason", outcome.detail}, {"took_ms", took}});
  }
  if (outcome.weaker) {
    log.write(Event::PolicyWeakened,
              {{"domain", domain}, {"mode", to_string(policy->policy.mode)}, {"id", policy->id}});
  }
  if (outcome.alarm) {
    const auto left = policy->expires_at() - services_.clock.wall();
    log.write(Event::RefreshFailing, {{"domain", domain},
                                      {"result", to_string(outcome.entry.failure->type)},
                                      {"reason", outcome.entry.failure->detail},
                                      {"failures", outcome.entry.failure->count},
                                      {"expires_in_s", left.count()}});
  }
}

// --- the public class -------------------------------------------------------------------------

Resolver::Resolver(Services services, Options options)
    : impl_(std::make_unique<Impl>(std::move(services), options)) {}
Resolver::~Resolver() = default;

void Resolver::ask(const DomainName& domain, Waiter waiter) {
  impl_->ask(domain, std::move(waiter));
}
void Resolver::refresh(const DomainName& domain) {
  impl_->refresh(domain, nullptr);
}
void Resolver::refresh(const DomainName& domain, Waiter waiter) {
  impl_->refresh(domain, std::move(waiter));
}
void Resolver::forget(const DomainName& domain, std::function<void(cache::EntryPtr)> done) {
  impl_->forget(domain, std::move(done));
}
void Resolver::when_idle(const DomainName& domain, std::function<void()> then) {
  impl_->when_idle(domain, std::move(then));
}
Resolver::Failing Resolver::failing(std::size_t most) const {
  Failing failing{impl_->failing_.size(), {}};
  for (const DomainName& domain : impl_->failing_) {
    if (failing.first.size() == most) {
      break;
    }
    failing.first.push_back(domain);
  }
  return failing;
}
void Resolver::run_due() {
  impl_->run_due();
}
void Resolver::set_options(const Options& options) {
  impl_->options_ = options;
}
const Counters& Resolver::counters() const {
  return impl_->counters_;
}
std::size_t Resolver::domains_at_work() const {
  return impl_->running_.size();
}

}  // namespace mtastsd::resolver
