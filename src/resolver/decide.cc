#include "mtastsd/resolver/decide.h"

#include <algorithm>
#include <cstdint>

namespace mtastsd::resolver {
namespace {

using cache::Entry;
using cache::EntryFacts;
using cache::Failure;
using cache::NoPolicyReason;
using cache::StoredPolicy;
using discovery::Record;

// RFC 8461 section 3.2: a policy lives max_age seconds from its last successful fetch, and at least
// long enough for the delivery that it was fetched for. A fetch time in the future (the clock was
// set back) does not end it: the policy is fetched again.
WallTime end_of_life(const EntryFacts& facts) {
  return facts.fetched_at + std::max(facts.max_age, kMinLife);
}

WallTime end_of_life(const StoredPolicy& policy) {
  return policy.fetched_at + std::max(policy.policy.max_age, kMinLife);
}

bool alive(const EntryFacts& facts, WallTime now) {
  return facts.has_policy && now < end_of_life(facts);
}

bool alive(const Entry& entry, WallTime now) {
  return alive(facts_of(entry), now);
}

// The entry is a "no policy" result from now on. A policy that has expired stays with it for
// kGrace from when that is seen first: the clock may be ahead.
void set_policy_aside(Entry& entry, NoPolicyReason reason, WallTime now,
                      const std::string& detail = {}) {
  if (entry.policy && (entry.holds_policy() || entry.due_at > now + kGrace)) {
    entry.due_at = now + kGrace;
  }
  entry.no_policy_reason = reason;
  const bool has_detail =
      reason == NoPolicyReason::UnusableRecord || reason == NoPolicyReason::DnsFailed;
  entry.no_policy_detail = has_detail ? detail.substr(0, cache::kMaxNoPolicyDetail) : "";
}

// The entry has a policy that is alive, perhaps again.
void in_force(Entry& entry) {
  entry.no_policy_reason = NoPolicyReason::None;
  entry.no_policy_detail.clear();
}

Seconds scaled(Seconds span, double factor) {
  return Seconds(static_cast<std::int64_t>(static_cast<double>(span.count()) * factor));
}

// The longest time that the same id is held back.
Seconds longest_hold(const Limits& limits) {
  return std::max(kRetryMax, limits.retry_interval) * 11 / 10;
}

// RFC 8461 section 3.3: no new attempt for the same id within five minutes of a failed one. An
// end that is too far away comes from before the clock was set back.
bool held_back(const Entry& entry, const std::string& id, WallTime now, const Limits& limits) {
  return entry.failure && entry.failure->id == id && now < entry.failure->retry_at &&
         entry.failure->retry_at <= now + longest_hold(limits);
}

// When a policy whose fetches fail becomes due again.
WallTime next_attempt(const Failure& failure, WallTime now, const Limits& limits) {
  return failure.retry_at <= now + longest_hold(limits) ? failure.retry_at : now;
}

// When a good policy is fetched again without a query (RFC 8461 section 10.2): about daily, and by
// half of its life at the latest. A policy that lives too short for that is renewed by the first
// query after its end.
WallTime next_refresh(const StoredPolicy& policy, const Limits& limits, double jitter) {
  if (policy.policy.max_age < kMinRefreshAge) {
    return end_of_life(policy);
  }
  const Seconds most = std::min(limits.refresh_interval, policy.policy.max_age / 2);
  return policy.fetched_at + scaled(most, 0.85 + 0.15 * jitter);
}

// RFC 8461 section 10.2: the administrator is warned of a failing refresh at the first failure, at
// half of the policy's life, and then daily; never for mode none.
bool alarm_due(const StoredPolicy& policy, const Failure& failure, WallTime now) {
  if (policy.policy.mode == mtasts::Mode::None) {
    return false;
  }
  if (failure.warned_at == WallTime{} || failure.warned_at > now) {
    return true;  // not warned yet, or before the clock was set back
  }
  const WallTime half_life = policy.fetched_at + policy.policy.max_age / 2;
  const bool half_life_passed = failure.warned_at < half_life && now >= half_life;
  return half_life_passed || now >= failure.warned_at + Seconds(86400);
}

Failure next_failure(const Entry& before, const std::string& id, const FetchFailure& why,
                     WallTime now, const Limits& limits, double jitter) {
  Failure next;
  if (before.failure) {
    next = *before.failure;
  }
  // A new id starts a back-off of its own; the run of failures that the operator sees goes on.
  const bool same_id = before.failure && before.failure->id == id;
  next.count = static_cast<std::uint16_t>(same_id ? std::min(next.count + 1, 1000) : 1);
  if (!before.failure) {
    next.first_at = now;
  }
  next.id = id;
  next.type = why.type;
  next.detail = why.detail;
  const int doublings = std::min<int>(next.count - 1, 8);
  const Seconds grown = std::min(limits.retry_interval * (1 << doublings),
                                 std::max(kRetryMax, limits.retry_interval));
  next.retry_at = now + grown + scaled(grown, 0.1 * jitter);
  return next;
}

AfterFetch failed(const Entry& before, const std::string& id, const FetchFailure& why, WallTime now,
                  const Limits& limits, double jitter) {
  AfterFetch after;
  after.entry = before;
  after.entry.last_used_at = std::min(before.last_used_at, now);
  after.entry.failure = next_failure(before, id, why, now, limits, jitter);
  if (alive(before, now)) {
    // RFC 8461 section 3.3: the cached policy is applied, one from the future included: a machine
    // that starts with its clock in the past can fetch nothing (no certificate is valid yet), and
    // must still have its policies when the clock is right again.
    after.alarm = alarm_due(*before.policy, *after.entry.failure, now);
    if (after.alarm) {
      after.entry.failure->warned_at = now;
    }
    after.entry.due_at = std::min(after.entry.failure->retry_at, end_of_life(*before.policy));
    in_force(after.entry);
  } else {
    // RFC 8461 section 5.1: go on as if the domain had no MTA-STS, until the record is checked
    // again. A new id may be fetched at once, the same one when its back-off has passed.
    set_policy_aside(after.entry, NoPolicyReason::FetchFailed, now);
    after.entry.recheck_at = std::min(before.recheck_at, after.entry.failure->retry_at);
  }
  return after;
}

Change change_between(const std::optional<StoredPolicy>& before, const StoredPolicy& now) {
  if (!before) {
    return Change::New;
  }
  if (before->id != now.id) {
    return Change::Replaced;
  }
  return before->policy == now.policy ? Change::None : Change::Drifted;
}

}  // namespace

std::string_view to_string(Change change) {
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

std::string_view to_string(Purpose purpose) {
  switch (purpose) {
    case Purpose::Check:
      return "check";
    case Purpose::Refresh:
      return "refresh";
    case Purpose::Force:
      return "force";
  }
  return "check";
}

bool recheck_due(const EntryFacts& facts, WallTime now) {
  // A check in the future: the clock was set back, so its time means nothing.
  return now >= facts.recheck_at || now < facts.txt_checked_at;
}

Verdict judge(const EntryFacts& facts, WallTime now) {
  Verdict result;
  if (alive(facts, now)) {
    result.standing =
        facts.mode == mtasts::Mode::Enforce ? Standing::Enforced : Standing::NotEnforced;
    const WallTime touch_due = facts.last_used_at + kTouchInterval;
    result.needs_touch = recheck_due(facts, now) || now >= touch_due;
    result.until = std::min({facts.recheck_at, touch_due, end_of_life(facts)});
  } else if ((!facts.has_policy || facts.set_aside) && !recheck_due(facts, now)) {
    result.standing = Standing::NoPolicy;
    result.until = facts.recheck_at;
  }
  return result;
}

AfterRecord after_record(const Entry* known, const Record& record, Purpose purpose, WallTime now,
                         const Limits& limits) {
  AfterRecord after;
  if (known != nullptr) {
    after.entry = *known;
  }
  Entry& entry = after.entry;
  const bool valid = alive(entry, now);
  // The age of a policy from the future is unknown: it is fetched again.
  const bool from_future = valid && entry.policy->fetched_at > now;
  const bool must_fetch =
      valid &&
      (purpose != Purpose::Check ||
       (from_future && !(entry.failure && held_back(entry, entry.failure->id, now, limits))));
  entry.txt_checked_at = now;
  if (valid) {
    in_force(entry);
  }

  NoPolicyReason reason = NoPolicyReason::NoRecord;
  switch (record.status) {
    case Record::Status::Found: {
      reason = NoPolicyReason::FetchFailed;
      entry.recheck_at = now + std::clamp(record.ttl, limits.recheck_min, limits.recheck_max);
      // RFC 8461 section 5.1: an unchanged id means that the cached policy is current.
      const bool current = valid && entry.policy->id == record.id;
      const bool held = purpose != Purpose::Force && held_back(entry, record.id, now, limits);
      if (must_fetch || (!current && !held)) {
        after.fetch = true;
      } else if (!valid) {
        // Held back: "no policy" holds no longer than until the next attempt.
        entry.recheck_at = std::min(entry.recheck_at, entry.failure->retry_at);
      }
      break;
    }
    case Record::Status::Unusable:
      reason = NoPolicyReason::UnusableRecord;
      [[fallthrough]];
    case Record::Status::None:
      // RFC 8461 section 3.3: a record that is gone does not remove a cached policy.
      entry.recheck_at =
          now + (valid ? std::clamp(record.ttl, limits.recheck_min, limits.recheck_max)
                       : std::clamp(record.ttl, limits.negative_min, limits.negative_max));
      after.fetch = must_fetch;
      break;
    case Record::Status::DnsFailed:
      reason = NoPolicyReason::DnsFailed;
      entry.recheck_at =
          now + (valid ? limits.recheck_min : std::min(kDnsFailureHold, limits.negative_max));
      after.fetch = must_fetch;
      break;
  }
  if (!after.fetch && !valid) {
    set_policy_aside(entry, reason, now, record.detail);  // it has expired, if there was one
  }
  return after;
}

AfterFetch after_fetch(const Entry& before, const std::string& id,
                       const Result<Fetched, FetchFailure>& outcome, WallTime now,
                       const Limits& limits, double jitter) {
  const bool valid = alive(before, now);
  // A refresh that found no record keeps the id that the policy came with.
  const std::string& used_id = id.empty() && before.policy ? before.policy->id : id;
  if (!outcome) {
    return failed(before, used_id, outcome.error(), now, limits, jitter);
  }
  AfterFetch after;
  after.entry = before;
  after.entry.last_used_at = std::min(before.last_used_at, now);  // later: the clock was set back
  after.entry.policy = StoredPolicy{used_id, outcome->policy, now};
  after.entry.failure.reset();
  in_force(after.entry);
  after.entry.due_at = next_refresh(*after.entry.policy, limits, jitter);
  const auto& previous = valid ? before.policy : std::nullopt;
  after.change = change_between(previous, *after.entry.policy);
  after.weaker = previous && previous->policy.mode == mtasts::Mode::Enforce &&
                 outcome->policy.mode != mtasts::Mode::Enforce;
  return after;
}

WallTime farthest_due(WallTime now, const Limits& limits) {
  return now + std::max({kIdleRecheck, limits.refresh_interval, longest_hold(limits)});
}

std::optional<Entry> touch(const Entry& entry, WallTime now, const Limits& limits) {
  if (!alive(entry, now)) {
    return std::nullopt;
  }
  const WallTime latest = entry.failure
                              ? now + longest_hold(limits)
                              : std::min(entry.policy->fetched_at, now) + limits.refresh_interval;
  const bool put_off = entry.due_at > latest;
  const bool second_use = entry.first_used_at == WallTime{} || entry.first_used_at > now;
  const bool noted = now >= entry.last_used_at && now < entry.last_used_at + kTouchInterval &&
                     !(second_use && entry.last_used_at != WallTime{});
  if (noted && !put_off) {
    return std::nullopt;
  }
  Entry touched = entry;
  if (put_off) {
    touched.due_at = entry.failure ? next_attempt(*entry.failure, now, limits) : now;
  }
  if (second_use && entry.last_used_at != WallTime{}) {
    touched.first_used_at = now;
  }
  touched.last_used_at = now;
  return touched;
}

AfterDue when_due(const Entry& entry, WallTime now, const Limits& limits, bool clock_doubted) {
  AfterDue after;
  if (!entry.policy) {
    return after;
  }
  const bool clock_was_set_back =
      entry.policy->fetched_at > now || entry.due_at > farthest_due(now, limits);
  if (now < entry.due_at && !clock_was_set_back) {
    return after;
  }
  after.entry = entry;
  if (!alive(entry, now)) {
    if (entry.holds_policy()) {
      // A clock that is ahead looks the same. So it is kept for a while, and never served.
      after.action = DueAction::SetAside;
      set_policy_aside(after.entry, NoPolicyReason::FetchFailed, now);
      // The next query asks for the record, also if the clock is set back before it comes.
      after.entry.recheck_at = entry.txt_checked_at;
    } else if (now < entry.due_at || clock_doubted) {
      after.action = DueAction::Store;  // the clock was set: back and not far enough, or once more
      after.entry.due_at = now + kGrace;
    } else if (entry.failure && held_back(entry, entry.failure->id, now, limits)) {
      after.action = DueAction::Store;  // RFC 8461 section 3.3: its back-off counts until then
      after.entry.due_at = entry.failure->retry_at;
    } else {
      after.action = DueAction::Drop;
    }
    return after;
  }
  if (now >= entry.last_used_at + limits.idle_after) {
    after.action = DueAction::Store;
    after.entry.due_at = std::min(end_of_life(*entry.policy), now + kIdleRecheck);
    return after;
  }
  after.action = DueAction::Refresh;
  return after;
}

}  // namespace mtastsd::resolver
