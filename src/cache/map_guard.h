#pragma once

#include <cstddef>

namespace mtastsd::cache {

// Keeps the process alive when pages of a mapped cache file are gone: somebody cut the file short,
// or its disk fails. Reading such a page is a SIGBUS; here it finds an empty leaf of LMDB's
// instead, in which nothing is found and which lost_pages() tells of. Without /proc, and for a
// mapping too many, it guards nothing.
class MapGuard {
 public:
  // `inside`: any address of the mapping, which must stay until the guard is destroyed.
  explicit MapGuard(const void* inside);
  ~MapGuard();
  MapGuard(const MapGuard&) = delete;
  MapGuard& operator=(const MapGuard&) = delete;

  // From any thread: true for good once a page was missed.
  bool lost_pages() const;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::size_t place_ = kNone;
};

}  // namespace mtastsd::cache
