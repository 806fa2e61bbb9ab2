#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "mtastsd/base/domain_name.h"

namespace mtastsd::cache {

// For every domain, whether a record of it waits for its commit, and a number that changes whenever
// another record of it takes effect. Domains share slots, so both may speak of another domain: that
// costs a needless look. Read by any thread without a lock; written by Pending only.
class Versions {
 public:
  using Slot = std::uint32_t;

  static Slot slot_of(const DomainName& domain) {
    return static_cast<Slot>(std::hash<DomainName>{}(domain) % kSlots);
  }

  // A record that was read after `version` was taken is the newest while this is the same.
  std::uint64_t version(Slot slot) const {
    return states_[slot].load(std::memory_order_acquire) >> kWaitingBits;
  }

  // False: what is committed is the newest.
  bool may_wait(Slot slot) const {
    return (states_[slot].load(std::memory_order_acquire) & kWaitingMask) != 0;
  }

  // After the record can be found among those that wait.
  void add(Slot slot) { states_[slot].fetch_add(kOneVersion + 1, std::memory_order_release); }
  void change(Slot slot) { states_[slot].fetch_add(kOneVersion, std::memory_order_release); }
  // After its commit, which changes nothing for a reader.
  void committed(Slot slot) { states_[slot].fetch_sub(1, std::memory_order_release); }
  // It is gone: what was there before it counts again.
  void dropped(Slot slot) { states_[slot].fetch_add(kOneVersion - 1, std::memory_order_release); }

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 14;
  static constexpr unsigned kWaitingBits = 16;  // more than may wait in all
  static constexpr std::uint64_t kOneVersion = std::uint64_t{1} << kWaitingBits;
  static constexpr std::uint64_t kWaitingMask = kOneVersion - 1;

  std::array<std::atomic<std::uint64_t>, kSlots> states_{};
};

}  // namespace mtastsd::cache
