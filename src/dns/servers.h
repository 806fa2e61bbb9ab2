#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "mtastsd/base/ip_address.h"

namespace mtastsd::dns {

using Server = IpEndpoint;

// As IpEndpoint::parse, with port 53 where none is written.
std::optional<Server> parse_server(std::string_view text);

// The "nameserver" lines of a resolv.conf, in order, at most kMaxNameservers. None at all
// means the server on this host, as for the C library. Addresses with a zone ("fe80::1%eth0")
// are passed over.
inline constexpr std::size_t kMaxNameservers = 8;
std::vector<Server> parse_resolv_conf(std::string_view text);

// Whether a resolv.conf has "options trust-ad": the AD bit of its servers counts (resolv.conf(5)).
bool resolv_conf_trusts_ad(std::string_view text);

}  // namespace mtastsd::dns
