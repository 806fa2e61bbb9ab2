// What the resolver does without a query: the check that follows a query once, and refreshing.
//
// Logs PolicyExpired, ClockDoubted when that begins, RefreshesOverdue at most once a minute, and
// DnsFailing at most once an hour.

#include <algorithm>

#include "clock_check.h"
#include "line_budget.h"
#include "lookup.h"
#include "mtastsd/base/owner.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mtastsd/resolver/resolver.h"
#include "work_queue.h"

namespace mtastsd::resolver {
namespace {

constexpr Milliseconds kNextDuePass{1000};  // when there is more than one pass takes
constexpr std::chrono::minutes kOverdueWarningInterval{1};
constexpr std::size_t kDnsFailures = 10;
constexpr std::chrono::minutes kDnsFailingFor{1};
constexpr std::chrono::hours kDnsWarningInterval{1};
// A host whose clock is wrong when it starts has set it right by then, if anything there can.
constexpr std::chrono::hours kTimeToSetTheClock{1};

}  // namespace

// --- follow-ups -------------------------------------------------------------------------------

void Resolver::plan_follow_up(const DomainName& domain, const cache::Entry& entry) {
  const WallTime now = services_.clock.wall();
  const std::string owner = owner_of(domain);
  if (!entry.policy || entry.recheck_at >= entry.policy->expires_at() ||
      !follow_up_slots_->may_take(owner)) {
    return;
  }
  follow_up_slots_->take(owner);
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
    follow_up_slots_->give_back(owner_of(domain));
    const auto entry = services_.store.find(domain);
    if (entry && entry->policy && recheck_due(facts_of(*entry), services_.clock.wall())) {
      join_or_create(domain, Lane::Upkeep);
    }
  }
  start_work();
  arm_follow_up_timer();
}

// --- refreshing -------------------------------------------------------------------------------

// Takes the policies that have become due: those that need a refresh or have expired. Of those that
// have to wait the ones with the least of their life left go first, in turn with other owners'.
void Resolver::run_due() {
  check_clock();
  const WallTime now = services_.clock.wall();
  const std::size_t room = queue_->room_to_refresh();
  const cache::Due due =
      services_.store.due({.now = now,
                           .farthest = farthest_due(now, options_.limits),
                           .max = room,
                           .busy = [this](const DomainName& domain) {
                             return lookups_.contains(domain) || !queue_->may_refresh(domain);
                           }});
  for (const DomainName& domain : due.domains) {
    revisit(domain, now);
  }
  overdue_ = due.overdue;
  warn_overdue();
  line_budget_->report(services_.clock.steady());
  start_work();
  due_timer_->arm(due.domains.size() == room ? kNextDuePass : kDueInterval);
}

void Resolver::check_clock() {
  const bool doubted_before = clock_check_->doubted();
  const Seconds off_by = clock_check_->look();
  if (clock_check_->doubted() && !doubted_before) {
    services_.log.write(Event::ClockDoubted, {{"off_by_s", off_by.count()}});
  }
}

void Resolver::warn_overdue() {
  const SteadyTime now = services_.clock.steady();
  if (overdue_ == 0 ||
      (last_overdue_warning_ && now - *last_overdue_warning_ < kOverdueWarningInterval)) {
    return;
  }
  last_overdue_warning_ = now;
  services_.log.write(Event::RefreshesOverdue, {{"policies", overdue_}});
}

// Whatever is found out in between shows that it is the domains that fail, and not DNS here.
void Resolver::note_dns(bool failed) {
  const SteadyTime now = services_.clock.steady();
  if (!failed) {
    dns_failures_in_a_row_ = 0;
    return;
  }
  if (dns_failures_in_a_row_++ == 0) {
    dns_failing_since_ = now;
  }
  if (dns_failures_in_a_row_ < kDnsFailures || now - dns_failing_since_ < kDnsFailingFor ||
      (last_dns_warning_ && now - *last_dns_warning_ < kDnsWarningInterval)) {
    return;
  }
  last_dns_warning_ = now;
  services_.log.write(Event::DnsFailing, {{"failures", dns_failures_in_a_row_}});
}

void Resolver::revisit(const DomainName& domain, WallTime now) {
  const auto entry = services_.store.find(domain);
  if (!entry) {
    return;
  }
  const bool clock_doubted =
      clock_check_->doubted() || services_.clock.steady() - started_ < kTimeToSetTheClock;
  AfterDue after = when_due(*entry, now, options_.limits, clock_doubted);
  switch (after.action) {
    case DueAction::Nothing:
      break;
    case DueAction::Refresh:
      if (queue_->may_refresh(domain)) {
        if (Lookup* lookup = join_or_create(domain, Lane::Upkeep)) {
          mark_refresh(*lookup, Purpose::Refresh);
        }
      }
      break;
    case DueAction::Drop:
      services_.store.erase(domain);
      ending_soon_.erase(domain);
      break;
    case DueAction::SetAside:
      services_.log.write(Event::PolicyExpired, {{"domain", domain.view()}});
      [[fallthrough]];
    case DueAction::Store:
      note_ending(domain, after.entry);
      services_.store.put(domain, std::move(after.entry));
      break;
  }
}

}  // namespace mtastsd::resolver
