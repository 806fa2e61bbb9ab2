#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/ip_address.h"

namespace mtastsd::dns {

struct Server : IpEndpoint {
  std::string zone;  // the interface of a link-local address (RFC 4007 section 11); mostly empty

  std::string str() const;  // "192.0.2.1:53", "[fe80::1%eth0]:53"
  friend bool operator==(const Server&, const Server&) = default;
};

// As IpEndpoint::parse, with port 53 where none is written, and with a zone behind an IPv6 address:
// "fe80::1%eth0", "[fe80::1%eth0]:53".
std::optional<Server> parse_server(std::string_view text);

// The "nameserver" lines of a resolv.conf, in order, at most kMaxNameservers. None at all
// means the server on this host, as for the C library.
inline constexpr std::size_t kMaxNameservers = 8;
std::vector<Server> parse_resolv_conf(std::string_view text);

// What the "options" lines of a resolv.conf (resolv.conf(5)) say about asking. Of an option that is
// there several times the last one counts; unknown ones are passed over.
struct ResolvOptions {
  bool use_vc = false;                  // over TCP only
  bool rotate = false;                  // questions begin with each of the servers in turn
  std::optional<Milliseconds> timeout;  // until the next server is asked, 1 s to 30 s
  std::optional<int> attempts;          // rounds of all servers, 1 to 5
  friend bool operator==(const ResolvOptions&, const ResolvOptions&) = default;
};
ResolvOptions parse_resolv_options(std::string_view text);

// Whether a resolv.conf has "options trust-ad": the AD bit of its servers counts (resolv.conf(5)).
bool resolv_conf_trusts_ad(std::string_view text);

}  // namespace mtastsd::dns
