#include "servers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "mtastsd/dns/ares_client.h"

namespace mtastsd::dns {
namespace {

// The rest is IpEndpoint's.
TEST(ParseServer, KnowsThePortOfDns) {
  EXPECT_EQ(parse_server("192.0.2.1")->str(), "192.0.2.1:53");
  EXPECT_TRUE(valid_server("[2001:db8::1]:5353"));
  EXPECT_FALSE(valid_server("dns.example"));
}

TEST(ParseServer, TakesAZoneBehindAnIpv6Address) {  // RFC 4007 section 11
  EXPECT_EQ(parse_server("fe80::1%eth0")->str(), "[fe80::1%eth0]:53");
  EXPECT_EQ(parse_server("[fe80::1%eth0.7]:5353")->str(), "[fe80::1%eth0.7]:5353");
  EXPECT_NE(parse_server("fe80::1%eth0"), parse_server("fe80::1%eth1"));
  for (const char* wrong : {"fe80::1%", "[fe80::1%]:53", "192.0.2.1%eth0", "fe80::1%eth 0",
                            "fe80::1%a-name-that-is-too-long", "fe80::1%eth0]", "%eth0"}) {
    EXPECT_FALSE(valid_server(wrong)) << wrong;
  }
}

std::vector<std::string> from_resolv_conf(std::string_view text) {
  std::vector<std::string> texts;
  for (const auto& server : parse_resolv_conf(text)) {
    texts.push_back(server.str());
  }
  return texts;
}

TEST(ParseResolvConf, TakesNameserverLinesInOrder) {
  EXPECT_EQ(from_resolv_conf("# comment\nsearch example.com\n"
                             "nameserver 192.0.2.1\nnameserver\t2001:db8::1  # two\r\n"
                             "options timeout:1\nnameserver 192.0.2.1\nnameserver 192.0.2.3"),
            (std::vector<std::string>{"192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"}));
}

TEST(ParseResolvConf, WithoutNameserversItIsTheServerOnThisHost) {
  EXPECT_EQ(from_resolv_conf(""), std::vector<std::string>{"127.0.0.1:53"});
  EXPECT_EQ(from_resolv_conf("nameserver\nnameservers 192.0.2.1\n"
                             "nameserver [2001:db8::1]:53\n"),
            std::vector<std::string>{"127.0.0.1:53"});
}

TEST(ParseResolvConf, TakesZones) {
  EXPECT_EQ(from_resolv_conf("nameserver fe80::1%eth0\n"),
            std::vector<std::string>{"[fe80::1%eth0]:53"});
}

TEST(ParseResolvConf, ReadsTheOptionsThatSayHowToAsk) {  // resolv.conf(5)
  EXPECT_EQ(parse_resolv_options("nameserver 192.0.2.1\n#options use-vc\n"), ResolvOptions{});
  const auto all = parse_resolv_options(
      "options edns0 use-vc timeout:3 attempts:1\nsearch example\noptions\trotate trust-ad\n");
  EXPECT_EQ(all, (ResolvOptions{true, true, Seconds(3), 1}));
  EXPECT_EQ(parse_resolv_options("options timeout:0 attempts:0\n"),
            (ResolvOptions{false, false, Seconds(1), 1}));
  EXPECT_EQ(parse_resolv_options("options timeout:99999999999 attempts:9\n"),
            (ResolvOptions{false, false, Seconds(30), 5}));
  EXPECT_EQ(parse_resolv_options("options timeout: attempts:x timeout:3s\n"), ResolvOptions{});
}

TEST(ParseResolvConf, IsBounded) {
  std::string text;
  for (int i = 1; i < 100; ++i) {
    text += "nameserver 192.0.2." + std::to_string(i) + "\n";
  }
  EXPECT_EQ(parse_resolv_conf(text).size(), kMaxNameservers);
}

}  // namespace
}  // namespace mtastsd::dns
