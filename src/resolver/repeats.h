#pragma once

#include <chrono>
#include <cstddef>
#include <set>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"

namespace mtastsd::resolver {

// Tells the first time that something is wrong with a domain from the times after it, so that each
// domain is logged once. It begins anew every kFor, which bounds how long a domain is silent.
class Repeats {
 public:
  static constexpr std::chrono::hours kFor{1};
  static constexpr std::size_t kMost = 10000;  // a domain beyond them is always the first time

  // True: it has happened to the domain before, and has not been well since.
  [[nodiscard]] bool again(const DomainName& domain, SteadyTime now);
  void is_well(const DomainName& domain) { known_.erase(domain); }

 private:
  SteadyTime since_{};
  std::set<DomainName> known_;
};

}  // namespace mtastsd::resolver
