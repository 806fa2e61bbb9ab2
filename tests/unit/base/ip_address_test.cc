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

std::string embedded(const char* text) {
  const auto v4 = IpAddress::parse(text)->embedded_v4();
  return v4 ? v4->str() : "";
}

TEST(IpAddress, KnowsWhichAddressesHaveAnIpv4AddressInThem) {
  EXPECT_EQ(embedded("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(embedded("64:ff9b::a9fe:a9fe"), "169.254.169.254");
  EXPECT_EQ(embedded("2002:c000:201::1"), "192.0.2.1");
  EXPECT_EQ(embedded("2002:c000:201:ffff:ffff::"), "192.0.2.1");
  for (const char* none : {"192.0.2.1", "::192.0.2.1", "::fffe:192.0.2.1", "64:ff9b:1::a9fe:a9fe",
                           "64:ff9b::1:a9fe:a9fe", "2003:c000:201::1", "2001:db8::1"}) {
    EXPECT_EQ(embedded(none), "") << none;
  }
}

TEST(IpAddress, AnAddressWithAnotherInItIsAtTheHostOfThat) {
  const auto host = [](const char* text) { return IpAddress::parse(text)->host_network().str(); };
  EXPECT_EQ(host("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(host("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
  EXPECT_EQ(host("64:ff9b::c000:201"), "192.0.2.1");
  EXPECT_EQ(host("2002:c000:201:7::1"), "192.0.2.1");
}

TEST(IpNetwork, ContainsWhatBeginsAsItDoes) {
  struct Row {
    const char* network;
    const char* first_inside;
    const char* last_inside;
    const char* before;
    const char* behind;
  };
  for (const Row& row :
       {Row{"10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
        Row{"172.16.0.0/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
        Row{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.0", "192.0.2.2"},
        Row{"192.0.2.254/31", "192.0.2.254", "192.0.2.255", "192.0.2.253", "192.0.3.0"},
        Row{"fc00::/7", "fc00::", "fdff:ffff::1", "fbff:ffff::1", "fe00::"},
        Row{"2001:db8::/32", "2001:db8::", "2001:db8:ffff::1", "2001:db7:ffff::1", "2001:db9::"},
        Row{"fd00::1/128", "fd00::1", "fd00::1", "fd00::", "fd00::2"}}) {
    const auto network = IpNetwork::parse(ExactCopy(row.network).view());
    ASSERT_TRUE(network) << row.network;
    EXPECT_TRUE(network->contains(*IpAddress::parse(row.first_inside))) << row.network;
    EXPECT_TRUE(network->contains(*IpAddress::parse(row.last_inside))) << row.network;
    EXPECT_FALSE(network->contains(*IpAddress::parse(row.before))) << row.network;
    EXPECT_FALSE(network->contains(*IpAddress::parse(row.behind))) << row.network;
    EXPECT_EQ(IpNetwork::parse(network->str()), network);
  }
  EXPECT_TRUE(IpNetwork::parse("0.0.0.0/0")->contains(*IpAddress::parse("255.1.2.3")));
  EXPECT_FALSE(IpNetwork::parse("0.0.0.0/0")->contains(*IpAddress::parse("::"))) << "by family";
}

TEST(IpNetwork, RefusesEverythingElse) {
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8 ",
                           "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/31", "10.0.0.0/6", "10/8",
                           "fd00::/129", "fd00::1/64", "[fd00::]/8", "intranet", "10.0.0.0/08x"}) {
    EXPECT_FALSE(IpNetwork::parse(ExactCopy(text).view())) << text;
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
