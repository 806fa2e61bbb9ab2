#include "eviction.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace mtastsd::cache {
namespace {

bool goes_before(const Victims::Victim& a, const Victims::Victim& b) {
  return std::tie(a.worth, a.since, a.domain) < std::tie(b.worth, b.since, b.domain);
}

}  // namespace

Worth worth_of(const EntryFacts& facts, WallTime now) {
  if (!facts.has_policy) {
    return Worth::NoPolicy;
  }
  if (now >= facts.fetched_at + facts.max_age) {
    return Worth::Expired;
  }
  return facts.mode == mtasts::Mode::Enforce ? Worth::Enforced : Worth::NotEnforced;
}

void Victims::consider(const DomainName& domain, const EntryFacts& facts, WallTime now) {
  const Worth worth = worth_of(facts, now);
  const WallTime since = facts.has_policy ? facts.last_used_at : facts.recheck_at;
  if (heap_.size() == most_) {
    if (most_ == 0 ||
        std::tie(worth, since) >= std::tie(heap_.front().worth, heap_.front().since)) {
      return;
    }
    std::pop_heap(heap_.begin(), heap_.end(), goes_before);
    heap_.pop_back();
  }
  heap_.push_back({worth, since, domain});
  std::push_heap(heap_.begin(), heap_.end(), goes_before);
}

std::vector<Victims::Victim> Victims::take() {
  std::sort_heap(heap_.begin(), heap_.end(), goes_before);
  return std::exchange(heap_, {});
}

}  // namespace mtastsd::cache
