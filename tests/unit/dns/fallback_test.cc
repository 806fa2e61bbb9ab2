// What is asked again in another way: without EDNS, over TCP.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dns_server.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"

namespace mtastsd::dns {
namespace {

using std::chrono::steady_clock;
using test::Asked;
using test::Bytes;
using test::DnsServer;
using test::Packet;
using test::Reply;
using test::reply;

constexpr char kName[] = "_mta-sts.example.com";

class ShiftedClock final : public Clock {
 public:
  WallTime wall() const override { return system_.wall(); }
  SteadyTime steady() const override { return system_.steady() + ahead; }
  Seconds since_boot() const override { return system_.since_boot(); }
  Milliseconds ahead{0};

 private:
  SystemClock system_;
};

Packet answer_to(const Asked& asked) {
  return Packet(asked.name, asked.type).txt(asked.name, 300, {"from server"});
}

Packet code(const Asked& asked, unsigned rcode) {
  return Packet(asked.name, asked.type, rcode);
}

// A header without a question: all that some servers have to say to EDNS.
std::optional<Reply> bare(const Asked& asked, unsigned rcode) {
  Bytes bytes = code(asked, rcode).bytes();
  bytes.resize(NS_HFIXEDSZ);
  bytes[5] = 0;
  return Reply{bytes, {}};
}

// The router of the report: OPT in the answer, the record in the additional section.
Packet mangled(const Asked& asked) {
  return code(asked, 0)
      .answer("", 41, 0, {})
      .additional(asked.name, asked.type, 60, test::txt_rdata({"from server"}));
}

class FallbackTest : public testing::Test {
 protected:
  void use(std::vector<std::string> servers, Milliseconds timeout = Milliseconds(9000)) {
    client_ = AresClient::make(loop_, clock_, log_,
                               AresOptions{.servers = std::move(servers), .timeout = timeout});
  }

  // The text, "none" or the kind of the error.
  std::string ask(const std::string& name = kName) {
    std::optional<TxtAnswer> result;
    const auto start = steady_clock::now();
    const Handle handle = client_->txt(name, [&](TxtAnswer answer) {
      result = std::move(answer);
      loop_.stop();
    });
    auto timer = loop_.make_timer([&] { loop_.stop(); });
    timer->arm(Milliseconds(15000));
    loop_.run();
    took_ = std::chrono::duration_cast<Milliseconds>(steady_clock::now() - start);
    if (!result) {
      return "no answer";
    }
    if (!*result) {
      return describe(result->error());
    }
    const auto* records = std::get_if<TxtRecords>(&**result);
    return records == nullptr ? "none" : records->records.at(0);
  }

  // How the server was asked, in order: "edns plain tcp".
  static std::string ways(const DnsServer& server, std::size_t from = 0) {
    std::string text;
    const auto all = server.asked();
    for (std::size_t i = from; i < all.size(); ++i) {
      const char* way = all[i].edns_size > 0 ? "edns" : "plain";
      text += (text.empty() ? "" : " ") + std::string(all[i].tcp ? "tcp" : way);
    }
    return text;
  }

