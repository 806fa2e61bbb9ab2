#include "values.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/unix_socket.h"

namespace mtastsd::config {
namespace {

constexpr std::size_t kMaxMapName = 64;
constexpr std::size_t kMaxHostName = 253;
constexpr std::size_t kMaxBasePath = 128;
constexpr std::uint16_t kDnsPort = 53;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 5> kDurationUnits = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

constexpr std::array<Unit, 9> kSizeUnits = {{{"B", 1},
                                             {"kB", 1000},
                                             {"MB", 1'000'000},
                                             {"GB", 1'000'000'000},
                                             {"TB", 1'000'000'000'000},
                                             {"KiB", std::uint64_t{1} << 10},
                                             {"MiB", std::uint64_t{1} << 20},
                                             {"GiB", std::uint64_t{1} << 30},
                                             {"TiB", std::uint64_t{1} << 40}}};

// Returns nullopt for anything but digits, and for numbers above the limit.
std::optional<std::uint64_t> parse_number(std::string_view digits, std::uint64_t limit) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number > limit) {
    return std::nullopt;
  }
  return number;
}

// The name of a quantity in messages, and how to write one.
struct Quantity {
  std::string_view noun;
  std::string_view example;
  std::string_view unit;  // of the example
  std::string_view units;
};

// A number and one of the units, as a multiple of the smallest. `limit` bounds the result.
template <std::size_t N>
Result<std::uint64_t, std::string> parse_quantity(std::string_view text,
                                                  const std::array<Unit, N>& units,
                                                  const Quantity& quantity, std::uint64_t limit) {
  const auto* const after = std::find_if_not(text.begin(), text.end(), is_digit);
  const std::string_view digits(text.begin(), static_cast<std::size_t>(after - text.begin()));
  const std::string_view name = text.substr(digits.size());
  const std::string noun(quantity.noun);
  const std::string example = in_quotes(quantity.example);
  if (digits.empty()) {
    return failure("is not a " + noun + "; write for example " + example);
  }
  if (name.empty()) {
    const std::string same(digits.substr(0, 20));
    return failure("a " + noun + " needs a unit, for example " +
                   in_quotes(same + std::string(quantity.unit)));
  }
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [&](const Unit& candidate) { return candidate.name == name; });
  if (unit == units.end()) {
    return failure("a " + noun + " must be one number with one unit (" +
                   std::string(quantity.units) + "), for example " + example);
  }
  const auto number = parse_number(digits, limit / unit->factor);
  if (!number) {
    return failure(std::string("is too large"));
  }
  return *number * unit->factor;
}

// The largest unit that gives a whole number.
template <std::size_t N>
std::string format_quantity(std::uint64_t value, const std::array<Unit, N>& units,
                            std::size_t first) {
  const Unit* best = &units[0];
  for (std::size_t i = first; i < N; ++i) {
    if (value >= units[i].factor && value % units[i].factor == 0) {
      best = &units[i];
    }
  }
  return std::to_string(value / best->factor) + std::string(best->name);
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostName || host.front() == '.') {
    return false;
  }
  if (host.find("..") != std::string_view::npos) {
    return false;
  }
  // A last label of digits is a mistyped IPv4 address and never a name.
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (all_digits(last)) {
    return false;
  }
  return std::all_of(host.begin(), host.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_'; });
}

bool is_v6(std::string_view text) {
  const auto address = IpAddress::parse(text);
  return address && address->is_v6();
}

struct HostPort {
  std::string_view host;  // without brackets
  std::string_view port;
  bool bracketed = false;
  bool has_port = false;
};

// Splits "host:port" and "[v6]:port". Returns nullopt if the brackets do not match.
std::optional<HostPort> split(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) {
      return std::nullopt;
    }
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') {
      return std::nullopt;
    }
    return HostPort{text.substr(1, close - 1), rest.empty() ? rest : rest.substr(1), true,
                    !rest.empty()};
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return HostPort{text, {}, false, false};
  }
  return HostPort{text.substr(0, colon), text.substr(colon + 1), false, true};
}

