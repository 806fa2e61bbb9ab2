#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/reader.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::web {

// Counts what is committed in the cache by what only a look at each record can tell, round after
// round and a page at a time, so that nobody who asks for the totals waits for it. A round through
// ten million records takes some minutes. Belongs to the thread of its timers.
class Census {
 public:
  struct Totals {
    std::uint64_t enforce = 0;  // policies in force, by their mode
    std::uint64_t testing = 0;
    std::uint64_t none = 0;
    std::uint64_t ending_soon = 0;  // of these, those that end within kSoon
    std::uint64_t failing = 0;      // of these, cache::is_failing()
    std::uint64_t no_record = 0;    // domains without a policy, by cache::NoPolicyReason
    std::uint64_t unusable_record = 0;
    std::uint64_t dns_failed = 0;
    std::uint64_t fetch_failed = 0;
    WallTime at{};  // the end of the round
  };
  static constexpr Seconds kSoon{86400};

  using ReadPage = std::function<cache::Reader::Page(const std::string& after)>;

  Census(const Clock& clock, event::Timers& timers, ReadPage read);

  // Of the last complete round; null: there is none yet.
  const Totals* totals() const { return done_ ? &*done_ : nullptr; }

 private:
  void step();
  void count(const cache::Entry& entry);

  const Clock& clock_;
  const ReadPage read_;
  Totals counting_;
  std::string after_;
  std::optional<Totals> done_;
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace mtastsd::web
