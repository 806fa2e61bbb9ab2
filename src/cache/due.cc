#include <algorithm>

#include "mtastsd/cache/store.h"

namespace mtastsd::cache {

double life_left(WallTime due_at, WallTime expires_at, WallTime now) {
  const auto whole = static_cast<double>((expires_at - due_at).count());
  const auto left = static_cast<double>((expires_at - now).count());
  return whole > 0 ? left / whole : 0;
}

bool is_overdue(WallTime due_at, WallTime expires_at, WallTime now) {
  return now < expires_at && now - due_at > std::max((expires_at - due_at) / 8, kOverdueAfter);
}

bool is_failing(const Entry& entry, WallTime now) {
  if (entry.holds_policy()) {
    return entry.failure || is_overdue(entry.due_at, entry.policy->expires_at(), now);
  }
  return entry.failure || entry.no_policy_reason == NoPolicyReason::UnusableRecord;
}

}  // namespace mtastsd::cache
