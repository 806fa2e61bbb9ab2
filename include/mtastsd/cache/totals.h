#pragma once

#include <cstddef>

namespace mtastsd::cache {

// What is committed, as LMDB itself keeps count: asking costs nothing, however many records there
// are.
struct CacheTotals {
  std::size_t entries = 0;
  std::size_t policies = 0;
  std::size_t negatives = 0;  // domains without a policy
  std::size_t used_bytes = 0;
  std::size_t map_bytes = 0;  // what the file may grow to, with some room to work in
};

}  // namespace mtastsd::cache
