#include "histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bench {

// The lowest kSub values have a bucket each; above, every power of two has kSub buckets.
std::size_t Histogram::index_of(std::uint64_t value) {
  const unsigned width = static_cast<unsigned>(std::bit_width(value));
  if (width <= kSubBits) {
    return value;
  }
  const unsigned shift = width - kSubBits - 1;
  return (shift + 1) * kSub + (value >> shift) - kSub;
}

std::int64_t Histogram::upper_edge(std::size_t index) {
  if (index < kSub) {
    return static_cast<std::int64_t>(index);
  }
  const std::size_t shift = index / kSub - 1;
  const std::uint64_t next = (kSub + index % kSub + 1) << shift;
  return static_cast<std::int64_t>(next - 1);
}

void Histogram::record(std::int64_t nanoseconds) {
  const std::int64_t value = std::max<std::int64_t>(nanoseconds, 0);
  ++buckets_[index_of(static_cast<std::uint64_t>(value))];
  ++count_;
  max_ = std::max(max_, value);
}

void Histogram::clear() {
  *this = Histogram();
}

std::int64_t Histogram::quantile(double q) const {
  const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank && buckets_[i] != 0) {
      return std::min(upper_edge(i), max_);
    }
  }
  return max_;
}

}  // namespace bench