Result<ListenAddress, std::string> parse_inet(std::string_view text) {
  const auto parts = split(text);
  if (!parts || (parts->bracketed && !is_v6(parts->host))) {
    return failure(std::string("the brackets must contain an IPv6 address: \"inet:[::1]:8461\""));
  }
  if (!parts->bracketed && is_v6(text)) {
    return failure("an IPv6 address must be in brackets, followed by the port: \"inet:[" +
                   std::string(text) + "]:8461\"");
  }
  if (!parts->bracketed && is_v6(parts->host)) {
    return failure("an IPv6 address must be in brackets: \"inet:[" + std::string(parts->host) +
                   "]:" + std::string(parts->port) + "\"");
  }
  if (!parts->has_port) {
    return failure(std::string("has no port; write for example \"inet:127.0.0.1:8461\""));
  }
  if (!parts->bracketed && !IpAddress::parse(parts->host) && !is_host_name(parts->host)) {
    return failure(parts->host.empty()
                       ? "has no address; write for example \"inet:127.0.0.1:8461\""
                       : in_quotes(parts->host) + " is neither an IP address nor a host name");
  }
  const auto port = parse_number(parts->port, 65535);
  if (!port) {
    return failure("the port " + in_quotes(parts->port) + " must be a number up to 65535");
  }
  ListenAddress address;
  address.kind = ListenAddress::Kind::Inet;
  address.host = std::string(parts->host);
  address.port = static_cast<std::uint16_t>(*port);
  return address;
}

Result<ListenAddress, std::string> parse_unix(std::string_view path) {
  if (!path.starts_with('/')) {
    return failure(
        std::string("the path must be absolute, for example \"unix:/run/mtastsd/socketmap\""));
  }
  if (path.ends_with('/')) {
    return failure(std::string("the path must name a socket"));
  }
  if (path.size() > kMaxUnixPath) {
    return failure("the path has " + std::to_string(path.size()) +
                   " bytes, and the path of a unix socket can have at most " +
                   std::to_string(kMaxUnixPath));
  }
  if (std::any_of(path.begin(), path.end(), is_control)) {
    return failure(std::string("the path must not contain control characters"));
  }
  ListenAddress address;
  address.kind = ListenAddress::Kind::Unix;
  address.path = std::string(path);
  return address;
}

}  // namespace

Result<Milliseconds, std::string> parse_duration(std::string_view text) {
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  return parse_quantity(text, kDurationUnits, {"duration", "20s", "s", "ms, s, m, h or d"}, kLimit)
      .map([](std::uint64_t value) { return Milliseconds(value); });
}

Result<std::size_t, std::string> parse_size(std::string_view text) {
  constexpr auto kLimit = std::uint64_t{std::numeric_limits<std::size_t>::max()};
  return parse_quantity(text, kSizeUnits, {"size", "64MiB", "B", "B, KiB, MiB, GiB, TiB"}, kLimit)
      .map([](std::uint64_t value) { return static_cast<std::size_t>(value); });
}

Result<ListenAddress, std::string> parse_listen(std::string_view text) {
  constexpr std::string_view kInet = "inet:";
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kInet)) {
    return parse_inet(text.substr(kInet.size()));
  }
  if (text.starts_with(kUnix)) {
    return parse_unix(text.substr(kUnix.size()));
  }
  return failure(
      std::string("must be \"inet:HOST:PORT\" or \"unix:/absolute/path\", for example "
                  "\"inet:127.0.0.1:8461\""));
}

std::string ListenAddress::str() const {
  if (kind == Kind::Unix) {
    return "unix:" + path;
  }
  const bool v6 = host.find(':') != std::string::npos;
  return "inet:" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool same_place(const ListenAddress& a, const ListenAddress& b) {
  if (a.kind != b.kind) {
    return false;
  }
  if (a.kind == ListenAddress::Kind::Unix) {
    return a.path == b.path;
  }
  // With port 0 each gets a port of its own.
  if (a.port != b.port || a.port == 0) {
    return false;
  }
  const auto left = IpAddress::parse(a.host);
  return a.host == b.host || (left && left == IpAddress::parse(b.host));
}

Check check_base_path(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return is_alnum(c) || c == '/' || c == '-' || c == '_' || c == '.' || c == '~';
  });
  const bool good =
      text.empty() ||
      (plain && text.size() <= kMaxBasePath && text.front() == '/' && text.back() != '/' &&
       text.find("//") == std::string_view::npos && text.find("/.") == std::string_view::npos);
  if (!good) {
    return failure(
        std::string("must be empty, or a path such as \"/mtasts\", with a slash at its "
                    "beginning and none at its end"));
  }
  return {};
}

