#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/discovery/record.h"
#include "mtastsd/mtasts/policy.h"

// The sender algorithm of RFC 8461 (sections 3.3, 5.1 and 10.2) as pure functions: from what is
// known and what just happened to what holds now and what to do next. There is no clock, no log and
// no I/O in here; the caller passes `now`, and Resolver carries out what the functions return.
namespace mtastsd::resolver {

struct Limits {
  // Bounds for the TTL of a TXT record: after that time the record is checked again.
  Seconds recheck_min{60};
  Seconds recheck_max{3600};
  // Bounds for how long "this domain has no policy" holds.
  Seconds negative_min{60};
  Seconds negative_max{3600};
  Seconds retry_interval{300};  // after a failed fetch, for the same id; doubles to an hour
  Seconds refresh_interval{86400};
  Seconds idle_after{30 * 86400};  // a policy without mail for this long is not refreshed
};

inline constexpr Seconds kDnsFailureHold{10};  // how long "DNS could not be asked" holds
inline constexpr Seconds kRetryMax{3600};
// The shortest life of a policy, so that a max_age of 0 does not mean a fetch for every query.
inline constexpr Seconds kMinLife{2};
inline constexpr Seconds kMinRefreshAge{240};    // policies that live shorter are fetched on demand
inline constexpr Seconds kIdleRecheck{604800};   // how often an idle policy is looked at
inline constexpr Seconds kTouchInterval{86400};  // how exactly the time of the last use is kept
// How long an expired policy is kept, in case the clock is ahead and is set right.
inline constexpr Seconds kGrace{604800};

// --- answering --------------------------------------------------------------------------------

enum class Standing {
  Unknown,      // the resolver has to find out
  NoPolicy,     // known to have none, or none to be had: as if the domain had no MTA-STS
  NotEnforced,  // a valid policy of mode testing or none
  Enforced,     // a valid policy of mode enforce
  Dane,         // the same, and DANE decides: see answer/reply.h, judge() does not know of it
  Overridden,   // the operator decided: see answer/reply.h, judge() does not know of it either
  Observed,     // NOTFOUND, from a map that only observes: see answer/reply.h
};

struct Verdict {
  Standing standing = Standing::Unknown;
  // The resolver should be told of this query by Resolver::touch(): a check of the record or a note
  // of the use is due. The answer does not wait for it.
  bool needs_touch = false;
  // Whether DANE has to be looked up: see answer/reply.h.
  dane::Survey survey = dane::Survey::NotNeeded;
  // Without needs_touch and survey: the verdict stays the same until then.
  WallTime until{};
};

// What an entry means for mail at `now`. On the answer path.
Verdict judge(const cache::EntryFacts& facts, WallTime now);

// Whether it is time to check the TXT record again.
bool recheck_due(const cache::EntryFacts& facts, WallTime now);

// The entry with a note that mail goes to the domain now, or nullopt if there is nothing to note:
// the last use is kept to kTouchInterval. A policy that was no longer refreshed, or whose refresh a
// clock that was ahead has put off, becomes due again.
std::optional<cache::Entry> touch(const cache::Entry& entry, WallTime now, const Limits& limits);

// --- after the lookup of the TXT record -------------------------------------------------------

struct AfterRecord {
  bool fetch = false;
  cache::Entry entry;  // without a fetch: what to store; with one: what it starts from
};

// What a lookup is for.
enum class Purpose : std::uint8_t {
  Check,    // the policy is fetched if the record calls for it
  Refresh,  // it is fetched whatever the record says (RFC 8461 section 10.2)
  Force,    // the same, and however lately a fetch has failed: an operator wants to know
};

std::string_view to_string(Purpose purpose);  // "check", "refresh", "force"

// `known` may be null.
AfterRecord after_record(const cache::Entry* known, const discovery::Record& record,
                         Purpose purpose, WallTime now, const Limits& limits);

// --- after the fetch --------------------------------------------------------------------------

struct Fetched {
  mtasts::Policy policy;
};

struct FetchFailure {
  cache::FailureType type = cache::FailureType::FetchError;
  std::string detail;
};

enum class Change {
  None,      // same policy, or a failed fetch
  New,       // there was none
  Replaced,  // under a new id
  Drifted,   // another policy under the same id
};
std::string_view to_string(Change change);  // "none", "new", "replaced", "drifted"

struct AfterFetch {
  cache::Entry entry;
  Change change = Change::None;
  bool weaker = false;  // the mode was enforce and no longer is
  bool alarm = false;   // RFC 8461 section 10.2: warn the administrator of a failing refresh
};

// `id` is that of the record, or empty when a refresh found none. `jitter` in [0, 1) spreads
// refreshes and retries.
AfterFetch after_fetch(const cache::Entry& before, const std::string& id,
                       const Result<Fetched, FetchFailure>& outcome, WallTime now,
                       const Limits& limits, double jitter);

// --- the refresher ----------------------------------------------------------------------------

enum class DueAction {
  Nothing,   // not due
  Refresh,   // fetch it again
  Store,     // store `entry` instead
  SetAside,  // it has expired: the same
  Drop,      // it has been set aside for long enough
};

struct AfterDue {
  DueAction action = DueAction::Nothing;
  cache::Entry entry;
};

// The latest due_at that is ever set at `now`. A later one comes from a clock that was ahead.
WallTime farthest_due(WallTime now, const Limits& limits);

// `clock_doubted`: nothing may be dropped because of `now`.
AfterDue when_due(const cache::Entry& entry, WallTime now, const Limits& limits,
                  bool clock_doubted);

}  // namespace mtastsd::resolver
