#include "mtastsd/control/import.h"

#include <algorithm>

namespace mtastsd::control {
namespace {

constexpr Seconds kClockSkew{300};  // between two machines

}  // namespace

Result<cache::Entry, ImportRefusal> import_entry(const cache::EntryPtr& known,
                                                 const cache::Entry& offered, WallTime now) {
  if (!offered.policy) {
    return failure(ImportRefusal{ImportResult::Invalid, "has no policy"});
  }
  if (offered.policy->fetched_at > now + kClockSkew) {
    return failure(ImportRefusal{ImportResult::Invalid,
                                 "was fetched in the future: check the clocks of both machines"});
  }
  // RFC 8461 section 3.2: a policy lives max_age seconds from its last successful fetch.
  if (offered.policy->expires_at() <= now) {
    return failure(ImportRefusal{ImportResult::Expired, "has expired"});
  }
  if (known && known->policy && known->policy->expires_at() > now &&
      known->policy->fetched_at >= offered.policy->fetched_at) {
    return failure(ImportRefusal{ImportResult::Newer, "is not newer than the one in the cache"});
  }
  cache::Entry entry;
  entry.policy = offered.policy;
  entry.policy->fetched_at = std::min(offered.policy->fetched_at, now);
  entry.txt_checked_at = std::min(offered.txt_checked_at, now);
  entry.recheck_at = now;
  const bool used = offered.last_used_at != WallTime{};
  entry.last_used_at = used ? std::min(offered.last_used_at, now) : now;
  if (known) {
    entry.first_used_at = known->first_used_at;
    entry.last_used_at = std::max(entry.last_used_at, known->last_used_at);
  }
  entry.due_at = std::clamp(offered.due_at, now, entry.policy->expires_at());
  return entry;
}

}  // namespace mtastsd::control
