#pragma once

#include <vector>

#include "mtastsd/base/ip_address.h"

namespace mtastsd::test {

// Where the policy hosts of the tests are: the networks for documentation (RFC 5737 and 3849).
inline std::vector<IpNetwork> documentation_networks() {
  return {*IpNetwork::parse("192.0.2.0/24"), *IpNetwork::parse("198.51.100.0/24"),
          *IpNetwork::parse("203.0.113.0/24"), *IpNetwork::parse("2001:db8::/32")};
}

}  // namespace mtastsd::test
