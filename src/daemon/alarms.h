#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"

namespace mtastsd::daemon {

// Tells people of what the log has: each event that is an Alarm becomes a JSON document for the
// command of [alarm], which the process behind `runner` runs (alarm_runner.h). What repeats itself
// within kQuiet is left out, and so is what exceeds kMostAnHour of a kind. Events may come from any
// thread, and take one system call that does not block.
// Logs: alarm_failed.
class Alarms {
 public:
  static constexpr std::chrono::hours kQuiet{12};
  static constexpr unsigned kMostAnHour = 10;
  static constexpr Seconds kEndsSoon{2 * 86400};  // then a failing refresh is PolicyEndsSoon

  // `loop` is that of the calling thread. All of them outlive this.
  Alarms(event::Loop& loop, const Clock& clock, Log& log, Fd runner);
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;

 private:
  static constexpr std::size_t kKinds = 8;

  struct Budget {
    SteadyTime since{};  // of the hour that is counted
    unsigned sent = 0;
    std::uint64_t left_out = 0;  // since the last document of the kind
  };

  void raise(const EventRow& row, Log::Fields fields);
  bool repeats(const std::string& what, SteadyTime now);
  void read_reports();

  const Clock& clock_;
  Log& log_;
  const Fd runner_;
  const std::string host_;
  // Of the watcher, which is called by one thread at a time.
  std::map<std::string, SteadyTime> raised_;  // what, and when last; kMostAnHour bounds it
  std::array<Budget, kKinds> budgets_;
  std::unique_ptr<event::FdWatch> reports_;  // depends-on: runner_
  std::unique_ptr<Log::Watcher> watcher_;    // depends-on: all above
};

}  // namespace mtastsd::daemon
