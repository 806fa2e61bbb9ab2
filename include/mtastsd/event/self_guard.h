#pragma once

#include <utility>

// A watch on the stack takes its address out of the guard when it ends, which g++ 14 does not see.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"

namespace mtastsd::event {

// Tells a method whether the callback that it has just called destroyed its object:
//
//   SelfGuard::Watch watch(guard_);   // guard_ is a member
//   callback();
//   if (watch.destroyed()) return;    // *this is gone
class SelfGuard {
 public:
  SelfGuard() = default;
  ~SelfGuard() {
    for (Watch* w = innermost_; w != nullptr; w = w->outer_) {
      w->guard_ = nullptr;
    }
  }
  SelfGuard(const SelfGuard&) = delete;
  SelfGuard& operator=(const SelfGuard&) = delete;

  class Watch {
   public:
    explicit Watch(SelfGuard& guard) : guard_(&guard), outer_(guard.innermost_) {
      guard.innermost_ = this;
    }
    ~Watch() {
      if (guard_ != nullptr) {
        guard_->innermost_ = outer_;
      }
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    bool destroyed() const { return guard_ == nullptr; }

   private:
    friend class SelfGuard;
    SelfGuard* guard_;
    Watch* outer_;
  };

 private:
  Watch* innermost_ = nullptr;
};

// Calls `callback`, a member of the object that owns `guard`. The function object is on the stack
// during the call, so its captures outlive the call even if the call destroys the owner. Returns
// false if it did.
template <typename Function, typename... Args>
bool call_guarded(SelfGuard& guard, Function& callback, Args&&... args) {
  SelfGuard::Watch watch(guard);
  Function running = std::move(callback);
  running(std::forward<Args>(args)...);
  if (watch.destroyed()) {
    return false;
  }
  callback = std::move(running);
  return true;
}

}  // namespace mtastsd::event

#pragma GCC diagnostic pop
