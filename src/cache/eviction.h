#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {

// What a full cache gives up first. A "no policy" result costs a DNS query to find again; an
// enforced policy that is lost while its domain is under attack is lost protection.
enum class Worth : std::uint8_t {
  NoPolicy,
  Expired,
  NotEnforced,  // mode testing or none
  Enforced,
  InUse,  // enforced, and in regular use: mail comes again after a day
};
Worth worth_of(const EntryFacts& facts, WallTime now);

// About how many bytes of the cache each owner uses, in constant memory: a count-min sketch, which
// never says too little, and says too much where two owners share a place in each of its rows.
class OwnerBytes {
 public:
  OwnerBytes() : rows_(kRows * kPlaces) {}

  // `owner`: a hash of its name.
  void add(std::uint64_t owner, std::uint64_t bytes);
  void subtract(std::uint64_t owner, std::uint64_t bytes);
  std::uint64_t of(std::uint64_t owner) const;

 private:
  static constexpr std::size_t kRows = 2;
  static constexpr std::size_t kPlaces = std::size_t{1} << 16;

  static std::array<std::size_t, kRows> places_of(std::uint64_t owner);

  std::vector<std::uint64_t> rows_;
};

// The order in which records are given up: the lowest first. "No policy" results and what has
// expired are anybody's. Then it is the turn of the owner who uses most, and with him of what is
// worth the least; owners who use about the same (by powers of two) are taken as one. Policies in
// regular use come last, by owners as well. Of the same worth, the longest unused is given up first
// ("no policy" results: the one that ends first).
struct Value {
  enum class Turn : std::uint8_t { Anybody, OfOwner, InUse };
  Turn turn = Turn::Anybody;
  int lightness = 0;  // the more an owner uses, the lower
  Worth worth = Worth::NoPolicy;
  WallTime time{};

  friend auto operator<=>(const Value&, const Value&) = default;
};
Value value_of(const EntryFacts& facts, std::uint64_t owner_bytes, WallTime now);

}  // namespace mtastsd::cache
