#include "mtastsd/base/clock.h"

#include <ctime>

namespace mtastsd {

WallTime SystemClock::wall() const {
  return std::chrono::floor<Seconds>(std::chrono::system_clock::now());
}

SteadyTime SystemClock::steady() const {
  return std::chrono::steady_clock::now();
}

Seconds SystemClock::since_boot() const {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Seconds(now.tv_sec);
}

}  // namespace mtastsd
