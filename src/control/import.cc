#include "mtastsd/control/import.h"

#include <algorithm>

namespace mtastsd::control {
namespace {

constexpr Seconds kClockSkew{300};  // between two machines

}  // namespace

std::string_view to_string(ImportRefusal::Why why) {
  switch (why) {
    case ImportRefusal::Why::Newer:
      return "newer";
    case ImportRefusal::Why::Expired:
      return "expired";
    case ImportRefusal::Why::Invalid:
      return "invalid";
  }
  return "invalid";
}

Result<cache::Entry, ImportRefusal> import_entry(const std::optional<cache::Entry>& known,
                                                 const cache::Entry& offered, WallTime now) {
  using Why = ImportRefusal::Why;
  if (!offered.policy) {
    return failure(ImportRefusal{Why::Invalid, "there is no policy in it"});
  }
  if (offered.policy->fetched_at > now + kClockSkew) {
    return failure(ImportRefusal{Why::Invalid, "it was fetched in the future: is a clock wrong?"});
  }
  // RFC 8461 section 3.2: a policy lives max_age seconds from its last successful fetch.
  if (offered.policy->expires_at() <= now) {
    return failure(ImportRefusal{Why::Expired, "it has expired"});
  }
  if (known && known->policy && known->policy->expires_at() > now &&
      known->policy->fetched_at >= offered.policy->fetched_at) {
    return failure(ImportRefusal{Why::Newer, "the cache has it as new or newer"});
  }
  cache::Entry entry;
  entry.policy = offered.policy;
  entry.policy->fetched_at = std::min(offered.policy->fetched_at, now);
  entry.txt_checked_at = std::min(offered.txt_checked_at, now);
  entry.recheck_at = now;
  const bool used = offered.last_used_at != WallTime{};
  entry.last_used_at = used ? std::min(offered.last_used_at, now) : now;
  if (known) {
    entry.last_used_at = std::max(entry.last_used_at, known->last_used_at);
  }
  entry.due_at = std::clamp(offered.due_at, now, entry.policy->expires_at());
  return entry;
}

}  // namespace mtastsd::control
