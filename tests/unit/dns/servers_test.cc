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
  EXPECT_EQ(from_resolv_conf("nameserver fe80::1%eth0\nnameserver\nnameservers 192.0.2.1\n"),
            std::vector<std::string>{"127.0.0.1:53"});
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
