#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mtastsd {

// An IPv4 or IPv6 address without a port. Small, copied freely.
class IpAddress {
 public:
  static std::optional<IpAddress> parse(std::string_view text);  // "192.0.2.1", "2001:db8::1"
  static IpAddress v4(const in_addr& address);
  static IpAddress v6(const in6_addr& address);

  bool is_v6() const { return v6_; }
  std::string str() const;  // IPv6 without brackets

  // The first four bytes of an IPv4 address, or all sixteen.
  std::span<const unsigned char> bytes() const { return {bytes_.data(), v6_ ? 16U : 4U}; }

  // The IPv4 address that a packet to this IPv6 address ends at: of an IPv4-mapped address (RFC
  // 4291 section 2.5.5.2), behind a NAT64 with the well-known prefix (RFC 6052 section 2.1), or of
  // a 6to4 router (RFC 3056 section 2).
  std::optional<IpAddress> embedded_v4() const;

  // Returns the address, or for IPv6 the first one of its /64, because one host can have all of
  // that. An IPv6 address with an IPv4 address in it stands for that.
  IpAddress host_network() const;

  // For connect() and the like: fills `to`, whatever was in it, and returns the size that is used.
  socklen_t to_sockaddr(std::uint16_t port, sockaddr_storage& to) const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  IpAddress() = default;
  bool v6_ = false;
  std::array<unsigned char, 16> bytes_{};  // IPv4 in the first four
};

// All addresses that begin with the same bits.
class IpNetwork {
 public:
  // "10.0.0.0/8", "fd00::/8", or one address. No bit is set behind the prefix.
  static std::optional<IpNetwork> parse(std::string_view text);

  bool contains(const IpAddress& address) const;
  std::string str() const;  // "10.0.0.0/8"

  friend bool operator==(const IpNetwork&, const IpNetwork&) = default;

 private:
  IpNetwork(const IpAddress& first, unsigned bits) : first_(first), bits_(bits) {}
  IpAddress first_;
  unsigned bits_;
};

// An address and a port.
struct IpEndpoint {
  IpAddress address;
  std::uint16_t port = 0;

  // "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53". A port that is
  // written is 1 to 65535.
  static std::optional<IpEndpoint> parse(std::string_view text, std::uint16_t default_port);
  std::string str() const;  // "192.0.2.1:53", "[2001:db8::1]:53"

  friend bool operator==(const IpEndpoint&, const IpEndpoint&) = default;
};

}  // namespace mtastsd
