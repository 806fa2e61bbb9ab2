#include "mtastsd/dns/ares_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dns_server.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"

namespace mtastsd::dns {
namespace {

using std::chrono::steady_clock;
using test::Asked;
using test::DnsServer;
using test::Packet;
using test::reply;

constexpr char kName[] = "_mta-sts.example.com";

Packet answer_to(const Asked& asked) {
  return Packet(asked.name, asked.type).txt(asked.name, 300, {"from server"});
}

class AresClientTest : public testing::Test {
 protected:
  AresClient& client(std::vector<std::string> servers, Milliseconds timeout = Milliseconds(5000),
                     std::size_t max_in_flight = 1024) {
    client_ = AresClient::make(
        loop_, clock_, log_,
        AresOptions{
            .servers = std::move(servers), .timeout = timeout, .max_in_flight = max_in_flight});
    return *client_;
  }

  // Asks and runs the loop until the answer is there.
  TxtAnswer ask(const std::string& name = kName) {
    std::optional<TxtAnswer> result;
    const Handle handle = client_->txt(name, [&](TxtAnswer answer) {
      result = std::move(answer);
      loop_.stop();
    });
    EXPECT_FALSE(result) << "called back before the start had returned";
    run();
    if (!result) {
      ADD_FAILURE() << "no answer";
      return failure(Error{});
    }
    return *std::move(result);
  }

  void run(Milliseconds limit = Milliseconds(15000)) {
    auto timer = loop_.make_timer([&] { loop_.stop(); });
    timer->arm(limit);
    loop_.run();
  }

  static std::string text(const TxtAnswer& answer) {
    if (!answer) {
      return "error: " + answer.error().detail;
    }
    const auto* records = std::get_if<TxtRecords>(&*answer);
    return records == nullptr ? "none" : records->records.at(0);
  }

  static ErrorKind error(const TxtAnswer& answer) {
    EXPECT_FALSE(answer);
    return answer ? ErrorKind::TooMany : answer.error().kind;
  }

  SystemClock clock_;
  Log log_ = Log::null();
  event::Loop loop_;
  std::unique_ptr<AresClient> client_;
};

TEST_F(AresClientTest, AsksByUdpWithEdnsAndReadsTheAnswer) {
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked)); });
  client({server.address()});
  EXPECT_EQ(text(ask()), "from server");
  ASSERT_EQ(server.count(), 1);
  EXPECT_EQ(server.asked()[0].name, kName);
  EXPECT_EQ(server.asked()[0].type, 16U);
  EXPECT_EQ(server.asked()[0].edns_size, 1232U);
}

TEST_F(AresClientTest, AsksForAddresses) {
  DnsServer server([](const Asked& asked) {
    return reply(Packet(asked.name, asked.type)
                     .answer(asked.name, asked.type, 60,
                             asked.type == 1 ? test::a_rdata("192.0.2.7")
                                             : test::aaaa_rdata("2001:db8::7")));
  });
  client({server.address()});
  std::vector<std::string> seen;
  const auto note = [&](AddressAnswer answer) {
    ASSERT_TRUE(answer);
    seen.push_back(std::get<Addresses>(*answer).addresses.at(0).str());
    if (seen.size() == 2) {
      loop_.stop();
    }
  };
  const Handle a = client_->a("mta-sts.example.com", note);
  const Handle aaaa = client_->aaaa("mta-sts.example.com", note);
  run();
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()),
            (std::set<std::string>{"192.0.2.7", "2001:db8::7"}));
}

TEST_F(AresClientTest, NxdomainGivesTheNegativeTtl) {  // RFC 2308 section 5
  DnsServer server(
      [](const Asked& asked) { return reply(Packet(asked.name, asked.type, 3).soa(600, 77)); });
  client({server.address()});
  const auto answer = ask();
  ASSERT_TRUE(answer && std::holds_alternative<NoSuchRecord>(*answer));
  EXPECT_EQ(std::get<NoSuchRecord>(*answer).negative_ttl, Seconds(77));
}

TEST_F(AresClientTest, NodataGivesTheNegativeTtl) {
  DnsServer server(
      [](const Asked& asked) { return reply(Packet(asked.name, asked.type).soa(55, 77)); });
  client({server.address()});
  const auto answer = ask();
  ASSERT_TRUE(answer && std::holds_alternative<NoSuchRecord>(*answer));
  EXPECT_EQ(std::get<NoSuchRecord>(*answer).negative_ttl, Seconds(55));
}