  ShiftedClock clock_;
  Log log_ = Log::null();
  event::Loop loop_;
  std::unique_ptr<AresClient> client_;
  Milliseconds took_{0};
};

// RFC 6891 section 7: without EDNS at once, and from the next question on.
TEST_F(FallbackTest, AServerThatSaysThatItDoesNotKnowEdnsIsAskedWithoutIt) {
  using Script = std::function<std::optional<Reply>(const Asked&)>;
  const struct {
    const char* what;
    Script to_edns;
  } kCases[] = {
      {"NOTIMP", [](const Asked& asked) { return reply(code(asked, 4)); }},
      {"NOTIMP alone", [](const Asked& asked) { return bare(asked, 4); }},
      {"FORMERR with OPT",
       [](const Asked& asked) { return reply(code(asked, 1).additional("", 41, 0, {})); }},
      {"BADVERS",
       [](const Asked& asked) { return reply(code(asked, 0).additional("", 41, 0x01000000, {})); }},
      {"mangled", [](const Asked& asked) { return reply(mangled(asked)); }},
  };
  for (const auto& row : kCases) {
    SCOPED_TRACE(row.what);
    DnsServer server([&](const Asked& asked) {
      return asked.edns_size > 0 ? row.to_edns(asked) : reply(answer_to(asked));
    });
    use({server.address()});
    EXPECT_EQ(ask(), "from server");
    EXPECT_LT(took_, Milliseconds(1400));
    const auto before = static_cast<std::size_t>(server.count());
    ask();  // what c-ares 1.18 does not hand on counts once it has happened twice
    const auto first = static_cast<std::size_t>(server.count());
    EXPECT_EQ(ask(), "from server");
    EXPECT_EQ(ways(server, first), "plain") << ways(server);
    EXPECT_LE(first - before, 2U);
    client_.reset();
  }
}

// c-ares asks again by itself here.
TEST_F(FallbackTest, FormerrWithItsQuestion) {
  DnsServer server([](const Asked& asked) {
    return asked.edns_size > 0 ? reply(code(asked, 1)) : reply(answer_to(asked));
  });
  use({server.address()});
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(ask(), "from server");
    EXPECT_LT(took_, Milliseconds(400));
  }
}

TEST_F(FallbackTest, FormerrWithoutAQuestionCostsHalfASecondAtMostTwice) {
  DnsServer server([](const Asked& asked) {
    return asked.edns_size > 0 ? bare(asked, 1) : reply(answer_to(asked));
  });
  use({server.address()});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(), "from server");
    EXPECT_LT(took_, Milliseconds(1400));
  }
  EXPECT_LT(took_, Milliseconds(400));
}

TEST_F(FallbackTest, ServfailIsAskedForAgainWithoutEdnsAndNoFurther) {
  DnsServer shy([](const Asked& asked) {
    return asked.edns_size > 0 ? reply(code(asked, 2)) : reply(answer_to(asked));
  });
  use({shy.address()});
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ways(shy), "edns plain");
  EXPECT_LT(took_, Milliseconds(400));
  DnsServer failing([](const Asked& asked) { return reply(code(asked, 2)); });
  use({failing.address()});
  EXPECT_TRUE(ask().starts_with("SERVFAIL")) << "is meant so";
  EXPECT_EQ(ways(failing), "edns plain");
}

TEST_F(FallbackTest, WhereEdnsIsDroppedTheQuestionGoesOutWithoutItAndSoDoTheNext) {
  DnsServer server([](const Asked& asked) {
    return asked.edns_size > 0 ? std::nullopt : reply(answer_to(asked));
  });
  use({server.address()});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(ask(), "from server");
    EXPECT_LT(took_, Milliseconds(1400));
  }
  const auto before = static_cast<std::size_t>(server.count());
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ways(server, before), "plain");
  EXPECT_LT(took_, Milliseconds(400));
}

// RFC 7873 section 5.3: an answer with another client's cookie is not taken. c-ares 1.34 sends
// cookies, 1.18 knows none.
TEST_F(FallbackTest, WhereCookiesAreMangledTheQuestionGoesOutWithoutOne) {
  const Bytes strange = {0,   10,  0,   16,  'a', 'n', 'o', 't', 'h', 'e',
                         'r', ' ', 'c', 'o', 'o', 'k', 'i', 'e', '!', '!'};
  DnsServer server([&](const Asked& asked) {
    return reply(asked.edns_size > 0 ? answer_to(asked).additional("", 41, 0, strange)
                                     : answer_to(asked));
  });
  use({server.address()});
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(ask(), "from server");
    EXPECT_LT(took_, Milliseconds(1400));
  }
  EXPECT_LT(took_, Milliseconds(400));
}

TEST_F(FallbackTest, OneLostPacketChangesNothing) {
  std::atomic<int> queries{0};
  DnsServer server([&](const Asked& asked) {
    return queries++ % 3 == 0 ? std::nullopt : reply(answer_to(asked));
  });
  use({server.address()});
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ways(server), "edns plain edns edns plain");
}

TEST_F(FallbackTest, WhatAServerCanDoIsForgottenInTime) {
  std::atomic<bool> knows_edns{false};
  DnsServer server([&](const Asked& asked) {
    return asked.edns_size > 0 && !knows_edns ? reply(code(asked, 4)) : reply(answer_to(asked));
  });
  use({server.address()});
  EXPECT_EQ(ask(), "from server");
  knows_edns = true;
  EXPECT_EQ(ask(), "from server");
  clock_.ahead = std::chrono::minutes(11);
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ways(server), "edns plain plain edns");
}

