#pragma once

#include <atomic>
#include <cstdint>

namespace mtastsd {

// A number that only grows. One thread adds to it and any thread reads it, without locked
// instructions.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace mtastsd
