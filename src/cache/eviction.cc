#include "eviction.h"

namespace mtastsd::cache {

Value value_of(const EntryFacts& facts, WallTime now) {
  if (!facts.has_policy) {
    return {Worth::NoPolicy, facts.recheck_at};
  }
  if (now >= facts.expires_at()) {
    return {Worth::Expired, facts.last_used_at};
  }
  return {facts.mode == mtasts::Mode::Enforce ? Worth::Enforced : Worth::NotEnforced,
          facts.last_used_at};
}

}  // namespace mtastsd::cache
