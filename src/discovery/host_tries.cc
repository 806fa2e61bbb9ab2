#include "mtastsd/discovery/host_tries.h"

#include <utility>

namespace mtastsd::discovery {

void HostTries::connected(const std::optional<IpAddress>& address) {
  if (!address || address_) {
    return;
  }
  address_ = address;
  others_ = std::exchange(next_.usable, {*address});
  std::erase(others_, *address);
}

void HostTries::connect_failed(PolicyFailure why) {
  failures_.push_back({std::nullopt, std::move(why)});
}

bool HostTries::fetch_failed(PolicyFailure why, bool in_time) {
  const bool go_on = in_time && !others_.empty() && failures_.size() + 1 < kMaxHostsTried &&
                     why.kind != PolicyFailure::Kind::Syntax;
  if (address_ && (go_on || !failures_.empty())) {
    why.detail += " (at " + address_->str() + ")";
  }
  failures_.push_back({address_, std::move(why)});
  if (go_on) {
    next_.usable = std::exchange(others_, {});
    address_.reset();
  }
  return go_on;
}

std::size_t HostTries::most_telling() const {
  std::size_t most = 0;
  for (std::size_t i = 1; i < failures_.size(); ++i) {
    if (failures_[most].why.kind == PolicyFailure::Kind::Fetch && failures_[i].address) {
      most = i;
    }
  }
  return most;
}

}  // namespace mtastsd::discovery
