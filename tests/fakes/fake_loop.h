#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "mtastsd/base/clock.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/event/self_guard.h"

namespace mtastsd::test {

// Time that moves by call. Starts at a fixed wall time.
class FakeClock : public Clock {
 public:
  WallTime wall() const override { return std::chrono::floor<Seconds>(wall_); }
  SteadyTime steady() const override { return steady_; }
  Seconds since_boot() const override {
    return std::chrono::floor<Seconds>(steady_.time_since_epoch());
  }

  virtual void advance(Milliseconds by) { move(by); }
  // The administrator or NTP sets the clock; steady time does not move.
  void set_wall(WallTime to) { wall_ = to; }

 protected:
  void move(Milliseconds by) {
    wall_ += by;
    steady_ += by;
  }

 private:
  std::chrono::sys_time<Milliseconds> wall_{Seconds(1'700'000'000)};
  SteadyTime steady_{std::chrono::hours(1000)};
};

// Timers on such a clock. advance() fires what comes due in the order of the due times, and
// in the order of arming where those are equal; in each callback the clock shows the time its
// timer was due. Destroy the timers first.
class FakeLoop final : public event::Timers, public FakeClock {
 public:
  std::unique_ptr<event::Timer> make_timer(event::Callback callback) override {
    return std::make_unique<FakeTimer>(*this, std::move(callback));
  }

  void advance(Milliseconds by) override {
    const SteadyTime end = steady() + by;
    // Callbacks that arm one another for now would never end.
    for (int left = 1'000'000; !armed_.empty() && armed_.begin()->first.first <= end; --left) {
      if (left == 0) {
        std::abort();
      }
      const auto next = armed_.begin();
      FakeTimer* timer = next->second;
      if (next->first.first > steady()) {
        move_to(next->first.first);
      }
      timer->fire();
    }
    if (end > steady()) {
      move_to(end);
    }
  }

  // Fires what is due without moving time.
  void run_due() { advance(Milliseconds(0)); }

  std::size_t armed_count() const { return armed_.size(); }
  // Time until the next timer; negative when none is armed.
  Milliseconds until_next() const {
    if (armed_.empty()) {
      return Milliseconds(-1);
    }
    return std::chrono::ceil<Milliseconds>(armed_.begin()->first.first - steady());
  }

 private:
  using Key = std::pair<SteadyTime, std::uint64_t>;

  class FakeTimer final : public event::Timer {
   public:
    FakeTimer(FakeLoop& loop, event::Callback callback)
        : loop_(loop), callback_(std::move(callback)) {}
    ~FakeTimer() override { cancel(); }

    void arm(Milliseconds after) override {
      cancel();
      key_ = {loop_.steady() + std::max(after, Milliseconds(0)), ++loop_.sequence_};
      loop_.armed_.emplace(key_, this);
      is_armed_ = true;
    }
    void cancel() override {
      if (is_armed_) {
        loop_.armed_.erase(key_);
      }
      is_armed_ = false;
    }
    bool armed() const override { return is_armed_; }

    void fire() {
      cancel();
      event::call_guarded(guard_, callback_);  // Nothing may follow: it can destroy *this.
    }

   private:
    FakeLoop& loop_;
    event::SelfGuard guard_;
    event::Callback callback_;
    Key key_;
    bool is_armed_ = false;
  };

  void move_to(SteadyTime to) { move(std::chrono::duration_cast<Milliseconds>(to - steady())); }

  std::uint64_t sequence_ = 0;
  std::map<Key, FakeTimer*> armed_;
};

}  // namespace mtastsd::test
