#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dns_server.h"
#include "message.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"

namespace mtastsd::dns {
namespace {

using test::Asked;
using test::Bytes;
using test::DnsServer;
using test::Packet;
using test::reply;

constexpr unsigned kMx = 15;
constexpr unsigned kTxt = 16;
constexpr unsigned kTlsa = 52;
constexpr char kName[] = "example.com";

// In a heap block of exactly its size, so that a read past its end shows.
Reading read(const Packet& packet, RecordType type, Provenance* provenance = nullptr,
             std::string_view name = kName) {
  const Bytes& bytes = packet.bytes();
  const std::unique_ptr<unsigned char[]> exact(new unsigned char[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), exact.get());
  return read_message({exact.get(), bytes.size()}, name, type, provenance);
}

Bytes mx_rdata(unsigned preference, std::string_view host) {
  Bytes out;
  test::put16(out, preference);
  test::put_name(out, host);
  return out;
}

TEST(ReadMessage, ReadsMxRecords) {
  const auto got = read(Packet(kName, kMx)
                            .answer(kName, kMx, 300, mx_rdata(20, "B.example"))
                            .answer(kName, kMx, 60, mx_rdata(10, "a.example"))
                            .answer(kName, kMx, 90, mx_rdata(0, "")),
                        RecordType::Mx);
  ASSERT_TRUE(got && std::holds_alternative<MxRecords>(*got));
  const auto& mx = std::get<MxRecords>(*got);
  ASSERT_EQ(mx.records.size(), 3U);
  EXPECT_EQ(mx.records[0].preference, 20);
  EXPECT_EQ(mx.records[0].host, "B.example");
  EXPECT_EQ(mx.records[1].host, "a.example");
  EXPECT_EQ(mx.records[2].host, ".");  // RFC 7505
  EXPECT_EQ(mx.ttl, Seconds(60));
}

TEST(ReadMessage, ReadsTlsaRecords) {
  const auto got = read(Packet(kName, kTlsa).answer(kName, kTlsa, 300, Bytes{3, 1, 2, 0xab, 0}),
                        RecordType::Tlsa);
  ASSERT_TRUE(got && std::holds_alternative<TlsaRecords>(*got));
  const auto& tlsa = std::get<TlsaRecords>(*got).records.at(0);
  EXPECT_EQ(tlsa.usage, 3);
  EXPECT_EQ(tlsa.selector, 1);
  EXPECT_EQ(tlsa.matching, 2);
  EXPECT_EQ(tlsa.data, std::string("\xab\0", 2));
}

TEST(ReadMessage, RefusesBrokenMxAndTlsa) {
  for (const Bytes& rdata : {Bytes{}, Bytes{0}, Bytes{0, 1}, Bytes{0, 1, 5, 'a'}}) {
    EXPECT_FALSE(read(Packet(kName, kMx).answer(kName, kMx, 1, rdata), RecordType::Mx));
  }
  for (const Bytes& rdata : {Bytes{}, Bytes{3, 1, 1}}) {
    EXPECT_FALSE(read(Packet(kName, kTlsa).answer(kName, kTlsa, 1, rdata), RecordType::Tlsa));
  }
}

TEST(ReadMessage, NotesTheChainAndTheAdBit) {
  Provenance plain;
  ASSERT_TRUE(read(Packet(kName, kTxt)
                       .cname(kName, 300, "a.example")
                       .cname("a.example", 300, "b.example")
                       .txt("b.example", 300, {"x"}),
                   RecordType::Txt, &plain));
  EXPECT_EQ(plain.chain, (std::vector<std::string>{"a.example", "b.example"}));
  EXPECT_FALSE(plain.authenticated);
  EXPECT_FALSE(plain.no_such_name);
  Provenance validated;
  ASSERT_TRUE(
      read(Packet(kName, kTxt).authenticated().txt(kName, 1, {"x"}), RecordType::Txt, &validated));
  EXPECT_TRUE(validated.authenticated);
  EXPECT_TRUE(validated.chain.empty());
  Provenance none;
  ASSERT_TRUE(read(Packet(kName, kTxt, 3).soa(60, 60), RecordType::Txt, &none));
  EXPECT_TRUE(none.no_such_name);
}

class ProvenanceTest : public testing::Test {
 protected:
  template <typename T, typename Start>
  Answer<T> ask(Start start) {
    std::optional<Answer<T>> result;
    const Handle handle = start([&](Answer<T> answer) {
      result = std::move(answer);
      loop_.stop();
    });
    auto timer = loop_.make_timer([&] { loop_.stop(); });
    timer->arm(Milliseconds(15000));
    loop_.run();
    EXPECT_TRUE(result);
    return result ? *std::move(result) : Answer<T>(failure(Error{}));
  }
  Answer<TxtRecords> ask_txt(AresClient& client) {
    return ask<TxtRecords>([&](auto callback) { return client.txt(kName, callback); });
  }
  std::unique_ptr<AresClient> client(const DnsServer& server) {
    return AresClient::make(loop_, clock_, log_, {.servers = {server.address()}});
  }

