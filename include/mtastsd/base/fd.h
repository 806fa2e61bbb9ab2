#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "mtastsd/base/clock.h"

namespace mtastsd {

// A file descriptor that is closed with its owner. Moving hands it over; -1 stands for none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  // Closes what it had; errno stays as it is.
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// For clients that block. Sends all of the bytes; false, and errno says why, where that cannot be
// done.
bool send_all(const Fd& socket, std::string_view bytes);

// Waits until there is something to read. Calls `tick`, if there is one, about ten times a second
// meanwhile. False: the deadline is over.
bool wait_to_read(const Fd& socket, SteadyTime deadline, const std::function<void()>& tick);

}  // namespace mtastsd
