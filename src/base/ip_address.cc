#include "mtastsd/base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace mtastsd {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) {
    return std::nullopt;
  }
  return port;
}

constexpr std::array<unsigned char, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<unsigned char, 12> kNat64Prefix = {0, 0x64, 0xff, 0x9b, 0, 0,
                                                        0, 0,    0,    0,    0, 0};
constexpr std::array<unsigned char, 2> k6to4Prefix = {0x20, 0x02};

// Whether two addresses agree in their first `bits`.
bool same_prefix(std::span<const unsigned char> a, std::span<const unsigned char> b,
                 unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) {
    return false;
  }
  const unsigned rest = bits % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

// Whether all bits behind the first `bits` are zero.
bool ends_with_zeros(std::span<const unsigned char> bytes, unsigned bits) {
  const std::size_t whole = bits / 8;
  const unsigned rest = bits % 8;
  if (rest != 0 && (bytes[whole] & (0xff >> rest)) != 0) {
    return false;
  }
  const auto tail = bytes.subspan(whole + (rest != 0 ? 1 : 0));
  return std::all_of(tail.begin(), tail.end(), [](unsigned char byte) { return byte == 0; });
}

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

std::optional<IpAddress> IpAddress::embedded_v4() const {
  const auto begins_with = [this](const auto& prefix) {
    return v6_ && std::equal(prefix.begin(), prefix.end(), bytes_.begin());
  };
  std::size_t at = 0;
  if (begins_with(kMappedPrefix) || begins_with(kNat64Prefix)) {
    at = 12;
  } else if (begins_with(k6to4Prefix)) {
    at = 2;
  } else {
    return std::nullopt;
  }
  IpAddress result;
  std::memcpy(result.bytes_.data(), bytes_.data() + at, 4);
  return result;
}

IpAddress IpAddress::host_network() const {
  if (const auto v4 = embedded_v4()) {
    return *v4;
  }
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

std::optional<IpNetwork> IpNetwork::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto first = IpAddress::parse(text.substr(0, slash));
  if (!first) {
    return std::nullopt;
  }
  const auto most = static_cast<unsigned>(first->bytes().size() * 8);
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const std::string_view number = text.substr(slash + 1);
    const char* const behind = number.data() + number.size();
    const auto [end, error] = std::from_chars(number.data(), behind, bits);
    if (error != std::errc() || end != behind || bits > most) {
      return std::nullopt;
    }
  }
  if (!ends_with_zeros(first->bytes(), bits)) {
    return std::nullopt;
  }
  return IpNetwork(*first, bits);
}

bool IpNetwork::contains(const IpAddress& address) const {
  return address.is_v6() == first_.is_v6() && same_prefix(address.bytes(), first_.bytes(), bits_);
}

std::string IpNetwork::str() const {
  return first_.str() + "/" + std::to_string(bits_);
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
