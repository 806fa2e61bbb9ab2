#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"

namespace mtastsd::resolver {

// Bounds how many policies are fetched from one host at once: many domains have theirs at the
// same provider, and one host that answers nobody must not take the places of all. A host is an
// IPv4 address or an IPv6 /64.
class HostPlaces {
 public:
  enum class Claim { Granted, Waits, Refused };

  // At most kMaxWaiting stand in line for a host; the rest are refused.
  Claim claim(const IpAddress& address, const DomainName& domain, bool urgent,
              std::size_t most_at_once);

  // Lets one that waits already go before those that nobody waits for.
  void hurry(const IpAddress& address, const DomainName& domain);

  // Gives a place back, or on to the next in line, which is returned. `waits` tells those that
  // still do from second entries of ones that hurried.
  std::optional<DomainName> release(const IpAddress& address,
                                    const std::function<bool(const DomainName&)>& waits);

 private:
  struct Host {
    std::size_t taken = 0;
    std::size_t waiting = 0;
    std::deque<DomainName> urgent;
    std::deque<DomainName> background;
  };

  std::map<IpAddress, Host> hosts_;
};

}  // namespace mtastsd::resolver
