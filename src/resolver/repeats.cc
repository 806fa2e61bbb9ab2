#include "repeats.h"

namespace mtastsd::resolver {

bool Repeats::again(const DomainName& domain, SteadyTime now) {
  if (now - since_ >= kFor) {
    known_.clear();
    since_ = now;
  }
  if (known_.size() == kMost) {
    return known_.contains(domain);
  }
  return !known_.insert(domain).second;
}

}  // namespace mtastsd::resolver
