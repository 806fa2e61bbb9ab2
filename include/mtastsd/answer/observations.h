#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/domain_name.h"

namespace mtastsd::answer {

// How many answers to a domain a map that enforces would have given otherwise.
struct Observed {
  std::string domain;
  std::uint64_t mails = 0;  // Postfix asks once for each delivery
};

struct ObservedSum {
  std::vector<Observed> domains;    // the most mails first
  std::uint64_t left_out = 0;       // mails to domains that are not among them
  std::uint64_t domains_known = 0;  // of the table, before any were left out
};

// Counts mails by domain, those of the busiest domains in a table of a fixed size: each mail is
// counted once, for its domain or as left out. A newcomer takes the place of a domain with fewer
// mails than newcomers have asked for its place since. So one that is busy later gets in, and
// strangers with many domains push out only those with fewer mails than they send.
//
// Of one thread. Counting takes no lock and allocates nothing.
class Observations {
 public:
  Observations();

  // True: the domain was not in the table.
  bool add(const DomainName& domain);

  ObservedSum sum() const;

 private:
  struct Place {
    std::uint64_t mails = 0;  // 0: free
    std::uint64_t wanted = 0;
    std::array<char, DomainName::kMaxSize> name{};
    std::uint8_t size = 0;
    std::string_view view() const { return {name.data(), size}; }
  };
  static constexpr std::size_t kPlaces = 16384;
  static constexpr std::size_t kNeighbours = 8;  // the places that a domain can have

  std::vector<Place> places_;
  std::uint64_t left_out_ = 0;
};

// The sums of several threads, with as many of the busiest domains as fit into `max_bytes`: each
// takes its name and `around`.
ObservedSum joined(const std::vector<ObservedSum>& sums, std::size_t max_bytes, std::size_t around);

}  // namespace mtastsd::answer