TEST_F(AresClientTest, ServfailIsAnErrorAndNotNoSuchRecord) {
  DnsServer server([](const Asked& asked) { return reply(Packet(asked.name, asked.type, 2)); });
  client({server.address()});
  EXPECT_EQ(error(ask()), ErrorKind::ServFail);
}

TEST_F(AresClientTest, RefusedIsAnError) {
  DnsServer server([](const Asked& asked) { return reply(Packet(asked.name, asked.type, 5)); });
  client({server.address()});
  EXPECT_EQ(error(ask()), ErrorKind::Refused);
}

TEST_F(AresClientTest, TheNextServerIsAskedAtOnceAfterAnError) {
  for (const unsigned rcode : {2U, 5U, 4U}) {
    DnsServer bad(
        [rcode](const Asked& asked) { return reply(Packet(asked.name, asked.type, rcode)); });
    DnsServer good([](const Asked& asked) { return reply(answer_to(asked)); });
    client({bad.address(), good.address()});
    const auto start = steady_clock::now();
    EXPECT_EQ(text(ask()), "from server") << rcode;
    EXPECT_LT(steady_clock::now() - start, Milliseconds(1000));
    EXPECT_GE(bad.count(), 1);
    client_.reset();
  }
}

TEST_F(AresClientTest, WithAllServersFailingItIsTheLastOnesError) {
  DnsServer first([](const Asked& asked) { return reply(Packet(asked.name, asked.type, 5)); });
  DnsServer second([](const Asked& asked) { return reply(Packet(asked.name, asked.type, 2)); });
  client({first.address(), second.address()});
  EXPECT_EQ(error(ask()), ErrorKind::ServFail);
}

TEST_F(AresClientTest, RefusedConnectionIsNoServerAndTheNextOneIsAsked) {
  std::string nobody;
  {
    DnsServer gone([](const Asked&) { return std::nullopt; });
    nobody = gone.address();
  }
  client({nobody});
  EXPECT_EQ(error(ask()), ErrorKind::NoServer);
  DnsServer good([](const Asked& asked) { return reply(answer_to(asked)); });
  client({nobody, good.address()});
  EXPECT_EQ(text(ask()), "from server");
}

TEST_F(AresClientTest, AfterASilenceTheNextServerIsAskedAndThenAskedFirst) {
  DnsServer silent([](const Asked&) { return std::nullopt; });
  DnsServer good([](const Asked& asked) { return reply(answer_to(asked)); });
  client({silent.address(), good.address()});
  auto start = steady_clock::now();
  EXPECT_EQ(text(ask()), "from server");
  EXPECT_GE(steady_clock::now() - start, Milliseconds(1400));
  EXPECT_LT(steady_clock::now() - start, Milliseconds(3000));
  start = steady_clock::now();
  EXPECT_EQ(text(ask()), "from server");
  EXPECT_LT(steady_clock::now() - start, Milliseconds(1000));
}

TEST_F(AresClientTest, AnAnswerThatIsLateButWithinTheDeadlineCounts) {
  DnsServer slow([](const Asked& asked) { return reply(answer_to(asked), Milliseconds(1900)); });
  DnsServer silent([](const Asked&) { return std::nullopt; });
  client({slow.address(), silent.address()});
  EXPECT_EQ(text(ask()), "from server");
}

TEST_F(AresClientTest, LostPacketsAreSentAgainSoon) {
  std::atomic<int> queries{0};
  DnsServer server([&](const Asked& asked) -> std::optional<test::Reply> {
    if (queries++ < 2) {
      return std::nullopt;
    }
    return reply(answer_to(asked));
  });
  client({server.address()});
  const auto start = steady_clock::now();
  EXPECT_EQ(text(ask()), "from server");
  EXPECT_LT(steady_clock::now() - start, Milliseconds(3000));
}

TEST_F(AresClientTest, EachQuestionIsAskedAnew) {  // c-ares 1.34 has a cache of its own
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked)); });
  client({server.address()});
  EXPECT_EQ(text(ask()), "from server");
  EXPECT_EQ(text(ask()), "from server");
  EXPECT_EQ(server.count(), 2);
}

// Also of c-ares, once it knows how quick the server is: then it is late by that measure.
TEST_F(AresClientTest, AnAnswerThatIsLateForAQuickServerCounts) {
  std::atomic<int> queries{0};
  DnsServer server([&](const Asked& asked) {
    return reply(answer_to(asked), queries++ < 8 ? Milliseconds(0) : Milliseconds(1200));
  });
  client({server.address()});
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(text(ask()), "from server");
  }
  EXPECT_EQ(text(ask()), "from server");
}

