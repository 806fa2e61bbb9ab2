#include "mtastsd/base/clock.h"

namespace mtastsd {

WallTime SystemClock::wall() const {
  return std::chrono::floor<Seconds>(std::chrono::system_clock::now());
}

SteadyTime SystemClock::steady() const {
  return std::chrono::steady_clock::now();
}

}  // namespace mtastsd
