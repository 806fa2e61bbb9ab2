#include "mtastsd/base/special_use.h"

#include <algorithm>
#include <vector>

namespace mtastsd {
namespace {

struct Row {
  const char* network;
  const char* use;
};

// https://www.iana.org/assignments/iana-ipv4-special-registry, as of 2025. A network that lies in
// another one has no row of its own, unless its use tells more; then it comes first.
constexpr Row kIpv4[] = {
    {"0.0.0.0/8", "this network, RFC 791"},
    {"10.0.0.0/8", "private use, RFC 1918"},
    {"100.64.0.0/10", "shared address space, RFC 6598"},
    {"127.0.0.0/8", "loopback, RFC 1122"},
    {"169.254.0.0/16", "link-local, RFC 3927"},
    {"172.16.0.0/12", "private use, RFC 1918"},
    {"192.0.0.0/24", "protocol assignments, RFC 6890"},
    {"192.0.2.0/24", "documentation, RFC 5737"},
    {"192.31.196.0/24", "AS112, RFC 7535"},
    {"192.52.193.0/24", "multicast relays, RFC 7450"},
    {"192.88.99.0/24", "6to4 relays, RFC 7526"},
    {"192.168.0.0/16", "private use, RFC 1918"},
    {"192.175.48.0/24", "AS112, RFC 7534"},
    {"198.18.0.0/15", "benchmarking, RFC 2544"},
    {"198.51.100.0/24", "documentation, RFC 5737"},
    {"203.0.113.0/24", "documentation, RFC 5737"},
    {"224.0.0.0/4", "multicast, RFC 5771"},  // of the registry of address space
    {"255.255.255.255/32", "broadcast, RFC 919"},
    {"240.0.0.0/4", "reserved, RFC 1112"},
};

// https://www.iana.org/assignments/iana-ipv6-special-registry, as of 2025, but for the prefixes of
// IpAddress::embedded_v4().
constexpr Row kIpv6[] = {
    {"::/128", "unspecified, RFC 4291"},
    {"::1/128", "loopback, RFC 4291"},
    {"::/96", "IPv4-compatible, RFC 4291"},  // deprecated there, in section 2.5.5.1
    {"64:ff9b:1::/48", "local NAT64, RFC 8215"},
    {"100::/64", "discard-only, RFC 6666"},
    {"100:0:0:1::/64", "dummy prefix, RFC 9780"},
    {"2001::/32", "Teredo, RFC 4380"},
    {"2001::/23", "protocol assignments, RFC 2928"},
    {"2001:db8::/32", "documentation, RFC 3849"},
    {"2620:4f:8000::/48", "AS112, RFC 7534"},
    {"3fff::/20", "documentation, RFC 9637"},
    {"5f00::/16", "segment routing, RFC 9602"},
    {"fc00::/7", "private use, RFC 4193"},
    {"fe80::/10", "link-local, RFC 4291"},
    {"fec0::/10", "site-local, RFC 3879"},  // these two of the registry of address space
    {"ff00::/8", "multicast, RFC 4291"},
};

struct Use {
  IpNetwork network;
  std::string_view name;
};

const std::vector<Use>& uses() {
  static const std::vector<Use> kUses = [] {
    std::vector<Use> all;
    for (const Row& row : kIpv4) {
      all.push_back({IpNetwork::parse(row.network).value(), row.use});
    }
    for (const Row& row : kIpv6) {
      all.push_back({IpNetwork::parse(row.network).value(), row.use});
    }
    return all;
  }();
  return kUses;
}

}  // namespace

std::string_view special_use(const IpAddress& address) {
  const IpAddress judged = address.embedded_v4().value_or(address);
  const auto found = std::find_if(uses().begin(), uses().end(),
                                  [&](const Use& use) { return use.network.contains(judged); });
  return found == uses().end() ? std::string_view() : found->name;
}

}  // namespace mtastsd