TEST_F(AresClientTest, SilenceEndsAtTheDeadline) {
  DnsServer silent([](const Asked&) { return std::nullopt; });
  client({silent.address()}, Milliseconds(400));
  const auto start = steady_clock::now();
  EXPECT_EQ(error(ask()), ErrorKind::Timeout);
  EXPECT_GE(steady_clock::now() - start, Milliseconds(390));
  EXPECT_LT(steady_clock::now() - start, Milliseconds(4000));
}

TEST_F(AresClientTest, AnAnswerCutShortIsAskedAgainOverTcp) {
  const std::string big(255, 'x');
  DnsServer server([&](const Asked& asked) {
    Packet packet(asked.name, asked.type);
    if (!asked.tcp) {
      return reply(packet.truncated());
    }
    for (int i = 0; i < 100; ++i) {
      packet.txt(asked.name, 60, {big});
    }
    return reply(packet);
  });
  client({server.address()});
  const auto answer = ask();
  ASSERT_TRUE(answer && std::holds_alternative<TxtRecords>(*answer));
  EXPECT_EQ(std::get<TxtRecords>(*answer).records.size(), 100U);
}

// Whoever publishes a record that is too long for UDP must not reach the questions of others.
TEST_F(AresClientTest, ABrokenTcpConnectionFailsNoOtherQuestion) {
  DnsServer server([](const Asked& asked) -> std::optional<test::Reply> {
    if (asked.tcp) {
      return std::nullopt;  // closes without an answer
    }
    auto packet = answer_to(asked);
    if (asked.name == "bad.example") {
      return reply(packet.truncated());
    }
    return test::Reply{packet.bytes(), std::chrono::milliseconds(300)};
  });
  client({server.address()});
  bool bad_answered = false;
  const Handle bad = client_->txt("bad.example", [&](TxtAnswer answer) {
    EXPECT_FALSE(answer);
    bad_answered = true;
  });
  EXPECT_EQ(text(ask()), "from server");
  const auto all = server.asked();
  EXPECT_EQ(
      std::count_if(all.begin(), all.end(), [](const Asked& asked) { return asked.name == kName; }),
      1);
  for (int i = 0; i < 50 && !bad_answered; ++i) {
    run(Milliseconds(100));
  }
  EXPECT_TRUE(bad_answered);
}

TEST_F(AresClientTest, AServerThatIsBackInAMomentIsAskedAgain) {
  std::string address;
  {
    address = DnsServer([](const Asked&) { return std::nullopt; }).address();
  }
  client({address});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(error(ask()), ErrorKind::NoServer);
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, std::chrono::milliseconds(1000));
  EXPECT_LE(took, std::chrono::milliseconds(4000));
}

TEST_F(AresClientTest, AnAnswerThatFillsTheUdpPayloadNeedsNoTcp) {
  DnsServer server([&](const Asked& asked) {
    EXPECT_FALSE(asked.tcp);
    return reply(Packet(asked.name, asked.type)
                     .txt(asked.name, 60, {std::string(255, 'a'), std::string(255, 'b')})
                     .txt(asked.name, 60, {std::string(255, 'c'), std::string(255, 'd')}));
  });
  client({server.address()});
  EXPECT_TRUE(ask());
  EXPECT_EQ(server.count(), 1);
}

TEST_F(AresClientTest, FollowsACnameWhoseTargetIsNotInTheAnswer) {  // RFC 8461 section 8.2
  DnsServer server([](const Asked& asked) {
    if (asked.name == kName) {
      return reply(Packet(asked.name, asked.type).cname(asked.name, 30, "policy.provider.example"));
    }
    return reply(answer_to(asked));
  });
  client({server.address()});
  const auto answer = ask();
  EXPECT_EQ(text(answer), "from server");
  EXPECT_EQ(std::get<TxtRecords>(*answer).ttl, Seconds(30));
  EXPECT_EQ(server.asked().back().name, "policy.provider.example");
}

TEST_F(AresClientTest, EndlessCnamesAreMalformedAfterEightQuestionsMore) {
  std::atomic<int> n{0};
  DnsServer server([&](const Asked& asked) {
    return reply(Packet(asked.name, asked.type)
                     .cname(asked.name, 30, "n" + std::to_string(++n) + ".example"));
  });
  client({server.address()});
  EXPECT_EQ(error(ask()), ErrorKind::Malformed);
  EXPECT_EQ(server.count(), 9);
}

TEST_F(AresClientTest, UnreadableAnswersEndInAnErrorWithinTheDeadline) {
  DnsServer server([](const Asked& asked) {
    auto bytes = answer_to(asked).bytes();
    bytes.erase(bytes.end() - 5, bytes.end());
    return std::optional(test::Reply{bytes, {}});
  });
  client({server.address()}, Milliseconds(500));
  const ErrorKind kind = error(ask());
  EXPECT_TRUE(kind == ErrorKind::Malformed || kind == ErrorKind::Timeout);
}

