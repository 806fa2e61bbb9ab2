#pragma once

#include <cstddef>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {

// What a full cache gives up first. A "no policy" result costs a DNS query to find again; an
// enforced policy that is lost while its domain is under attack is lost protection.
enum class Worth {
  NoPolicy,
  Expired,
  NotEnforced,  // mode testing or none
  Enforced,
};
Worth worth_of(const EntryFacts& facts, WallTime now);

// Collects the least valuable of all records that it is shown, at most `most`: by worth, then the
// longest unused ("no policy" results: those that end first).
class Victims {
 public:
  explicit Victims(std::size_t most) : most_(most) {}

  void consider(const DomainName& domain, const EntryFacts& facts, WallTime now);

  struct Victim {
    Worth worth;
    WallTime since;
    DomainName domain;
  };
  // The least valuable first.
  std::vector<Victim> take();

 private:
  const std::size_t most_;
  std::vector<Victim> heap_;  // the most valuable of them on top
};

}  // namespace mtastsd::cache
