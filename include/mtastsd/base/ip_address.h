#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
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

  // True for an address that no public policy host has: loopback, link-local, multicast,
  // unspecified (including "this network" 0.0.0.0/8 and broadcast), and the same as IPv4-mapped
  // IPv6.
  bool is_local() const;

  // Returns the address, or for IPv6 the first one of its /64, because one host can have all of
  // that.
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
