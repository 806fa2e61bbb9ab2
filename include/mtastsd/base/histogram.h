#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/counter.h"

namespace mtastsd {

// How often something took how long. One thread adds to it and any thread reads it.
class Histogram {
 public:
  // The longest time of each part. What took longer is in a part of its own.
  static constexpr std::array<Milliseconds, 12> kBounds = {
      Milliseconds(5),    Milliseconds(10),   Milliseconds(25),    Milliseconds(50),
      Milliseconds(100),  Milliseconds(250),  Milliseconds(500),   Milliseconds(1000),
      Milliseconds(2500), Milliseconds(5000), Milliseconds(10000), Milliseconds(30000)};
  static constexpr std::size_t kParts = kBounds.size() + 1;

  void add(Milliseconds took) {
    std::size_t part = 0;
    while (part < kBounds.size() && took > kBounds[part]) {
      ++part;
    }
    parts_[part].add();
    sum_ms_.add(took.count() > 0 ? static_cast<std::uint64_t>(took.count()) : 0);
  }

  std::uint64_t part(std::size_t at) const { return parts_[at].value(); }
  std::uint64_t sum_ms() const { return sum_ms_.value(); }

 private:
  std::array<Counter, kParts> parts_;
  Counter sum_ms_;
};

}  // namespace mtastsd
