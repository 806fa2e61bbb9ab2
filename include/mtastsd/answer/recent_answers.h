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
  // Four cache lines. All zero: empty.
  struct Slot {
    WallTime from;
    WallTime until;
    std::uint32_t place;
    std::uint32_t changes;
    std::uint32_t generation;
    resolver::Standing standing;
    std::uint8_t request_bytes;
    std::uint8_t reply_bytes;
    std::array<char, 222> text;  // the request, then the reply

    bool is_about(std::string_view request) const;
  };
  static constexpr std::size_t kSlots = 16384;

  // The two that it may be in, neighbours: of two others that want the same, the older one goes.
  std::array<Slot*, 2> slots_of(std::string_view request) const;

  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };
  std::unique_ptr<Slot[], Free> slots_;  // pages that no request has touched take no memory
  std::uint32_t generation_ = 1;
};

}  // namespace mtastsd::answer
