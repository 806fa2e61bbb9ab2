#include "mtastsd/base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace mtastsd {
namespace {

bool is_local_v4(const unsigned char* b) {
  const bool this_network = b[0] == 0;
  const bool loopback = b[0] == 127;
  const bool link_local = b[0] == 169 && b[1] == 254;
  const bool multicast = (b[0] & 0xf0) == 0xe0;
  const bool broadcast = std::all_of(b, b + 4, [](unsigned char byte) { return byte == 0xff; });
  return this_network || loopback || link_local || multicast || broadcast;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) {
    return std::nullopt;
  }
  return port;
}

constexpr std::array<unsigned char, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton takes a C string and would read only what stands before a zero byte.
  std::array<char, INET6_ADDRSTRLEN> zero_ended{};
  if (text.size() >= zero_ended.size() || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  std::copy(text.begin(), text.end(), zero_ended.begin());
  if (in_addr address{}; inet_pton(AF_INET, zero_ended.data(), &address) == 1) {
    return v4(address);
  }
  if (in6_addr address{}; inet_pton(AF_INET6, zero_ended.data(), &address) == 1) {
    return v6(address);
  }
  return std::nullopt;
}

IpAddress IpAddress::v4(const in_addr& address) {
  IpAddress result;
  std::memcpy(result.bytes_.data(), &address, sizeof address);
  return result;
}

IpAddress IpAddress::v6(const in6_addr& address) {
  IpAddress result;
  result.v6_ = true;
  std::memcpy(result.bytes_.data(), &address, sizeof address);
  return result;
}

std::string IpAddress::str() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), text.data(), text.size());
  return text.data();
}

bool IpAddress::is_local() const {
  const unsigned char* b = bytes_.data();
  if (!v6_) {
    return is_local_v4(b);
  }
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), b)) {
    return is_local_v4(b + kMappedPrefix.size());
  }
  const bool unspecified_or_loopback =
      std::all_of(b, b + 15, [](unsigned char byte) { return byte == 0; }) && b[15] <= 1;
  const bool link_local = b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
  const bool multicast = b[0] == 0xff;
  return unspecified_or_loopback || link_local || multicast;
}

IpAddress IpAddress::host_network() const {
  IpAddress network = *this;
  if (v6_) {
    std::fill(network.bytes_.begin() + 8, network.bytes_.end(), 0);
  }
  return network;
}

socklen_t IpAddress::to_sockaddr(std::uint16_t port, sockaddr_storage& to) const {
  to = {};
  if (v6_) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    std::memcpy(&address.sin6_addr, bytes_.data(), sizeof address.sin6_addr);
    std::memcpy(&to, &address, sizeof address);
    return sizeof address;
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  std::memcpy(&address.sin_addr, bytes_.data(), sizeof address.sin_addr);
  std::memcpy(&to, &address, sizeof address);
  return sizeof address;
}

std::optional<IpEndpoint> IpEndpoint::parse(std::string_view text, std::uint16_t default_port) {
  std::string_view address = text;
  std::string_view colon_and_port;
  const bool bracketed = text.starts_with('[');
  if (bracketed) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return std::nullopt;
    }
    address = text.substr(1, close - 1);
    colon_and_port = text.substr(close + 1);
  } else if (const std::size_t colon = text.find(':');
             colon != std::string_view::npos && colon == text.rfind(':')) {
    address = text.substr(0, colon);
    colon_and_port = text.substr(colon);
  }
  std::optional<std::uint16_t> port = default_port;
  if (!colon_and_port.empty()) {
    port = colon_and_port.front() == ':' ? parse_port(colon_and_port.substr(1)) : std::nullopt;
  }
  const auto parsed = IpAddress::parse(address);
  if (!parsed || !port || (bracketed && !parsed->is_v6())) {
    return std::nullopt;
  }
  return IpEndpoint{*parsed, *port};
}

std::string IpEndpoint::str() const {
  const std::string host = address.is_v6() ? "[" + address.str() + "]" : address.str();
  return host + ":" + std::to_string(port);
}

}  // namespace mtastsd
