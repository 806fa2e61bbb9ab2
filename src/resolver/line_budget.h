#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "mtastsd/base/clock.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::resolver {

// Bounds what one owner of domains can add to the log: kPerMinute lines a minute, and one line with
// the number of those that were left out.
class LineBudget {
 public:
  static constexpr std::size_t kPerMinute = 20;

  explicit LineBudget(Log& log) : log_(log) {}

  // Whether one more line about the owner's domains may be written.
  [[nodiscard]] bool spend(const std::string& owner, SteadyTime now);

  // Says what was left out in the minutes that have ended. To be called now and then.
  void report(SteadyTime now);

 private:
  // Owners share slots, and with them the lines: that bounds the memory.
  struct Slot {
    std::string owner;
    SteadyTime since{};
    std::size_t lines = 0;
    std::size_t left_out = 0;
  };

  void begin_anew(Slot& slot);

  Log& log_;
  std::array<Slot, 512> slots_;
};

}  // namespace mtastsd::resolver
