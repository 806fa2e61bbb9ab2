#pragma once

#include <chrono>

namespace mtastsd {

using Seconds = std::chrono::seconds;
using Milliseconds = std::chrono::milliseconds;

// Civil time in seconds. This is what is stored, because the max_age of a policy continues to run
// while the daemon is down.
using WallTime = std::chrono::sys_seconds;

// Time that is never set, for waits and deadlines within one run.
using SteadyTime = std::chrono::steady_clock::time_point;

// The only source of time for everything that decides, so that tests can set it. The calls are
// cheap (no system call), and any thread may make them.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual SteadyTime steady() const = 0;
  // Since the machine was started. Unlike steady time it runs on while the machine is suspended,
  // and unlike the wall clock it is never set.
  virtual Seconds since_boot() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall() const override;
  SteadyTime steady() const override;
  Seconds since_boot() const override;
};

}  // namespace mtastsd
