#include "watchdog.h"

#include <utility>

namespace mtastsd::daemon {

Watchdog::Watchdog(event::Timers& timers, Milliseconds interval, std::vector<Thread> threads,
                   std::function<void()> feed)
    : interval_(interval),
      threads_(std::move(threads)),
      feed_(std::move(feed)),
      timer_(timers.make_timer([this] { look(); })) {
  ask();
}

void Watchdog::ask() {
  alive_ = std::make_shared<std::atomic<std::size_t>>(0);
  for (const Thread& thread : threads_) {
    thread([alive = alive_] { ++*alive; });
  }
  timer_->arm(interval_);
}

// Asks nobody twice before all have answered.
void Watchdog::look() {
  if (*alive_ < threads_.size()) {
    timer_->arm(interval_);
    return;
  }
  feed_();
  ask();
}

}  // namespace mtastsd::daemon
