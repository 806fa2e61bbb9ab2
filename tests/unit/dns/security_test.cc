// Whose word on DNSSEC counts: Security, and the servers' health.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dns_server.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "servers.h"

namespace mtastsd::dns {
namespace {

using test::Asked;
using test::Bytes;
using test::DnsServer;
using test::Packet;
using test::reply;

constexpr unsigned kSoa = 6;
constexpr unsigned kRefused = 5;  // RCODE
constexpr unsigned kMx = 15;

Bytes mx_rdata(std::string_view host) {
  Bytes out;
  test::put16(out, 10);
  test::put_name(out, host);
  return out;
}

// Vouches for the root and for the names below "signed", or for nothing.
DnsServer::Script server_that(bool validates) {
  return [validates](const Asked& asked) {
    const std::string name = asked.name == "." ? "" : asked.name;
    Packet packet(name, asked.type);
    if (validates && asked.authentic_data &&
        (asked.type == kSoa || asked.name.ends_with(".signed"))) {
      packet.authenticated();
    }
    if (asked.type == kSoa) {
      return reply(packet.answer(name, kSoa, 60, test::soa_rdata(60)));
    }
    if (asked.name == "alias.signed") {
      return reply(packet.cname(asked.name, 60, "mail.unsigned"));
    }
    return reply(packet.answer(asked.name, kMx, 60, mx_rdata("mail.example")));
  };
}

class SecurityTest : public testing::Test {
 protected:
  std::unique_ptr<AresClient> client(AresOptions options) {
    options.probe_dnssec = true;
    return AresClient::make(loop_, clock_, log_, std::move(options));
  }

  Security ask(AresClient& client, const std::string& name) {
    Security security = Security::Unknown;
    const Handle handle = client.mx(name, [&](const Answer<MxRecords>& answer) {
      EXPECT_TRUE(answer);
      security = answer.provenance.security;
      loop_.stop();
    });
    loop_.run();
    return security;
  }

  // Until the servers have been asked about the root.
  void wait_for_probe(AresClient& client) {
    for (int i = 0; i < 500 && !client.health().at(0).validates; ++i) {
      const auto timer = loop_.make_timer([this] { loop_.stop(); });
      timer->arm(Milliseconds(10));
      loop_.run();
    }
  }

