#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/ip_address.h"

namespace mtastsd::dns {

struct Server {
  IpAddress address;
  std::uint16_t port = 53;

  std::string str() const;  // "192.0.2.1:53", "[2001:db8::1]:53"
  friend bool operator==(const Server&, const Server&) = default;
};

// "addr", "addr:port", "[v6]", "[v6]:port".
std::optional<Server> parse_server(std::string_view text);

// The "nameserver" lines of a resolv.conf, in order, at most kMaxNameservers. None at all
// means the server on this host, as for the C library. Addresses with a zone ("fe80::1%eth0")
// are passed over.
inline constexpr std::size_t kMaxNameservers = 8;
std::vector<Server> parse_resolv_conf(std::string_view text);

}  // namespace mtastsd::dns
