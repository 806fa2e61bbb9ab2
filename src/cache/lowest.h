#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace mtastsd::cache {

// Of any number of items, the `most` with the lowest keys.
template <typename Key, typename Item>
class Lowest {
 public:
  using Keyed = std::pair<Key, Item>;

  explicit Lowest(std::size_t most) : most_(most) {}

  // Whether an item with this key would be among them.
  bool wants(const Key& key) const {
    return kept_.size() < most_ || (most_ > 0 && key < kept_.front().first);
  }

  // Adds one that is wanted.
  void add(const Key& key, const Item& item) {
    if (kept_.size() == most_) {
      std::pop_heap(kept_.begin(), kept_.end(), is_lower);
      kept_.pop_back();
    }
    kept_.emplace_back(key, item);
    std::push_heap(kept_.begin(), kept_.end(), is_lower);
  }

  // The lowest first.
  std::vector<Keyed> take() {
    std::sort_heap(kept_.begin(), kept_.end(), is_lower);
    return std::exchange(kept_, {});
  }

 private:
  static bool is_lower(const Keyed& a, const Keyed& b) { return a.first < b.first; }

  const std::size_t most_;
  std::vector<Keyed> kept_;  // a heap, the highest at its front
};

}  // namespace mtastsd::cache