  SystemClock clock_;
  Log log_ = Log::null();
  event::Loop loop_;
};

TEST_F(ProvenanceTest, AsksForDnssecsVerdict) {  // RFC 6840 section 5.7
  DnsServer server([](const Asked& asked) {
    Packet packet(asked.name, asked.type);
    if (asked.authentic_data) {
      packet.authenticated();
    }
    return reply(packet.txt(asked.name, 300, {"x"}));
  });
  const auto dns = client(server);
  const auto got = ask_txt(*dns);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got.provenance.authenticated);
  EXPECT_EQ(got.provenance.server, server.address());
  EXPECT_GT(server.asked().at(0).edns_size, 512U);
}

TEST_F(ProvenanceTest, IdsAreNotRepeated) {
  DnsServer server([](const Asked& asked) {
    return reply(Packet(asked.name, asked.type).txt(asked.name, 300, {"x"}));
  });
  const auto dns = client(server);
  for (int i = 0; i < 8; ++i) {
    ask_txt(*dns);
  }
  std::set<unsigned> ids;
  for (const Asked& asked : server.asked()) {
    ids.insert(asked.id);
  }
  EXPECT_GT(ids.size(), 5U);
}

TEST_F(ProvenanceTest, AChainOverSeveralAnswersIsValidatedOnlyAsAWhole) {
  for (const auto& [first, last] : {std::pair(true, true), {true, false}, {false, true}}) {
    DnsServer server([first = first, last = last](const Asked& asked) {
      Packet packet(asked.name, asked.type);
      if (asked.name == kName ? first : last) {
        packet.authenticated();
      }
      if (asked.name == kName) {
        return reply(packet.cname(kName, 60, "b.example"));
      }
      return reply(packet.txt(asked.name, 300, {"x"}));
    });
    const auto dns = client(server);
    const auto got = ask_txt(*dns);
    ASSERT_TRUE(got);
    EXPECT_EQ(got.provenance.chain, std::vector<std::string>{"b.example"});
    EXPECT_EQ(got.provenance.authenticated, first && last);
  }
}

TEST_F(ProvenanceTest, OverTcpToo) {
  DnsServer server([](const Asked& asked) {
    Packet packet(asked.name, asked.type);
    if (!asked.tcp) {
      return reply(packet.truncated());
    }
    if (asked.authentic_data) {
      packet.authenticated();
    }
    return reply(packet.answer(asked.name, kMx, 60, mx_rdata(1, "a.example")));
  });
  const auto dns = client(server);
  const auto got = ask<MxRecords>([&](auto callback) { return dns->mx(kName, callback); });
  ASSERT_TRUE(got && std::holds_alternative<MxRecords>(*got));
  EXPECT_TRUE(got.provenance.authenticated);
}

TEST_F(ProvenanceTest, ErrorsAreErrors) {
  DnsServer server([](const Asked& asked) { return reply(Packet(asked.name, asked.type, 2)); });
  const auto dns = client(server);
  const auto failed = ask_txt(*dns);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::ServFail);
  const auto bad = ask<TxtRecords>(
      [&](auto callback) { return dns->txt(std::string(70, 'a') + ".example", callback); });
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::Malformed);
}

}  // namespace
}  // namespace mtastsd::dns
