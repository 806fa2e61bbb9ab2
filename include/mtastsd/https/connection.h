#pragma once

#include <optional>

#include "mtastsd/base/fd.h"
#include "mtastsd/base/ip_address.h"

namespace mtastsd::https {

// A TCP connection that a fetch can use. Without a socket and an address it stands for the
// connection to the proxy, which the fetcher makes itself.
struct Connection {
  Fd socket;  // of a non-blocking connect() that has succeeded
  std::optional<IpAddress> address;
};

}  // namespace mtastsd::https
