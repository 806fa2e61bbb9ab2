#pragma once

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <random>

#include "mtastsd/base/clock.h"

namespace mtastsd::simulation {

// The same seed gives the same numbers with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  double unit() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  bool chance(double of_one) { return unit() < of_one; }
  std::size_t below(std::size_t end) {
    return static_cast<std::size_t>(unit() * static_cast<double>(end));
  }
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[below(values.size())];
  }
  // With this mean, spread as the times between independent events are.
  Milliseconds around(Milliseconds mean) {
    return Milliseconds(
        static_cast<std::int64_t>(-std::log(1.0 - unit()) * static_cast<double>(mean.count())) + 1);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace mtastsd::simulation
