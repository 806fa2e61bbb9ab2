#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/versions.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd::answer {

// The replies that one answering thread has given twice, by the bytes of the request.
// A kept reply holds while the version of its domain's slot is the one from before the record was
// read, now is in [from, until), and nobody called forget() since.
class ReplyMemo {
 public:
  struct Known {
    std::string_view reply;  // until the next keep()
    resolver::Standing standing;
    cache::Versions::Slot slot;
    std::uint64_t version;  // of the slot, from before the record was read
  };

  // `versions` outlives this.
  explicit ReplyMemo(const cache::Versions& versions);

  // The reply to `request` that holds at `now`.
  std::optional<Known> find(std::string_view request, WallTime now) const;

  // `known` was found at `from` and stays so until `until`. It is kept when it comes for the second
  // time, so that requests which come once push nothing out; a long one is never kept.
  void keep(std::string_view request, const Known& known, WallTime from, WallTime until);

  // The same requests are to be answered differently.
  void forget() { ++generation_; }

 private:
  static constexpr std::size_t kText = 214;

  // 256 bytes. All zero: empty, as no generation is 0.
  struct Entry {
    WallTime from;
    WallTime until;
    std::uint64_t version;
    cache::Versions::Slot slot;
    std::uint32_t generation;
    resolver::Standing standing;
    std::uint8_t request_bytes;
    std::uint8_t reply_bytes;
    std::array<char, kText> text;  // the request, then the reply
  };
  static constexpr std::size_t kEntries = 16384;
  static constexpr std::size_t kSeen = std::size_t{1} << 18;

  struct Table {
    std::array<Entry, kEntries> entries;
    // 16 bits of the hash of a request, so that most of those which are not kept are told apart
    // without a look at the entry.
    std::array<std::uint16_t, kEntries> kept;  // of what is in the entry
    std::array<std::uint16_t, kSeen> seen;     // of what came last to this place
  };
  struct Free {
    void operator()(Table* table) const { std::free(table); }
  };

  // A request is kept in one of two neighbours, so that two which want the same place both stay.
  static std::array<std::size_t, 2> places_of(std::size_t hash) {
    return {hash % kEntries, (hash % kEntries) ^ 1};
  }
  static std::uint16_t mark_of(std::size_t hash) {
    return static_cast<std::uint16_t>(hash / kSeen);
  }
  bool holds(const Entry& entry, std::string_view request, WallTime now) const;

  const cache::Versions& versions_;
  std::unique_ptr<Table, Free> table_;  // pages that no request has touched take no memory
  std::uint32_t generation_ = 1;
};

}  // namespace mtastsd::answer
