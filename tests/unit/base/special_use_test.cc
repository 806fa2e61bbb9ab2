#include "mtastsd/base/special_use.h"

#include <gtest/gtest.h>

#include <string>

namespace mtastsd {
namespace {

std::string use(const char* address) {
  return std::string(special_use(*IpAddress::parse(address)));
}

// The ranges of IANA's registries by their first and last addresses, with the reason.
TEST(SpecialUse, CoversTheRegistriesFromTheFirstAddressToTheLast) {
  struct Row {
    const char* first;
    const char* last;
    const char* use;
  };
  for (const Row& row : {
           Row{"0.0.0.0", "0.255.255.255", "this network, RFC 791"},
           Row{"10.0.0.0", "10.255.255.255", "private use, RFC 1918"},
           Row{"100.64.0.0", "100.127.255.255", "shared address space, RFC 6598"},
           Row{"127.0.0.0", "127.255.255.255", "loopback, RFC 1122"},
           Row{"169.254.0.0", "169.254.255.255", "link-local, RFC 3927"},
           Row{"172.16.0.0", "172.31.255.255", "private use, RFC 1918"},
           Row{"192.0.0.0", "192.0.0.255", "protocol assignments, RFC 6890"},
           Row{"192.0.2.0", "192.0.2.255", "documentation, RFC 5737"},
           Row{"192.31.196.0", "192.31.196.255", "AS112, RFC 7535"},
           Row{"192.52.193.0", "192.52.193.255", "multicast relays, RFC 7450"},
           Row{"192.88.99.0", "192.88.99.255", "6to4 relays, RFC 7526"},
           Row{"192.168.0.0", "192.168.255.255", "private use, RFC 1918"},
           Row{"192.175.48.0", "192.175.48.255", "AS112, RFC 7534"},
           Row{"198.18.0.0", "198.19.255.255", "benchmarking, RFC 2544"},
           Row{"198.51.100.0", "198.51.100.255", "documentation, RFC 5737"},
           Row{"203.0.113.0", "203.0.113.255", "documentation, RFC 5737"},
           Row{"224.0.0.0", "239.255.255.255", "multicast, RFC 5771"},
           Row{"240.0.0.0", "255.255.255.254", "reserved, RFC 1112"},
           Row{"255.255.255.255", "255.255.255.255", "broadcast, RFC 919"},
           Row{"::", "::", "unspecified, RFC 4291"},
           Row{"::1", "::1", "loopback, RFC 4291"},
           Row{"::2", "::255.255.255.255", "IPv4-compatible, RFC 4291"},
           Row{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "local NAT64, RFC 8215"},
           Row{"100::", "100::ffff:ffff:ffff:ffff", "discard-only, RFC 6666"},
           Row{"100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", "dummy prefix, RFC 9780"},
           Row{"2001::", "2001::ffff:ffff:ffff:ffff:ffff:ffff", "Teredo, RFC 4380"},
           Row{"2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
               "protocol assignments, RFC 2928"},
           Row{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation, RFC 3849"},
           Row{"2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112, RFC 7534"},
           Row{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation, RFC 9637"},
           Row{"5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "segment routing, RFC 9602"},
           Row{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private use, RFC 4193"},
           Row{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local, RFC 4291"},
           Row{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local, RFC 3879"},
           Row{"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast, RFC 4291"},
       }) {
    EXPECT_EQ(use(row.first), row.use) << row.first;
    EXPECT_EQ(use(row.last), row.use) << row.last;
  }
}

TEST(SpecialUse, LeavesTheAddressesNextToThem) {
  for (const char* address :
       {"1.0.0.0",      "9.255.255.255",   "11.0.0.0",         "100.63.255.255",
        "100.128.0.0",  "126.255.255.255", "128.0.0.0",        "169.253.255.255",
        "169.255.0.0",  "172.15.255.255",  "172.32.0.0",       "191.255.255.255",
        "192.0.1.0",    "192.0.1.255",     "192.0.3.0",        "192.31.195.255",
        "192.31.197.0", "192.52.192.255",  "192.52.194.0",     "192.88.98.255",
        "192.88.100.0", "192.167.255.255", "192.169.0.0",      "192.175.47.255",
        "192.175.49.0", "198.17.255.255",  "198.20.0.0",       "198.51.99.255",
        "198.51.101.0", "203.0.112.255",   "203.0.114.0",      "223.255.255.255",
        "2000::",       "2001:200::",      "2001:db7:ffff::1", "2001:db9::",
        "2003::",       "2606:4700::1",    "2620:4f:7fff::1",  "2620:4f:8001::",
        "2a00:1450::1", "3ffe:ffff::1"}) {
    EXPECT_EQ(use(address), "") << address;
  }
}

// A host with such an address is where the IPv4 address in it is.
TEST(SpecialUse, JudgesAnEmbeddedAddress) {
  struct Row {
    const char* address;
    const char* use;
  };
  for (const Row& row : {
           Row{"::ffff:127.0.0.1", "loopback, RFC 1122"},
           Row{"::ffff:10.1.2.3", "private use, RFC 1918"},
           Row{"::ffff:8.8.8.8", ""},
           Row{"64:ff9b::a9fe:a9fe", "link-local, RFC 3927"},
           Row{"64:ff9b::10.0.0.1", "private use, RFC 1918"},
           Row{"64:ff9b::8.8.8.8", ""},
           Row{"2002:7f00:1::", "loopback, RFC 1122"},
           Row{"2002:c0a8:101:2::3", "private use, RFC 1918"},
           Row{"2002:808:808::1", ""},
           Row{"::127.0.0.1", "IPv4-compatible, RFC 4291"},
           Row{"::8.8.8.8", "IPv4-compatible, RFC 4291"},
           Row{"64:ff9b:1::8.8.8.8", "local NAT64, RFC 8215"},
       }) {
    EXPECT_EQ(use(row.address), row.use) << row.address;
  }
}

}  // namespace
}  // namespace mtastsd
