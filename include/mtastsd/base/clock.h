#pragma once

#include <chrono>

namespace mtastsd {

using Seconds = std::chrono::seconds;
using Milliseconds = std::chrono::milliseconds;

// Civil time with a resolution of one second: what is stored, because a policy's
// max_age goes on while the daemon is down.
using WallTime = std::chrono::sys_seconds;

// Time that never steps: for waits and deadlines within one run.
using SteadyTime = std::chrono::steady_clock::time_point;

// The only source of time for everything that decides, so that tests can move it.
// Both calls are cheap (no system call), safe from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual SteadyTime steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  SteadyTime steady() const override;
};

}  // namespace mtastsd
