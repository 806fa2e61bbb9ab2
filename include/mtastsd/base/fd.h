#pragma once

#include <utility>

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

}  // namespace mtastsd
