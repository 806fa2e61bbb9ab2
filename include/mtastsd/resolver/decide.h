#pragma once

#include <optional>
#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/mtasts/policy.h"

// The sender algorithm of RFC 8461 (sections 3.3, 5.1 and 10.2) as pure functions: from what is
// known and what just happened to what holds now and what to do next. No clock, no log, no
// I/O; `now` comes in. resolution.cc carries out what they return.
namespace mtastsd::resolver {

struct Limits {
  Seconds recheck_min{60};  // bounds for how long a TXT record is not looked at again
  Seconds recheck_max{3600};
  Seconds negative_min{60};  // bounds for how long "no policy" holds
  Seconds negative_max{3600};
  Seconds retry_interval{300};  // after a failed fetch, for the same id; doubles to an hour
  Seconds refresh_interval{86400};
  Seconds idle_after{30 * 86400};
};

inline constexpr Seconds kDnsFailureHold{10};  // how long "DNS could not be asked" holds
inline constexpr Seconds kRetryMax{3600};
inline constexpr Seconds kLeastLife{2};  // of a policy: a max_age of 0 means no fetch per query
inline constexpr Seconds kMinRefreshAge{240};    // shorter lives are fetched again on demand only
inline constexpr Seconds kIdleLook{7 * 86400};   // how often it is seen whether one is still idle
inline constexpr Seconds kUseResolution{86400};  // how exactly the last use is kept

// --- answering --------------------------------------------------------------------------------

enum class Standing {
  Unknown,      // the resolver has to find out
  NoPolicy,     // known to have none, or none to be had: as if the domain had no MTA-STS
  NotEnforced,  // a valid policy of mode testing or none
  Enforced,     // a valid policy of mode enforce
};

struct Look {
  Standing standing = Standing::Unknown;
  bool attention = false;  // the resolver should be told of this query: a check or a note of use
                           // has come due; the answer does not wait for it
  WallTime until{};        // without attention: from now until then it stays like this
};

// What an entry says at `now`. On the answer path.
Look look(const cache::EntryFacts& facts, WallTime now);

// Whether the TXT record is to be asked again.
bool recheck_due(const cache::EntryFacts& facts, WallTime now);

// Notes in the entry that mail goes there, and brings a policy that was let go to its end, or put
// off by a clock that was ahead, back among those that are refreshed. Whether there was anything to
// note: uses are kept to kUseResolution.
bool note_use(cache::Entry& entry, WallTime now, const Limits& limits);

// --- after the TXT look-up --------------------------------------------------------------------

enum class TxtStatus {
  Found,     // one valid record
  NoRecord,  // NXDOMAIN, NODATA, or records without a usable one (RFC 8461 section 3.1)
  Failed,    // DNS could not be asked
};

struct TxtOutcome {
  TxtStatus status = TxtStatus::Failed;
  std::string id;  // Found
  Seconds ttl{0};  // Found: of the record; NoRecord: how long that holds
};

struct AfterTxt {
  bool fetch = false;
  cache::Entry entry;  // without a fetch: what to store; with one: what it starts from
};

// `refresh`: the policy is to be fetched whatever the record says (RFC 8461 section 10.2).
AfterTxt after_txt(const std::optional<cache::Entry>& known, const TxtOutcome& txt, bool refresh,
                   WallTime now, const Limits& limits);

// --- after the fetch --------------------------------------------------------------------------

struct Fetched {
  mtasts::Policy policy;
  std::string text;
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

struct AfterFetch {
  cache::Entry entry;
  Change change = Change::None;
  bool weaker = false;  // the mode was enforce and is not any more
  bool alarm = false;   // warn of a failing refresh (RFC 8461 section 10.2)
};

// `id` is the one found, or empty when a refresh found no record. `jitter` in [0, 1) spreads
// refreshes and retries.
AfterFetch after_fetch(const cache::Entry& before, const std::string& id,
                       const Result<Fetched, FetchFailure>& outcome, WallTime now,
                       const Limits& limits, double jitter);

// --- the refresher ----------------------------------------------------------------------------

enum class DueAction {
  Nothing,  // not due
  Refresh,  // fetch it again
  Drop,     // expired, and nothing else to remember
  Store,    // store `entry` and go on
};

struct AfterDue {
  DueAction action = DueAction::Nothing;
  cache::Entry entry;
};

// No due_at that is set at `now` is later; one that is comes from a clock that was ahead.
WallTime farthest_due(WallTime now, const Limits& limits);

AfterDue when_due(const cache::Entry& entry, WallTime now, const Limits& limits);

}  // namespace mtastsd::resolver