TEST_F(AresClientTest, AnswersToAnotherQuestionAreNotTaken) {
  DnsServer server([](const Asked& asked) {
    return reply(Packet("evil.example", asked.type).txt("evil.example", 60, {"evil"}));
  });
  client({server.address()}, Milliseconds(500));
  EXPECT_FALSE(ask());
}

TEST_F(AresClientTest, AThousandQuestionsAtOnceAllGetTheirAnswer) {
  DnsServer server([](const Asked& asked) {
    return reply(Packet(asked.name, asked.type).txt(asked.name, 60, {asked.name}));
  });
  client({server.address()}, Milliseconds(10000));
  constexpr int kCount = 1000;
  int done = 0;
  std::vector<Handle> handles;
  for (int i = 0; i < kCount; ++i) {
    const std::string name = "_mta-sts.d" + std::to_string(i) + ".example";
    handles.push_back(client_->txt(name, [&, name](TxtAnswer answer) {
      EXPECT_EQ(text(answer), name);
      if (++done == kCount) {
        loop_.stop();
      }
    }));
  }
  run();
  EXPECT_EQ(done, kCount);
  std::set<unsigned> ports;
  for (const auto& asked : server.asked()) {
    ports.insert(asked.source_port);
  }
  EXPECT_GE(ports.size(), 5U) << "the source port must not stay the same";
}

TEST_F(AresClientTest, QuestionsBeyondTheBoundWaitInOrder) {
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked), Milliseconds(5)); });
  client({server.address()}, Milliseconds(5000), 1);
  std::vector<int> order;
  std::vector<Handle> handles;
  for (int i = 0; i < 5; ++i) {
    handles.push_back(client_->txt("n" + std::to_string(i) + ".example", [&, i](TxtAnswer answer) {
      EXPECT_TRUE(answer);
      order.push_back(i);
      if (order.size() == 4) {
        loop_.stop();
      }
    }));
  }
  handles[2].reset();  // a waiting one leaves without disturbing the others
  run();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 3, 4}));
  EXPECT_EQ(server.count(), 4);
}

TEST_F(AresClientTest, TheDeadlineCountsWhileAQuestionWaits) {
  DnsServer silent([](const Asked&) { return std::nullopt; });
  client({silent.address()}, Milliseconds(1000), 1);
  int done = 0;
  std::vector<Handle> handles;
  const auto start = steady_clock::now();
  for (int i = 0; i < 3; ++i) {
    handles.push_back(client_->txt(kName, [&](TxtAnswer answer) {
      EXPECT_EQ(error(answer), ErrorKind::Timeout);
      if (++done == 3) {
        loop_.stop();
      }
    }));
  }
  run();
  EXPECT_EQ(done, 3);
  EXPECT_LT(steady_clock::now() - start, Milliseconds(2900));
}

TEST_F(AresClientTest, TooManyWaitingIsAnErrorOfItsOwn) {
  DnsServer silent([](const Asked&) { return std::nullopt; });
  client({silent.address()}, Milliseconds(60000), 1);
  std::vector<Handle> handles;
  std::optional<ErrorKind> kind;
  for (int i = 0; i < 10002; ++i) {
    handles.push_back(client_->txt(kName, [&](TxtAnswer answer) {
      kind = error(answer);
      loop_.stop();
    }));
  }
  EXPECT_FALSE(kind);
  run();
  EXPECT_EQ(kind, ErrorKind::TooMany);
}

TEST_F(AresClientTest, ADroppedHandleIsNeverCalledBack) {
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked)); });
  client({server.address()});
  auto token = std::make_shared<int>(0);
  Handle handle = client_->txt(kName, [token](TxtAnswer) { FAIL() << "called back"; });
  handle.reset();
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_EQ(text(ask()), "from server");  // the answer to the first one has come as well
  run(Milliseconds(50));
}

TEST_F(AresClientTest, ACallbackMayDropItsOwnHandleAndOthers) {
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked)); });
  client({server.address()});
  std::vector<Handle> handles(2);
  int calls = 0;
  for (auto& handle : handles) {
    handle = client_->txt(kName, [&](TxtAnswer) {
      ++calls;
      for (auto& h : handles) {
        h.reset();
      }
      loop_.stop();
    });
  }
  run();
  run(Milliseconds(50));
  EXPECT_EQ(calls, 1);
}

