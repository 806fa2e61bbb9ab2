#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/fd.h"

struct event;
struct event_base;

namespace mtastsd::event {

using Callback = std::function<void()>;

// A one-shot timer. It is disarmed by its destruction and by cancel(), and armed anew by arm().
// Its callback may destroy it. Only the thread of its loop may use it.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void arm(Milliseconds after) = 0;  // 0 means on the next turn of the loop
  virtual void cancel() = 0;
  virtual bool armed() const = 0;
};

// Makes timers. This is the loop, or in tests a FakeLoop, whose time the test moves.
class Timers {
 public:
  virtual ~Timers() = default;
  virtual std::unique_ptr<Timer> make_timer(Callback callback) = 0;
};

enum class Interest : unsigned char { None = 0, Read = 1, Write = 2, ReadWrite = 3 };
constexpr bool wants_read(Interest i) {
  return (static_cast<unsigned>(i) & 1U) != 0;
}
constexpr bool wants_write(Interest i) {
  return (static_cast<unsigned>(i) & 2U) != 0;
}

// Watches a file descriptor, which it does not own. It is level-triggered: the callback runs as
// long as something is ready, and is told what. The callback may destroy the watch. Destroy the
// watch or call set(None) before you close the descriptor.
class FdWatch {
 public:
  virtual ~FdWatch() = default;
  virtual void set(Interest interest) = 0;
};

// An event loop on libevent. Only the thread that runs it may use it, except for post() and
// stop(), which any thread may call.
class Loop final : public Timers {
 public:
  struct EventFree {
    void operator()(::event* e) const;
  };

  Loop();
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(). What was posted before stop() still runs.
  void run();
  void stop();

  // Queues work for the loop's thread and keeps its order. The queue is not locked while the work
  // runs. What is still queued when the loop is destroyed never runs.
  void post(Callback callback);

  std::unique_ptr<Timer> make_timer(Callback callback) override;
  std::unique_ptr<FdWatch> watch(int fd, Interest interest, std::function<void(Interest)> callback);
  // Watches a signal of the process. Only one loop may watch signals.
  std::unique_ptr<FdWatch> watch_signal(int signal_number, Callback callback);

 private:
  void drain();

  struct BaseFree {
    void operator()(event_base* b) const;
  };

  std::unique_ptr<event_base, BaseFree> base_;
  Fd wake_fd_;
  std::unique_ptr<::event, EventFree> wake_event_;  // depends-on: base_, wake_fd_
  std::mutex mutex_;
  std::vector<Callback> posted_;  // guarded by mutex_
};

}  // namespace mtastsd::event
