#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "mtastsd/base/clock.h"

namespace mtastsd::simulation {

inline constexpr std::size_t kNoDomain = static_cast<std::size_t>(-1);

// What happened lately, for a report about one domain.
class Trace {
 public:
  explicit Trace(const Clock& clock) : clock_(clock), began_(clock.steady()) {}

  void add(std::size_t domain, const char* what, std::string detail = {});
  // The last `most` events that concern the domain or all of them.
  std::string about(std::size_t domain, std::size_t most) const;

 private:
  struct Event {
    SteadyTime at;
    WallTime wall;
    std::uint64_t order;
    const char* what;
    std::string detail;
  };
  static constexpr std::size_t kKept = 100;  // of each domain, and of what concerns all

  const Clock& clock_;
  const SteadyTime began_;
  std::uint64_t order_ = 0;
  std::unordered_map<std::size_t, std::deque<Event>> events_;
};

}  // namespace mtastsd::simulation