  SystemClock clock_;
  Log log_ = Log::null();
  event::Loop loop_;
};

TEST_F(SecurityTest, AServerThatValidatesSaysWhatIsSigned) {
  DnsServer server(server_that(true));
  const auto dns = client({.servers = {server.address()}});
  wait_for_probe(*dns);
  EXPECT_EQ(dns->health().at(0).validates, std::optional(true));
  EXPECT_TRUE(dns->health().at(0).trusted);
  EXPECT_EQ(ask(*dns, "mail.signed"), Security::Secure);
  EXPECT_EQ(ask(*dns, "mail.unsigned"), Security::Insecure);
  EXPECT_EQ(ask(*dns, "alias.signed"), Security::Insecure);  // all of the way, or nothing
}

TEST_F(SecurityTest, OfAServerThatDoesNotValidateNothingIsKnown) {
  DnsServer server(server_that(false));
  const auto dns = client({.servers = {server.address()}});
  wait_for_probe(*dns);
  EXPECT_EQ(dns->health().at(0).validates, std::optional(false));
  EXPECT_EQ(ask(*dns, "mail.signed"), Security::NotValidating);
}

TEST_F(SecurityTest, UntilItIsFoundOutTheLackOfAVerdictMeansNothing) {
  DnsServer server([script = server_that(true)](const Asked& asked) {
    return asked.type == kSoa ? std::nullopt : script(asked);
  });
  const auto dns = client({.servers = {server.address()}});
  EXPECT_EQ(ask(*dns, "mail.unsigned"), Security::Unknown);
  EXPECT_EQ(ask(*dns, "mail.signed"), Security::Secure);
}

TEST_F(SecurityTest, EachServerIsAskedOnceAndNewOnesToo) {
  DnsServer first(server_that(true));
  DnsServer second(server_that(false));
  const auto dns = client({.servers = {first.address(), second.address()}});
  wait_for_probe(*dns);
  ask(*dns, "mail.signed");
  ask(*dns, "mail.signed");
  const auto probes = [](const DnsServer& server) {
    int count = 0;
    for (const Asked& asked : server.asked()) {
      count += asked.type == kSoa ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(probes(first), 1);
  EXPECT_EQ(probes(second), 1);
  dns->reconfigure({.servers = {second.address()}, .probe_dnssec = true});
  EXPECT_EQ(dns->health().at(0).validates, std::nullopt);
  wait_for_probe(*dns);
  EXPECT_EQ(dns->health().at(0).validates, std::optional(false));
  EXPECT_EQ(probes(second), 2);
}

// Its failures are counted to show how lookups of domains fare.
TEST_F(SecurityTest, AServerThatRefusesTheRootHasFailedNoLookup) {
  DnsServer server([script = server_that(true)](const Asked& asked) {
    return asked.type == kSoa ? reply(Packet("", asked.type, kRefused)) : script(asked);
  });
  const auto dns = client({.servers = {server.address()}});
  ask(*dns, "mail.signed");
  const auto timer = loop_.make_timer([this] { loop_.stop(); });
  timer->arm(Milliseconds(300));
  loop_.run();
  EXPECT_GE(server.count(), 2);
  EXPECT_THAT(dns->failures(), testing::Each(0U));
}

TEST_F(SecurityTest, WithoutTheOptionNoServerIsAskedAboutTheRoot) {
  DnsServer server(server_that(true));
  const auto dns = AresClient::make(loop_, clock_, log_, {.servers = {server.address()}});
  ask(*dns, "mail.signed");
  EXPECT_EQ(server.count(), 1);
}

// RFC 7672 section 1.1: not over a path that others can touch.
TEST_F(SecurityTest, OnlyServersOnThisHostAreTrustedUnlessTheOperatorSaysSo) {
  const std::string path = testing::TempDir() + "security_test_" + std::to_string(getpid());
  const auto trusted = [&](AresOptions options) {
    return AresClient::make(loop_, clock_, log_, std::move(options))->health().at(0).trusted;
  };
  EXPECT_TRUE(trusted({.servers = {"127.0.0.1"}}));
  EXPECT_TRUE(trusted({.servers = {"127.0.0.53"}}));
  EXPECT_TRUE(trusted({.servers = {"::1"}}));
  EXPECT_FALSE(trusted({.servers = {"192.0.2.53"}}));
  EXPECT_FALSE(trusted({.servers = {"10.0.0.1"}}));
  EXPECT_TRUE(trusted({.servers = {"192.0.2.53"}, .trust_ad = true}));
  std::ofstream(path) << "nameserver 192.0.2.53\n";
  EXPECT_FALSE(trusted({.resolv_conf = path}));
  std::ofstream(path) << "nameserver 192.0.2.53\noptions edns0 trust-ad\n";
  EXPECT_TRUE(trusted({.resolv_conf = path}));
  // It speaks of its own servers, and not of these.
  EXPECT_FALSE(trusted({.servers = {"192.0.2.54"}, .resolv_conf = path}));
  unlink(path.c_str());
}

TEST(ResolvConfTrustsAd, ReadsTheOptions) {
  EXPECT_TRUE(resolv_conf_trusts_ad("options trust-ad"));
  EXPECT_TRUE(
      resolv_conf_trusts_ad("nameserver 192.0.2.1\noptions rotate\noptions\ttrust-ad \r\n"));
  EXPECT_FALSE(resolv_conf_trusts_ad("# options trust-ad\nsearch trust-ad\noptions no-trust-ad\n"));
  EXPECT_FALSE(resolv_conf_trusts_ad(""));
}

}  // namespace
}  // namespace mtastsd::dns
