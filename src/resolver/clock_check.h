#pragma once

#include "mtastsd/base/clock.h"

namespace mtastsd::resolver {

// Whether the wall clock may be believed where something would be deleted because of it. A wall
// clock that was set says nothing about who is right, the time before or the time after; so it is
// doubted while it disagrees with the boot clock, which nobody can set, and for kDoubt of boot time
// afterwards. What the two clocks said when this was made counts as right: a clock that was wrong
// then is noticed when it is set right.
class ClockCheck {
 public:
  static constexpr Seconds kTolerance{60};
  static constexpr Seconds kDoubt{7 * 86400};

  explicit ClockCheck(const Clock& clock);

  // Compares the clocks, and returns by how much the wall clock is ahead (negative: behind).
  Seconds look();

  // As of the last look().
  bool doubted() const { return doubted_; }

 private:
  Seconds difference() const;

  const Clock& clock_;
  const Seconds first_difference_;
  Seconds doubted_until_{};  // of the time since boot
  bool doubted_ = false;
};

}  // namespace mtastsd::resolver
