// What the resolver does without a query: the check that follows a query once, and refreshing.
//
// Logs PolicyExpired.

#include <algorithm>

#include "lookup.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {
namespace {

constexpr std::size_t kMaxFollowUps = 20000;
constexpr Milliseconds kNextDuePass{100};  // when there is more than one pass takes

}  // namespace

// --- follow-ups -------------------------------------------------------------------------------

void Resolver::plan_follow_up(const DomainName& domain, const cache::Entry& entry) {
  const WallTime now = services_.clock.wall();
  if (!entry.policy || entry.recheck_at >= entry.policy->expires_at() ||
      follow_ups_.size() >= kMaxFollowUps) {
    return;
  }
  const Seconds wait = std::max(entry.recheck_at - now, Seconds(0));
  follow_ups_.emplace(services_.clock.steady() + wait + Milliseconds(1), domain);
  arm_follow_up_timer();
}

void Resolver::arm_follow_up_timer() {
  if (follow_ups_.empty()) {
    return;
  }
  const auto wait =
      std::chrono::ceil<Milliseconds>(follow_ups_.begin()->first - services_.clock.steady());
  follow_up_timer_->arm(std::max(wait, Milliseconds(0)));
}

void Resolver::run_follow_ups() {
  const SteadyTime until = services_.clock.steady();
  while (!follow_ups_.empty() && follow_ups_.begin()->first <= until) {
    const DomainName domain = follow_ups_.begin()->second;
    follow_ups_.erase(follow_ups_.begin());
    const auto entry = services_.store.find(domain);
    if (entry && entry->policy && recheck_due(facts_of(*entry), services_.clock.wall())) {
      join_or_create(domain);
    }
  }
  start_work();
  arm_follow_up_timer();
}

// --- refreshing -------------------------------------------------------------------------------

// Half of the slots stay free for domains that mail waits for.
std::size_t Resolver::room_to_refresh() const {
  const std::size_t most = std::max<std::size_t>(options_.max_fetching / 2, 1);
  return most - std::min(refreshing_, most);
}

// Takes the policies that have become due: those that need a refresh or have expired.
void Resolver::run_due() {
  const std::size_t room = room_to_refresh();
  bool more = room == 0;
  if (room > 0) {
    const WallTime now = services_.clock.wall();
    const auto domains = services_.store.due(
        {.now = now,
         .farthest = farthest_due(now, options_.limits),
         .max = room,
         .busy = [this](const DomainName& domain) { return lookups_.contains(domain); }});
    for (const DomainName& domain : domains) {
      revisit(domain, now);
    }
    start_work();
    more = domains.size() == room;
  }
  due_timer_->arm(more ? kNextDuePass : kDueInterval);
}

void Resolver::revisit(const DomainName& domain, WallTime now) {
  const auto entry = services_.store.find(domain);
  if (!entry) {
    return;
  }
  AfterDue after = when_due(*entry, now, options_.limits);
  switch (after.action) {
    case DueAction::Nothing:
      break;
    case DueAction::Refresh:
      if (Lookup* lookup = join_or_create(domain)) {
        mark_refresh(*lookup);
      }
      break;
    case DueAction::Drop:
      services_.store.erase(domain);
      failing_.erase(domain);
      break;
    case DueAction::SetAside:
      services_.log.write(Event::PolicyExpired, {{"domain", domain.view()}});
      [[fallthrough]];
    case DueAction::Store:
      note_failing(domain, after.entry);
      services_.store.put(domain, std::move(after.entry));
      break;
  }
}

}  // namespace mtastsd::resolver