Check check_dns_server(std::string_view text) {
  // The zone of a link-local address, "fe80::1%eth0", is not part of an endpoint.
  std::string endpoint(text);
  if (const std::size_t zone = text.find('%'); zone != std::string_view::npos) {
    const std::size_t end = std::min(text.find(']', zone), text.size());
    const std::size_t size = end - zone;
    const auto address =
        IpAddress::parse(text.substr(0, zone).substr(text.starts_with('[') ? 1 : 0));
    const std::string_view name = text.substr(zone + 1, size - 1);
    if (size > 1 && size <= IFNAMSIZ && address && address->is_v6() &&
        name.find_first_of(" \t,%") == std::string_view::npos) {
      endpoint.erase(zone, size);
    }
  }
  if (IpEndpoint::parse(endpoint, kDnsPort)) {
    return {};
  }
  return failure(
      std::string("must be an IP address, with a port from 1 to 65535 if it is not 53: "
                  "\"192.0.2.53\", \"127.0.0.1:5353\", \"[2001:db8::53]:53\""));
}

Result<IpNetwork, std::string> parse_network(std::string_view text) {
  if (const auto network = IpNetwork::parse(text)) {
    return *network;
  }
  const std::string_view address = text.substr(0, text.find('/'));
  return failure(std::string(
      IpAddress::parse(address)
          ? "must end in a length of the prefix behind which the address has only zero bits, for "
            "example \"10.0.0.0/8\""
          : "must be an IP network, for example \"10.0.0.0/8\" or \"fd12:3456:789a::/48\""));
}

Result<IpAddress, std::string> parse_address(std::string_view text) {
  if (const auto address = IpAddress::parse(text)) {
    return *address;
  }
  return failure(
      std::string("must be an IP address, for example \"192.0.2.1\" or \"2001:db8::1\""));
}

Check check_proxy(std::string_view text) {
  if (text.empty()) {
    return {};
  }
  // TLS to the proxy itself is not supported, because the rules for the policy host's certificate
  // would then apply to the proxy's too. The fetch through the proxy is TLS from end to end anyway.
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) {
    return failure(std::string("must be a URL that begins with \"http://\""));
  }
  std::string_view authority = text.substr(kScheme.size());
  if (authority.ends_with('/')) {
    authority.remove_suffix(1);
  }
  if (authority.find_first_of("/?# \t") != std::string_view::npos) {
    return failure(std::string("must end after host and port, for example \"http://proxy:3128\""));
  }
  const auto at = authority.rfind('@');
  const auto parts = split(at == std::string_view::npos ? authority : authority.substr(at + 1));
  const bool host_ok = parts && (parts->bracketed ? is_v6(parts->host)
                                                  : IpAddress::parse(parts->host).has_value() ||
                                                        is_host_name(parts->host));
  if (!host_ok || (!parts->bracketed && is_v6(parts->host))) {
    return failure(
        std::string("has no valid host; write for example \"http://proxy:3128\" or "
                    "\"http://[::1]:3128\""));
  }
  if (parts->has_port && parse_number(parts->port, 65535).value_or(0) == 0) {
    return failure(std::string("the port must be a number from 1 to 65535"));
  }
  return {};
}

Check check_map_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxMapName) {
    return failure("a map's name must have 1 to " + std::to_string(kMaxMapName) + " bytes");
  }
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return c == ' ' || c == ':' || is_control(c); })) {
    return failure(std::string("a map's name must not contain white space or a colon"));
  }
  return {};
}

Result<unsigned, std::string> parse_socket_mode(std::string_view text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc() || end != text.data() + text.size() || text.size() < 3 || mode > 0777) {
    return failure(
        std::string("must be an octal file mode from \"0000\" to \"0777\", for example \"0660\""));
  }
  return mode;
}

std::string format_duration(Milliseconds duration) {
  return format_quantity(static_cast<std::uint64_t>(duration.count()), kDurationUnits, 1);
}

std::string format_size(std::size_t size) {
  return format_quantity(size, kSizeUnits, 5);  // from KiB on: binary units only
}

}  // namespace mtastsd::config
