#pragma once

#include <span>

#include "mtastsd/base/ip_address.h"

namespace mtastsd::https {

// Makes a socket of the family connect from the source of that family, if there is one. False: the
// address is none of this host, and errno says so.
bool use_source(int socket, int family, std::span<const IpAddress> sources);

}  // namespace mtastsd::https
