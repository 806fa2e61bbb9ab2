#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/ip_address.h"
#include "tables.h"

namespace mtastsd::doctor {

// The user whose process opened the socket that takes connections to an address. `sockets` is the
// text of /proc/net/tcp or tcp6.
std::optional<uid_t> owner_in(std::string_view sockets, const IpAddress& address,
                              std::uint16_t port);

// The same for the server of a table of Postfix, whose socket is at `path`. nullopt if nobody
// listens there, or it cannot be known.
std::optional<uid_t> listener_owner(const Socketmap& map, const std::string& path);

}  // namespace mtastsd::doctor
