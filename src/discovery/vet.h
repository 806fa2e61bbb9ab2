#pragma once

#include <optional>
#include <vector>

#include "mtastsd/base/ip_address.h"
#include "mtastsd/discovery/discovery.h"

namespace mtastsd::discovery {

struct VettingRules {
  bool by_proxy = false;
  bool allow_all = false;                 // those of special use as well
  std::vector<IpNetwork> allow_networks;  // of special use, and allowed nevertheless
};

// Which of a host's addresses may be connected to, or why none. Pure. An answer that has not come
// counts for nothing.
HostAddresses vet(const DomainName& host, const VettingRules& rules,
                  const std::optional<dns::AddressAnswer>& v4,
                  const std::optional<dns::AddressAnswer>& v6);

}  // namespace mtastsd::discovery
