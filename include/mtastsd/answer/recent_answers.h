#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/resolver/decide.h"

namespace mtastsd::answer {

// The replies that one answering thread gave lately, by the bytes of the request, so that a domain
// which much mail goes to costs no look into the cache. A reply is given again as long as nothing
// was changed about its domain (cache::UnsavedFilter::changes()) and the clock stays in the span
// for which the record said the same. What is not found here is read from the cache as ever: an
// entry that is pushed out by another, or too long to be kept, costs time and nothing else.
class RecentAnswers {
 public:
  struct Known {
    std::string_view reply;  // until the next keep() or forget()
    resolver::Standing standing;
    std::uint32_t place;    // of the domain in the UnsavedFilter, and its count
    std::uint32_t changes;  // there before the record was read
  };

  RecentAnswers();

  // The reply to `request` that holds at `now`.
  std::optional<Known> find(std::string_view request, WallTime now) const;

  // `known` was found at `now` and holds until `until`.
  void keep(std::string_view request, const Known& known, WallTime now, WallTime until);

  // All of them: the same request is to be answered differently.
  void forget() { ++generation_; }

 private:
  static constexpr std::size_t kText = 222;

  // 256 bytes. All zero: empty.
  struct Slot {
    WallTime from;
    WallTime until;
    std::uint32_t place;
    std::uint32_t changes;
    std::uint32_t generation;
    resolver::Standing standing;
    std::uint8_t request_bytes;
    std::uint8_t reply_bytes;
    std::array<char, kText> text;  // the request, then the reply

    bool is_about(std::string_view request) const;
  };
  static constexpr std::size_t kSlots = 8192;
  static constexpr std::size_t kSeen = 65536;

  struct Table {
    std::array<Slot, kSlots> slots;
    std::array<std::uint16_t, kSlots> kept;  // the mark of what is in the slot
    std::array<std::uint16_t, kSeen> seen;   // of what came last to this place
  };
  struct Free {
    void operator()(Table* table) const { std::free(table); }
  };

  // The two slots that a request may be in, neighbours: of two others that want the same, the
  // older one goes. `mark` tells most requests of a place apart without a look at the slot.
  struct Places {
    std::size_t first;
    std::size_t second;
    std::size_t seen;
    std::uint16_t mark;
  };
  static Places places_of(std::string_view request);

  std::unique_ptr<Table, Free> table_;  // pages that no request has touched take no memory
  std::uint32_t generation_ = 1;
};

}  // namespace mtastsd::answer
