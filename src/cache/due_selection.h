#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"

namespace mtastsd::cache {

// Of any number of policies that are due, the `max` that end soonest.
class DueSelection {
 public:
  struct Candidate {
    DomainName domain;
    WallTime due_at{};
    WallTime expires_at{};
    bool on_disk = false;  // else it waits for its commit
  };

  explicit DueSelection(std::size_t max) : max_(max) {}

  // Whether one that ends then would be among them.
  bool wants(WallTime expires_at) const {
    return chosen_.size() < max_ || (max_ > 0 && expires_at < chosen_.front().expires_at);
  }

  void add(const Candidate& candidate) {
    if (chosen_.size() == max_) {
      std::pop_heap(chosen_.begin(), chosen_.end(), ends_sooner);
      chosen_.pop_back();
    }
    chosen_.push_back(candidate);
    std::push_heap(chosen_.begin(), chosen_.end(), ends_sooner);
  }

  // Soonest first.
  std::vector<Candidate> take() {
    std::sort_heap(chosen_.begin(), chosen_.end(), ends_sooner);
    return std::move(chosen_);
  }

 private:
  static bool ends_sooner(const Candidate& a, const Candidate& b) {
    return a.expires_at < b.expires_at;
  }

  const std::size_t max_;
  std::vector<Candidate> chosen_;  // a heap, the last to end at its front
};

}  // namespace mtastsd::cache
