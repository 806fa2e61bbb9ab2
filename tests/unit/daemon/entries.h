#pragma once

#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::daemon::test {

inline WallTime now() {
  return SystemClock().wall();
}

// A policy that was fetched just now, and what Postfix is told of it.
inline cache::Entry policy(mtasts::Mode mode = mtasts::Mode::Enforce) {
  cache::Entry entry;
  entry.policy = cache::StoredPolicy{
      "1", {mode, Seconds(86400), {*mtasts::MxPattern::parse("mx.example")}}, now()};
  entry.txt_checked_at = entry.last_used_at = now();
  entry.recheck_at = now() + Seconds(3600);
  entry.due_at = now() + Seconds(3600);
  return entry;
}
inline constexpr char kSecure[] = "OK secure match=mx.example servername=hostname";

}  // namespace mtastsd::daemon::test
