#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"

// What single values may be, apart from TOML; parse_duration and its like are here too. An
// error is the end of a sentence about the value: "must be ...".
namespace mtastsd::config {

using Check = Result<void, std::string>;

// "addr", "addr:port", "[v6]:port" or a bare IPv6 address.
Check check_dns_server(std::string_view text);
// "10.0.0.0/8", "fd12:3456:789a::/48" or one address.
Result<IpNetwork, std::string> parse_network(std::string_view text);
// "" for none, else http:// or https:// with host and perhaps port. The sentence never repeats
// the value: it can hold a password.
Check check_proxy(std::string_view text);
Result<IpAddress, std::string> parse_address(std::string_view text);
// A socketmap name: 1 to 64 bytes without white space, control characters and colons.
Check check_map_name(std::string_view text);
// "" for none, or a path such as "/mtasts" of letters, digits and "-_.~".
Check check_base_path(std::string_view text);
Result<unsigned, std::string> parse_socket_mode(std::string_view text);

// Whether binding both would fail: the same place, however it is written.
bool same_place(const ListenAddress& a, const ListenAddress& b);

// In the units that parse_duration and parse_size read: "95s", "1MiB".
std::string format_duration(Milliseconds duration);
std::string format_size(std::size_t size);

}  // namespace mtastsd::config
