#include "eviction.h"

#include <algorithm>
#include <bit>

namespace mtastsd::cache {
namespace {

constexpr Seconds kDay{86400};
constexpr Seconds kRegularUse{14 * 86400};  // mail came not longer ago than this
// Some dozen policies: owners who use less are all alike.
constexpr std::uint64_t kSmallShare = 4096;

}  // namespace

Worth worth_of(const EntryFacts& facts, WallTime now) {
  if (!facts.has_policy) {
    return Worth::NoPolicy;
  }
  if (facts.set_aside || now >= facts.expires_at()) {
    return Worth::Expired;
  }
  if (facts.mode != mtasts::Mode::Enforce) {
    return Worth::NotEnforced;
  }
  const bool again =
      facts.first_used_at != WallTime{} && facts.last_used_at >= facts.first_used_at + kDay;
  return again && now < facts.last_used_at + kRegularUse ? Worth::InUse : Worth::Enforced;
}

std::array<std::size_t, OwnerBytes::kRows> OwnerBytes::places_of(std::uint64_t owner) {
  return {owner % kPlaces, kPlaces + (owner >> 32) % kPlaces};
}

void OwnerBytes::add(std::uint64_t owner, std::uint64_t bytes) {
  for (const std::size_t place : places_of(owner)) {
    rows_[place] += bytes;
  }
}

void OwnerBytes::subtract(std::uint64_t owner, std::uint64_t bytes) {
  for (const std::size_t place : places_of(owner)) {
    rows_[place] -= std::min(rows_[place], bytes);
  }
}

std::uint64_t OwnerBytes::of(std::uint64_t owner) const {
  const auto [first, second] = places_of(owner);
  return std::min(rows_[first], rows_[second]);
}

Value value_of(const EntryFacts& facts, std::uint64_t owner_bytes, WallTime now) {
  Value value{.worth = worth_of(facts, now), .time = facts.last_used_at};
  switch (value.worth) {
    case Worth::NoPolicy:
      value.time = facts.recheck_at;
      break;
    case Worth::Expired:
      break;
    case Worth::NotEnforced:
    case Worth::Enforced:
      value.turn = Value::Turn::OfOwner;
      value.lightness = -static_cast<int>(std::bit_width(owner_bytes / kSmallShare));
      break;
    case Worth::InUse:
      value.turn = Value::Turn::InUse;
      value.lightness = -static_cast<int>(std::bit_width(owner_bytes / kSmallShare));
      break;
  }
  return value;
}

}  // namespace mtastsd::cache
