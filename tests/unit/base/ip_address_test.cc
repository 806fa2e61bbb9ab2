#include "mtastsd/base/ip_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "unit/base/exact_copy.h"

namespace mtastsd {
namespace {

using namespace std::literals;

TEST(IpAddressParse, ReadsBothFamilies) {
  const auto v4 = IpAddress::parse(ExactCopy("192.0.2.1").view());
  ASSERT_TRUE(v4);
  EXPECT_FALSE(v4->is_v6());
  EXPECT_EQ(v4->str(), "192.0.2.1");
  const auto v6 = IpAddress::parse(ExactCopy("2001:DB8:0::1").view());
  ASSERT_TRUE(v6);
  EXPECT_TRUE(v6->is_v6());
  EXPECT_EQ(v6->str(), "2001:db8::1");
  const auto longest = IpAddress::parse("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
  EXPECT_TRUE(longest);
}

TEST(IpAddressParse, RefusesEverythingElse) {
  for (const std::string_view text :
       {""sv, "example.com"sv, "192.0.2"sv, "192.0.2.256"sv, "192.0.2.1 "sv, " 192.0.2.1"sv,
        "192.0.2.1:25"sv, "[2001:db8::1]"sv, "fe80::1%eth0"sv, "2001:db8:::1"sv, "0300.0.2.1"sv,
        "0x7f.0.0.1"sv, "192.0.2.1\0"sv, "::1\0x"sv, "3221225985"sv}) {
    EXPECT_FALSE(IpAddress::parse(ExactCopy(text).view())) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string(1000, '1')));
}

TEST(IpAddress, TakesBinaryForms) {
  in_addr v4{};
  v4.s_addr = htonl(0xc0000201);
  EXPECT_EQ(IpAddress::v4(v4), IpAddress::parse("192.0.2.1"));
  in6_addr v6{};
  v6.s6_addr[15] = 1;
  EXPECT_EQ(IpAddress::v6(v6), IpAddress::parse("::1"));
}

TEST(IpAddress, DiffersByFamilyAndByValue) {
  EXPECT_NE(IpAddress::parse("0.0.0.0"), IpAddress::parse("::"));
  EXPECT_NE(IpAddress::parse("192.0.2.1"), IpAddress::parse("192.0.2.2"));
}

// RFC 6890 section 2.2.
TEST(IpAddressIsLocal, CoversWhatNoPublicHostHas) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.0.1",
                           "169.254.255.255",
                           "224.0.0.1",
                           "239.255.255.255",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "fe80::1",
                           "febf::1",
                           "ff00::1",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:0.0.0.0",
                           "::ffff:169.254.1.1",
                           "::ffff:224.0.0.1",
                           "::ffff:255.255.255.255"}) {
    EXPECT_TRUE(IpAddress::parse(text)->is_local()) << text;
  }
}

TEST(IpAddressIsLocal, LeavesPublicAndPrivateAddresses) {
  for (const char* text :
       {"1.0.0.0", "126.255.255.255", "128.0.0.1", "169.253.1.1", "169.255.1.1", "223.255.255.255",
        "240.0.0.1", "255.255.255.254", "10.0.0.1", "192.168.0.1", "::2", "100::1", "2001:db8::1",
        "fd00::1", "fe7f::1", "fec0::1", "::ffff:192.0.2.1", "::fffe:127.0.0.1"}) {
    EXPECT_FALSE(IpAddress::parse(text)->is_local()) << text;
  }
}

std::string endpoint(std::string_view text) {
  const auto parsed = IpEndpoint::parse(ExactCopy(text).view(), 53);
  return parsed ? parsed->str() : "";
}

TEST(IpEndpoint, TakesAddressesWithAndWithoutPort) {
  EXPECT_EQ(endpoint("192.0.2.1"), "192.0.2.1:53");
  EXPECT_EQ(endpoint("192.0.2.1:5353"), "192.0.2.1:5353");
  EXPECT_EQ(endpoint("2001:db8::1"), "[2001:db8::1]:53");
  EXPECT_EQ(endpoint("[2001:db8::1]"), "[2001:db8::1]:53");
  EXPECT_EQ(endpoint("[2001:db8::1]:65535"), "[2001:db8::1]:65535");
}

TEST(IpEndpoint, RefusesEverythingElse) {
  for (const char* text :
       {"", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:x",
        "192.0.2.1:53 ", "[192.0.2.1]:53", "[2001:db8::1", "[2001:db8::1]53",
        "[2001:db8::1]:", "[]", ":53", "192.0.2.1:53:53", "192.0.2.1:+53", "::1]:53"}) {
    EXPECT_EQ(endpoint(text), "") << text;
  }
}

}  // namespace
}  // namespace mtastsd
