#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::daemon {

// Tells the service manager that the daemon is alive, for as long as it is: in every interval, each
// thread that Postfix's queries need has to have come round its loop. One that hangs keeps the
// others from being believed, and the service manager then starts the daemon anew.
class Watchdog {
 public:
  // Runs a callback on the loop of a thread.
  using Thread = std::function<void(event::Callback)>;

  // `feed` is called on the loop of `timers`, which is alive as it calls.
  Watchdog(event::Timers& timers, Milliseconds interval, std::vector<Thread> threads,
           std::function<void()> feed);

 private:
  void ask();
  void look();

  const Milliseconds interval_;
  const std::vector<Thread> threads_;
  const std::function<void()> feed_;
  // How many have answered. A thread may answer when the watchdog is gone.
  std::shared_ptr<std::atomic<std::size_t>> alive_;
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace mtastsd::daemon
