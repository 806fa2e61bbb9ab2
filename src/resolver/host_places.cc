#include "host_places.h"

namespace mtastsd::resolver {
namespace {

constexpr std::size_t kMaxWaiting = 2000;

}  // namespace

HostPlaces::Claim HostPlaces::claim(const IpAddress& address, const DomainName& domain, bool urgent,
                                    std::size_t most_at_once) {
  Host& host = hosts_[address.host_network()];
  if (host.taken < most_at_once || host.taken == 0) {
    ++host.taken;
    return Claim::Granted;
  }
  if (host.waiting >= kMaxWaiting) {
    return Claim::Refused;
  }
  ++host.waiting;
  (urgent ? host.urgent : host.background).push_back(domain);
  return Claim::Waits;
}

void HostPlaces::hurry(const IpAddress& address, const DomainName& domain) {
  if (const auto it = hosts_.find(address.host_network()); it != hosts_.end()) {
    it->second.urgent.push_back(domain);
  }
}

std::optional<DomainName> HostPlaces::release(const IpAddress& address,
                                              const std::function<bool(const DomainName&)>& waits) {
  const auto it = hosts_.find(address.host_network());
  if (it == hosts_.end()) {
    return std::nullopt;
  }
  Host& host = it->second;
  for (auto* line : {&host.urgent, &host.background}) {
    while (!line->empty()) {
      DomainName next = std::move(line->front());
      line->pop_front();
      if (waits(next)) {
        --host.waiting;
        return next;  // the place goes on to it
      }
    }
  }
  if (--host.taken == 0) {
    hosts_.erase(it);
  }
  return std::nullopt;
}

}  // namespace mtastsd::resolver