TEST_F(FallbackTest, WhereLargeAnswersAreDroppedASmallOneLeadsToTcp) {
  DnsServer server([](const Asked& asked) {
    if (asked.tcp) {
      return reply(answer_to(asked));
    }
    return asked.edns_size > 0 ? std::nullopt : reply(code(asked, 0).truncated());
  });
  use({server.address()});
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ways(server), "edns plain tcp");
  EXPECT_LT(took_, Milliseconds(1400));
}

TEST_F(FallbackTest, WhereUdpIsDroppedTcpIsTriedAndRemembered) {
  DnsServer server(
      [](const Asked& asked) { return asked.tcp ? reply(answer_to(asked)) : std::nullopt; });
  use({server.address()});
  EXPECT_EQ(ask(), "from server");
  EXPECT_LT(took_, Milliseconds(5000));
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ask(), "from server");
  EXPECT_LT(took_, Milliseconds(400));
}

TEST_F(FallbackTest, AnAnswerThatIsMangledOverUdpIsFetchedOverTcp) {
  DnsServer server(
      [](const Asked& asked) { return reply(asked.tcp ? answer_to(asked) : mangled(asked)); });
  use({server.address()});
  EXPECT_EQ(ask(), "from server");
  EXPECT_EQ(ask(), "from server");
  EXPECT_LT(took_, Milliseconds(400));
}

TEST_F(FallbackTest, AnAnswerThatIsMangledInEveryWayIsAFailedLookup) {
  DnsServer server([](const Asked& asked) { return reply(mangled(asked)); });
  use({server.address()}, Milliseconds(3000));
  EXPECT_TRUE(ask().starts_with("malformed answer: ")) << ask();
}

TEST_F(FallbackTest, ALateAnswerIsUsedWhateverWasAskedMeanwhile) {
  DnsServer server([](const Asked& asked) {
    return asked.tcp ? std::nullopt : reply(answer_to(asked), Milliseconds(4000));
  });
  use({server.address()});
  EXPECT_EQ(ask(), "from server");
  EXPECT_LT(took_, Milliseconds(4400));
}

// Sockets keep the address that this host had when they were made. If it has got another one, what
// is asked by them stays without an answer.
TEST_F(FallbackTest, AfterAQuestionWithoutAnAnswerTheNextOneHasAnotherSocket) {
  std::atomic<bool> silent{true};
  DnsServer server([&](const Asked& asked) -> std::optional<Reply> {
    return silent ? std::nullopt : reply(answer_to(asked));
  });
  use({server.address()}, Milliseconds(300));
  EXPECT_TRUE(ask().starts_with("timeout"));
  silent = false;
  EXPECT_EQ(ask(), "from server");
  const auto asked = server.asked();
  ASSERT_EQ(ways(server), "edns edns");
  EXPECT_NE(asked[0].source_port, asked[1].source_port);
}

// After 10.5 of 20 s, and with room for four lookups.
TEST_F(FallbackTest, WhileLookupsAreCrowdedTenSecondsAreEnoughForOne) {
  const DnsServer silent([](const Asked&) -> std::optional<Reply> { return std::nullopt; });
  for (const int lookups : {2, 3}) {
    client_ = AresClient::make(
        loop_, clock_, log_,
        AresOptions{
            .servers = {silent.address()}, .timeout = Milliseconds(20000), .max_in_flight = 4});
    bool any_ended = false;
    std::vector<Handle> handles;
    for (int i = 0; i < lookups; ++i) {
      handles.push_back(client_->txt("n" + std::to_string(i) + ".example",
                                     [&](const TxtAnswer&) { any_ended = true; }));
    }
    clock_.ahead += Milliseconds(10500);
    const auto timer = loop_.make_timer([&] { loop_.stop(); });
    timer->arm(Milliseconds(3000));
    loop_.run();
    EXPECT_EQ(any_ended, lookups == 3) << lookups;
  }
}

}  // namespace
}  // namespace mtastsd::dns