TEST_F(AresClientTest, ACallbackMayAskAgain) {
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked)); });
  client({server.address()});
  Handle second;
  bool done = false;
  const Handle first = client_->txt(kName, [&](TxtAnswer) {
    second = client_->txt("second.example", [&](TxtAnswer) {
      done = true;
      loop_.stop();
    });
    EXPECT_FALSE(done);
  });
  run();
  EXPECT_TRUE(done);
}

TEST_F(AresClientTest, ACallbackMayDestroyTheClient) {
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked)); });
  client({server.address()});
  const Handle other = client_->txt("other.example", [](TxtAnswer) {});
  const Handle handle = client_->txt(kName, [&](TxtAnswer) {
    client_.reset();
    loop_.stop();
  });
  run();
  EXPECT_FALSE(client_);
}

TEST_F(AresClientTest, DestroyingTheClientIsSilentAndHandlesMayLiveOn) {
  DnsServer silent([](const Asked&) { return std::nullopt; });
  client({silent.address()}, Milliseconds(60000), 2);
  std::vector<Handle> handles;
  for (int i = 0; i < 5; ++i) {
    handles.push_back(client_->txt(kName, [](TxtAnswer) { FAIL() << "called back"; }));
  }
  run(Milliseconds(20));
  client_.reset();
  run(Milliseconds(20));
}

TEST_F(AresClientTest, NamesUnderOnionAreNotAsked) {  // RFC 7686 section 2
  DnsServer server([](const Asked& asked) { return reply(answer_to(asked)); });
  client({server.address()});
  const auto answer = ask("_mta-sts.abc.onion");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(std::holds_alternative<NoSuchRecord>(*answer));
  EXPECT_EQ(server.count(), 0);
}

TEST_F(AresClientTest, ReconfigureTakesOtherServersAndThoseUnderWayRunOn) {
  DnsServer slow([](const Asked& asked) { return reply(answer_to(asked), Milliseconds(150)); });
  DnsServer other([](const Asked& asked) {
    return reply(Packet(asked.name, asked.type).txt(asked.name, 60, {"other"}));
  });
  client({slow.address()});
  std::string first;
  const Handle handle = client_->txt(kName, [&](TxtAnswer answer) {
    first = text(answer);
    loop_.stop();
  });
  client_->reconfigure({.servers = {other.address()}});
  EXPECT_EQ(client_->servers(), std::vector<std::string>{other.address()});
  EXPECT_EQ(text(ask()), "other");
  run();
  EXPECT_EQ(first, "from server");
}

TEST_F(AresClientTest, WithoutAnyUsableServerItIsNoServer) {
  client({"not an address"});
  EXPECT_EQ(error(ask()), ErrorKind::NoServer);
}

// Time moves by call, the network is not asked.
TEST(AresClientResolvConf, IsReadAgainWhenItChanges) {
  class MovingClock final : public Clock {
   public:
    WallTime wall() const override { return {}; }
    SteadyTime steady() const override { return now; }
    Seconds since_boot() const override { return {}; }
    SteadyTime now{std::chrono::hours(1)};
  };
  const std::string path = testing::TempDir() + "resolv_conf_" + std::to_string(getpid());
  const auto write_file = [&](const char* text) { std::ofstream(path + ".new") << text; };
  const auto replace = [&](const char* text) {
    write_file(text);
    ASSERT_EQ(std::rename((path + ".new").c_str(), path.c_str()), 0);
  };
  replace("nameserver 127.0.0.53\n");
  Log log = Log::null();
  event::Loop loop;
  MovingClock clock;
  const auto client = AresClient::make(loop, clock, log, {.resolv_conf = path});
  const auto servers = [&] {
    client->txt("a.example", [](TxtAnswer) {}).reset();
    return client->servers();
  };
  EXPECT_EQ(servers(), std::vector<std::string>{"127.0.0.53:53"});
  replace("nameserver 127.0.0.54\n");
  EXPECT_EQ(servers(), std::vector<std::string>{"127.0.0.53:53"}) << "looks once a second only";
  clock.now += Milliseconds(1001);
  EXPECT_EQ(servers(), std::vector<std::string>{"127.0.0.54:53"});
  std::remove(path.c_str());
  clock.now += Milliseconds(1001);
  EXPECT_EQ(servers(), std::vector<std::string>{"127.0.0.54:53"}) << "keeps what it knows";
  replace("nameserver 127.0.0.55\nnameserver 127.0.0.56\n");
  clock.now += Milliseconds(1001);
  EXPECT_EQ(servers(), (std::vector<std::string>{"127.0.0.55:53", "127.0.0.56:53"}));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace mtastsd::dns
