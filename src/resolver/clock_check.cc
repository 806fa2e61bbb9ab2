#include "clock_check.h"

#include <chrono>

namespace mtastsd::resolver {

ClockCheck::ClockCheck(const Clock& clock) : clock_(clock), first_difference_(difference()) {}

Seconds ClockCheck::difference() const {
  return clock_.wall().time_since_epoch() - clock_.since_boot();
}

Seconds ClockCheck::look() {
  const Seconds off_by = difference() - first_difference_;
  const Seconds now = clock_.since_boot();
  if (std::chrono::abs(off_by) > kTolerance) {
    doubted_until_ = now + kDoubt;
  }
  doubted_ = now < doubted_until_;
  return off_by;
}

}  // namespace mtastsd::resolver
