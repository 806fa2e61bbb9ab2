// The only file that uses libevent. A loop belongs to one thread. Other threads reach it through
// an eventfd, so libevent's own locking is not used. libevent reads a coarse clock and can call a
// timer some milliseconds early, so a timer here compares with the steady clock and waits for the
// rest.
//
// Known limits: if the kernel refuses a watch (fs.epoll.max_user_watches), its descriptor never
// becomes ready. Everything that waits for a descriptor has a deadline of its own.

#include "mtastsd/event/loop.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "mtastsd/event/self_guard.h"

namespace mtastsd::event {

namespace {

using std::chrono::steady_clock;

using EventPtr = std::unique_ptr<::event, Loop::EventFree>;

template <typename T>
T* must(T* pointer) {
  if (pointer == nullptr) {
    throw std::bad_alloc();
  }
  return pointer;
}

class LibeventTimer final : public Timer {
 public:
  LibeventTimer(event_base* base, Callback callback)
      : callback_(std::move(callback)), event_(must(event_new(base, -1, 0, &on_event, this))) {}

  void arm(Milliseconds after) override {
    due_ = steady_clock::now() + std::max(after, Milliseconds(0));
    armed_ = true;
    wait_until_due(steady_clock::now());
  }

  void cancel() override {
    armed_ = false;
    event_del(event_.get());
  }

  bool armed() const override { return armed_; }

 private:
  static void on_event(evutil_socket_t, short, void* self) noexcept {
    static_cast<LibeventTimer*>(self)->fire();
  }

  void wait_until_due(steady_clock::time_point now) {
    const auto rest = std::max(due_ - now, steady_clock::duration::zero());
    const auto micros = std::chrono::ceil<std::chrono::microseconds>(rest).count();
    const timeval tv{.tv_sec = static_cast<time_t>(micros / 1'000'000),
                     .tv_usec = static_cast<suseconds_t>(micros % 1'000'000)};
    event_add(event_.get(), &tv);
  }

  void fire() {
    const auto now = steady_clock::now();
    if (now < due_) {
      wait_until_due(now);
      return;
    }
    armed_ = false;
    call_guarded(guard_, callback_);  // Nothing may follow: it can destroy *this.
  }

  SelfGuard guard_;
  Callback callback_;
  steady_clock::time_point due_;
  bool armed_ = false;
  EventPtr event_;
};

class LibeventFdWatch final : public FdWatch {
 public:
  LibeventFdWatch(event_base* base, int fd, Interest interest,
                  std::function<void(Interest)> callback)
      : base_(base),
        fd_(fd),
        callback_(std::move(callback)),
        event_(must(event_new(base, fd, EV_PERSIST, &on_event, this))) {
    set(interest);
  }

  void set(Interest interest) override {
    if (interest == interest_) {
      return;
    }
    event_del(event_.get());
    interest_ = interest;
    if (interest == Interest::None) {
      return;
    }
    const int what = (wants_read(interest) ? EV_READ : 0) | (wants_write(interest) ? EV_WRITE : 0);
    event_assign(event_.get(), base_, fd_, static_cast<short>(what | EV_PERSIST), &on_event, this);
    event_add(event_.get(), nullptr);
  }

 private:
  static void on_event(evutil_socket_t, short what, void* self) noexcept {
    static_cast<LibeventFdWatch*>(self)->ready(what);
  }

  void ready(short what) {
    const unsigned ready = ((what & EV_READ) != 0 ? 1U : 0U) | ((what & EV_WRITE) != 0 ? 2U : 0U);
    // Nothing may follow: it can destroy *this.
    call_guarded(guard_, callback_, static_cast<Interest>(ready));
  }

  SelfGuard guard_;
  event_base* base_;
  int fd_;
  Interest interest_ = Interest::None;
  std::function<void(Interest)> callback_;
  EventPtr event_;
};

class SignalWatch final : public FdWatch {
 public:
  SignalWatch(event_base* base, int signal_number, Callback callback)
      : callback_(std::move(callback)),
        event_(must(event_new(base, signal_number, EV_SIGNAL | EV_PERSIST, &on_event, this))) {
    set(Interest::Read);
  }

  void set(Interest interest) override {
    event_del(event_.get());
    if (interest == Interest::None) {
      return;
    }
    if (event_add(event_.get(), nullptr) != 0) {
      throw std::runtime_error("cannot watch a signal");
    }
  }

 private:
  static void on_event(evutil_socket_t, short, void* self) noexcept {
    auto* watch = static_cast<SignalWatch*>(self);
    call_guarded(watch->guard_, watch->callback_);
  }

  SelfGuard guard_;
  Callback callback_;
  EventPtr event_;
};

}  // namespace

void Loop::EventFree::operator()(::event* e) const {
  event_free(e);
}
void Loop::BaseFree::operator()(event_base* b) const {
  event_base_free(b);
}

Loop::Loop() : base_(event_base_new()) {
  if (!base_) {
    throw std::runtime_error("cannot set up the event loop");
  }
  wake_fd_.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_fd_) {
    throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  const auto on_wake = [](evutil_socket_t, short, void* self) noexcept {
    static_cast<Loop*>(self)->drain();
  };
  wake_event_.reset(
      must(event_new(base_.get(), wake_fd_.get(), EV_READ | EV_PERSIST, on_wake, this)));
  if (event_add(wake_event_.get(), nullptr) != 0) {
    throw std::runtime_error("cannot set up the event loop");
  }
}

Loop::~Loop() {
  // What is destroyed here can own timers and watches, and can post more. All of that must go
  // before the base does.
  for (;;) {
    std::vector<Callback> dropped;
    {
      const std::lock_guard lock(mutex_);
      dropped.swap(posted_);
    }
    if (dropped.empty()) {
      break;
    }
  }
}

void Loop::run() {
  event_base_loop(base_.get(), EVLOOP_NO_EXIT_ON_EMPTY);
}

// The stop is queued like other work, so what was posted earlier runs first.
void Loop::stop() {
  post([this] { event_base_loopbreak(base_.get()); });
}

void Loop::post(Callback callback) {
  const std::lock_guard lock(mutex_);
  posted_.push_back(std::move(callback));
  if (posted_.size() > 1) {
    return;  // the wake-up of the first one is still on its way
  }
  const std::uint64_t one = 1;
  // This can fail only if the counter is full, and then the loop wakes up anyway.
  [[maybe_unused]] const auto written = write(wake_fd_.get(), &one, sizeof one);
}

void Loop::drain() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(wake_fd_.get(), &count, sizeof count);
  std::vector<Callback> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(posted_);
  }
  for (auto& callback : batch) {
    callback();
    callback = nullptr;
  }
}

std::unique_ptr<Timer> Loop::make_timer(Callback callback) {
  return std::make_unique<LibeventTimer>(base_.get(), std::move(callback));
}

std::unique_ptr<FdWatch> Loop::watch(int fd, Interest interest,
                                     std::function<void(Interest)> callback) {
  return std::make_unique<LibeventFdWatch>(base_.get(), fd, interest, std::move(callback));
}

std::unique_ptr<FdWatch> Loop::watch_signal(int signal_number, Callback callback) {
  return std::make_unique<SignalWatch>(base_.get(), signal_number, std::move(callback));
}

}  // namespace mtastsd::event
