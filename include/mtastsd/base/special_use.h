#pragma once

#include <string_view>

#include "mtastsd/base/ip_address.h"

namespace mtastsd {

// Why no public host is at this address, with the RFC: "private use, RFC 1918". Empty where one
// can be. An IPv6 address that leads to an IPv4 address is judged by that.
//
// These are the addresses of IANA's two registries of special-purpose addresses, and the multicast,
// reserved and deprecated ones of the registries of address space. The few that the former call
// globally reachable are among them: they are anycast addresses of protocols, which the nearest
// network answers.
std::string_view special_use(const IpAddress& address);

}  // namespace mtastsd
