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

}  // namespace mtastsd::cache
