#include "mtastsd/socketmap/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mtastsd/event/loop.h"
#include "mtastsd/socketmap/netstring.h"

namespace mtastsd::socketmap {
namespace {

constexpr int kPatienceMs = 10000;
constexpr Milliseconds kPatience{kPatienceMs};
constexpr int kMomentMs = 50;

// Answers "echo X" with X at once; keeps everything else until the test replies.
class ScriptedHandler final : public RequestHandler {
 public:
  bool handle(std::string_view request, const Ticket& ticket, std::string& reply) override {
    ++handled;
    if (request == "echo other") {
      handled_before_other = handled.load();
    }
    if (request.starts_with("echo ")) {
      reply = request.substr(5);
      return true;
    }
    if (request == "long") {
      reply = long_reply;
      return true;
    }
    kept[std::string(request)] = ticket;
    return false;
  }
  std::atomic<int> handled{0};
  std::atomic<int> handled_before_other{0};
  std::string long_reply;
  std::map<std::string, Ticket> kept;  // of the loop's thread
};

class Client {
 public:
  explicit Client(int fd) : fd_(fd) {}
  ~Client() { close(); }
  void close() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    fd_ = -1;
  }
  void send(const std::string& bytes) const {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void shut_down_sending() const { ::shutdown(fd_, SHUT_WR); }
  // The payload of the next reply; "closed" or "nothing" when there is none.
  std::string receive(int patience_ms = kPatienceMs) {
    while (true) {
      const Netstring next = read_netstring(buffer_, 200000);
      if (next.status == NetstringStatus::Complete) {
        const std::string payload(next.payload);
        buffer_.erase(0, next.consumed);
        return payload;
      }
      pollfd ready{fd_, POLLIN, 0};
      if (::poll(&ready, 1, patience_ms) <= 0) {
        return "nothing";
      }
      char bytes[65536];
      const ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
      if (got <= 0) {
        return "closed";
      }
      buffer_.append(bytes, static_cast<std::size_t>(got));
    }
  }

 private:
  int fd_;
  std::string buffer_;
};

std::string netstring(const std::string& payload) {
  std::string framed;
  append_netstring(framed, payload);
  return framed;
}

class ServerTest : public testing::Test {
 protected:
  ~ServerTest() override { stop(); }

  void start(std::size_t max_connections = 100, ServerLimits limits = {}) {
    count_ = std::make_unique<ConnectionCount>(max_connections);
    server_ = std::make_unique<Server>(loop_, handler_, counters_, *count_, limits);
    thread_ = std::thread([this] { loop_.run(); });
  }
  void stop() {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
    }
    server_.reset();
  }
  // Runs `work` on the loop's thread and waits for it.
  void on_loop(std::function<void()> work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();  // without a bound: the loop has a reference to `work`
  }
  std::unique_ptr<Client> connect(std::optional<uid_t> user = std::nullopt) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    EXPECT_EQ(::fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    on_loop([&] { server_->add(ends[0], user); });
    return std::make_unique<Client>(ends[1]);
  }
  void reply_to(const std::string& request, const std::string& text) {
    on_loop([&] { server_->reply(handler_.kept.at(request), text); });
  }
  void wait_handled(int count) {
    for (int i = 0; i < kPatienceMs && handler_.handled < count; ++i) {
      usleep(1000);
    }
    ASSERT_GE(handler_.handled, count);
  }
  // Ready when no connection is left.
  std::future<void> drain(Milliseconds read_limit) {
    std::future<void> drained;
    on_loop([&] { drained = drain_here(read_limit); });
    return drained;
  }
  std::future<void> drain_here(Milliseconds read_limit) {
    auto drained = std::make_shared<std::promise<void>>();
    server_->drain(read_limit, [drained] { drained->set_value(); });
    return drained->get_future();
  }

  event::Loop loop_;
  ScriptedHandler handler_;
  ServerCounters counters_;
  std::unique_ptr<ConnectionCount> count_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

TEST_F(ServerTest, RequestsMayBeSplitAtAnyByte) {
  start();
  const auto client = connect();
  const std::string request = netstring("echo hello");
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    client->send(request.substr(0, cut));
    usleep(200);
    client->send(request.substr(cut));
    ASSERT_EQ(client->receive(), "hello") << cut;
  }
}

TEST_F(ServerTest, RequestsMayBeJoinedAndAreAnsweredInOrder) {
  start();
  const auto client = connect();
  std::string all;
  for (int i = 0; i < 2000; ++i) {
    all += netstring("echo " + std::to_string(i));
  }
  client->send(all);
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(client->receive(), std::to_string(i));
  }
}

TEST_F(ServerTest, ALateReplyHoldsBackTheLaterOnesOfItsConnectionOnly) {
  start();
  const auto client = connect();
  const auto other = connect();
  client->send(netstring("slow one") + netstring("echo two") + netstring("slow three") +
               netstring("echo four"));
  wait_handled(4);
  other->send(netstring("echo other"));
  EXPECT_EQ(other->receive(), "other");
  reply_to("slow three", "three");
  EXPECT_EQ(client->receive(50), "nothing");
  reply_to("slow one", "one");
  for (const char* expected : {"one", "two", "three", "four"}) {
    EXPECT_EQ(client->receive(), expected);
  }
}

TEST_F(ServerTest, PipeliningIsBoundedAndGoesOnAfterwards) {
  start();
  const auto client = connect();
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    all += netstring("slow " + std::to_string(i));
  }
  client->send(all);
  wait_handled(16);
  usleep(20000);
  EXPECT_EQ(handler_.handled, 16);
  for (int i = 0; i < 1000; ++i) {
    wait_handled(i + 1);
    reply_to("slow " + std::to_string(i), std::to_string(i));
    ASSERT_EQ(client->receive(), std::to_string(i));
  }
}

// A read of 4 KiB is what one client has of a turn of the loop.
TEST_F(ServerTest, OneThatPipelinesWithoutEndLeavesTheOthersTheirTurn) {
  start();
  const auto greedy = connect();
  const auto other = connect();
  const std::string request = netstring("echo g");
  std::string many;
  while (many.size() + request.size() <= std::size_t{60} << 10) {
    many += request;
  }
  std::promise<void> loop_stands_still;
  std::promise<void> both_have_asked;
  loop_.post([&] {
    loop_stands_still.set_value();
    both_have_asked.get_future().wait();
  });
  loop_stands_still.get_future().wait();
  greedy->send(many);
  other->send(netstring("echo other"));
  both_have_asked.set_value();
  EXPECT_EQ(other->receive(), "other");
  EXPECT_LE(handler_.handled_before_other, static_cast<int>(4096 / request.size()) + 2);
  EXPECT_EQ(greedy->receive(), "g");
}

TEST_F(ServerTest, AClientThatDoesNotReadIsNotReadFrom) {
  start();
  const auto client = connect();
  const std::string big(50000, 'x');
  std::string all;
  for (int i = 0; i < 4; ++i) {
    all += netstring("echo " + big);
  }
  std::thread sender([&] {
    for (int i = 0; i < 50; ++i) {
      client->send(all);
    }
  });
  usleep(100000);
  EXPECT_LT(handler_.handled, 100);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(client->receive().size(), big.size()) << i;
  }
  sender.join();
}

// Small requests with long replies: a reply of 100,000 bytes is what Postfix takes at most.
TEST_F(ServerTest, LongRepliesToOneReadAreBoundedAndAllComeOut) {
  start();
  handler_.long_reply.assign(100000, 'x');
  const auto client = connect();
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    all += netstring("long");
  }
  client->send(all);
  usleep(100000);
  EXPECT_LT(handler_.handled, 20);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(client->receive().size(), 100000U) << i;
  }
}

TEST_F(ServerTest, RubbishEndsTheConnectionWithoutHarmToOthers) {
  start();
  for (const std::string& rubbish :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("3:abcX"), std::string("99999999999:x"),
        std::string("70000:"), std::string("\0\0\0", 3), std::string(":"), std::string("-1:,")}) {
    const auto good = connect();
    const auto bad = connect();
    bad->send(rubbish);
    EXPECT_EQ(bad->receive(), "closed") << rubbish;
    good->send(netstring("echo fine"));
    EXPECT_EQ(good->receive(), "fine");
  }
  EXPECT_EQ(counters_.malformed.value(), 7U);
}

TEST_F(ServerTest, WhatWasAskedBeforeRubbishIsAnswered) {
  start();
  const auto client = connect();
  client->send(netstring("echo fine") + "\n");
  EXPECT_EQ(client->receive(), "fine");
  EXPECT_EQ(client->receive(), "closed");
}

TEST_F(ServerTest, AReplyForAConnectionThatIsGoneIsDropped) {
  start();
  auto client = connect();
  client->send(netstring("slow one"));
  wait_handled(1);
  client->close();
  on_loop([&] { loop_.post([] {}); });
  reply_to("slow one", "one");
  reply_to("slow one", "again");
  const auto next = connect();
  next->send(netstring("echo fine"));
  EXPECT_EQ(next->receive(), "fine");
}

TEST_F(ServerTest, AClientThatClosedItsSendingSideStillGetsItsReply) {
  start();
  const auto client = connect();
  client->send(netstring("slow one"));
  client->shut_down_sending();
  wait_handled(1);
  reply_to("slow one", "one");
  EXPECT_EQ(client->receive(), "one");
  EXPECT_EQ(client->receive(), "closed");
}

TEST_F(ServerTest, OverTheLimitTheLongestIdleConnectionMakesRoom) {
  start(3);
  const auto first = connect();
  const auto second = connect();
  const auto third = connect();
  first->send(netstring("echo x"));
  EXPECT_EQ(first->receive(), "x");
  const auto fourth = connect();
  EXPECT_EQ(second->receive(), "closed");
  for (Client* alive : {first.get(), third.get(), fourth.get()}) {
    alive->send(netstring("echo y"));
    EXPECT_EQ(alive->receive(), "y");
  }
  EXPECT_EQ(count_->open(), 3U);
}

TEST_F(ServerTest, OverTheLimitABusyConnectionIsNotClosedForANewOne) {
  start(1);
  const auto busy = connect();
  busy->send(netstring("slow one"));
  wait_handled(1);
  const auto refused = connect();
  EXPECT_EQ(refused->receive(), "closed");
  reply_to("slow one", "one");
  EXPECT_EQ(busy->receive(), "one");
}

TEST_F(ServerTest, OverTheLimitAStalledConnectionMakesRoomBeforeAnIdleOne) {
  start(3);
  const auto idle = connect();
  const auto first_half = connect();
  const auto second_half = connect();
  first_half->send("5:ec");
  second_half->send("5");
  on_loop([] {});
  const auto fourth = connect();
  EXPECT_EQ(first_half->receive(), "closed");
  const auto fifth = connect();
  EXPECT_EQ(second_half->receive(), "closed");
  for (Client* alive : {idle.get(), fourth.get(), fifth.get()}) {
    alive->send(netstring("echo y"));
    EXPECT_EQ(alive->receive(), "y");
  }
}

// From the first byte: more bytes gain no time. A whole request ends the wait.
TEST_F(ServerTest, ARequestHasItsTimeFromItsFirstByte) {
  start(100, {.stall = Milliseconds(400)});
  const auto slow = connect();
  const auto good = connect();
  const std::string request = netstring("echo " + std::string(90, 'x'));
  const auto began = std::chrono::steady_clock::now();
  std::string got = "nothing";
  for (std::size_t at = 0; got == "nothing" && at < request.size(); ++at) {
    slow->send(request.substr(at, 1));
    good->send(request.substr(0, 50));
    good->send(request.substr(50));
    EXPECT_EQ(good->receive().size(), 90U);
    got = slow->receive(20);
  }
  EXPECT_EQ(got, "closed");
  EXPECT_GE(std::chrono::steady_clock::now() - began, Milliseconds(390));
  EXPECT_EQ(counters_.stalled.value(), 1U);
}

TEST_F(ServerTest, AClientThatTakesNoRepliesIsClosedInTime) {
  start(100, {.stall = Milliseconds(200)});
  handler_.long_reply.assign(100000, 'x');
  const auto client = connect();
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += netstring("long");
  }
  client->send(all);
  for (int i = 0; i < kPatienceMs && counters_.stalled.value() == 0; ++i) {
    usleep(1000);
  }
  EXPECT_EQ(counters_.stalled.value(), 1U);
}

// A request behind one that waits is held back by the server, and the client owes nothing.
TEST_F(ServerTest, WhatTheServerHoldsBackDoesNotStall) {
  start(100, {.stall = Milliseconds(100)});
  const auto client = connect();
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += netstring("slow " + std::to_string(i));
  }
  client->send(all);
  wait_handled(16);
  usleep(300000);
  for (int i = 0; i < 20; ++i) {
    wait_handled(i + 1);
    reply_to("slow " + std::to_string(i), "late");
    ASSERT_EQ(client->receive(), "late");
  }
  EXPECT_EQ(counters_.stalled.value(), 0U);
}

TEST_F(ServerTest, AUserHasHalfOfTheConnectionsAndTheOthersTheRest) {
  start(6);
  const auto tcp = connect();
  std::vector<std::unique_ptr<Client>> greedy;
  for (int i = 0; i < 3; ++i) {
    greedy.push_back(connect(1000));
    greedy.back()->send(netstring("slow " + std::to_string(i)));
    wait_handled(i + 1);
  }
  EXPECT_EQ(connect(1000)->receive(), "closed");
  EXPECT_EQ(counters_.refused.value(), 1U);
  const auto other = connect(1001);
  other->send(netstring("echo y"));
  EXPECT_EQ(other->receive(), "y");
  // Of their own, one that is idle makes room.
  reply_to("slow 1", "one");
  EXPECT_EQ(greedy[1]->receive(), "one");
  const auto next = connect(1000);
  EXPECT_EQ(greedy[1]->receive(), "closed");
  for (Client* alive : {tcp.get(), other.get(), next.get()}) {
    alive->send(netstring("echo y"));
    EXPECT_EQ(alive->receive(), "y");
  }
}

// Replies that wait behind a slow one count as bytes: 30 connections took 296 MB so.
TEST_F(ServerTest, RepliesThatWaitAreBoundedByTheirBytes) {
  start();
  handler_.long_reply.assign(39000, 'x');
  const auto client = connect();
  std::string all = netstring("slow one");
  for (int i = 0; i < 15; ++i) {
    all += netstring("long");
  }
  client->send(all);
  wait_handled(8);
  usleep(20000);
  EXPECT_EQ(handler_.handled, 8);
  reply_to("slow one", "one");
  EXPECT_EQ(client->receive(), "one");
  for (int i = 0; i < 15; ++i) {
    ASSERT_EQ(client->receive().size(), 39000U);
  }
}

TEST_F(ServerTest, WhenTooManyBytesWaitTheGreediestAreClosed) {
  start(100, {.held_bytes = 180000});
  handler_.long_reply.assign(39000, 'x');
  const auto modest = connect();
  modest->send(netstring("slow modest") + netstring("echo after"));
  wait_handled(2);
  const auto greedy = connect();
  greedy->send(netstring("slow one") + netstring("long") + netstring("long") + netstring("long"));
  wait_handled(6);
  const auto other = connect();
  other->send(netstring("slow two") + netstring("long") + netstring("long"));
  EXPECT_EQ(greedy->receive(), "closed");
  EXPECT_EQ(counters_.greedy.value(), 1U);
  reply_to("slow modest", "modest");
  EXPECT_EQ(modest->receive(), "modest");
  EXPECT_EQ(modest->receive(), "after");
  reply_to("slow two", "two");
  EXPECT_EQ(other->receive(), "two");
}

// Replies that come late, all at once, are counted as they come.
TEST_F(ServerTest, LateRepliesThatNobodyTakesAreBoundedToo) {
  start(100, {.held_bytes = 1000000});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(connect());
    clients.back()->send(netstring("slow " + std::to_string(i)));
  }
  wait_handled(30);
  const std::string text(600000, 'x');  // more than a socket takes
  on_loop([&] {
    for (int i = 0; i < 30; ++i) {
      server_->reply(handler_.kept.at("slow " + std::to_string(i)), text);
    }
  });
  EXPECT_GE(counters_.greedy.value(), 25U);
}

TEST_F(ServerTest, OnlyAUnixSocketSaysWhoConnects) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_EQ(peer_user(ends[0]), ::getuid());
  ::close(ends[0]);
  ::close(ends[1]);
  const int tcp = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(peer_user(tcp), std::nullopt);
  ::close(tcp);
}

TEST_F(ServerTest, DrainingAnswersWhatIsInFlightAndClosesTheRest) {
  start();
  const auto idle = connect();
  const auto waiting = connect();
  waiting->send(netstring("slow one"));
  wait_handled(1);
  idle->send(netstring("echo before"));
  EXPECT_EQ(idle->receive(), "before");
  auto drained = drain(kPatience);
  EXPECT_EQ(idle->receive(), "closed");
  reply_to("slow one", "one");
  EXPECT_EQ(waiting->receive(), "one");
  EXPECT_EQ(waiting->receive(), "closed");
  EXPECT_EQ(drained.wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(count_->open(), 0U);
}

// What is there when the drain begins is answered to its last byte.
TEST_F(ServerTest, DrainingAnswersWhatHasBeenSent) {
  start();
  const auto asked = connect();
  asked->send(netstring("echo before"));
  EXPECT_EQ(asked->receive(), "before");
  const int many = 500;  // more than one read takes
  std::future<void> drained;
  std::string requests;
  for (int i = 0; i < many; ++i) {
    requests += netstring("echo " + std::to_string(i));
  }
  on_loop([&] {
    asked->send(requests);
    drained = drain_here(kPatience);
  });
  for (int i = 0; i < many; ++i) {
    ASSERT_EQ(asked->receive(), std::to_string(i));
  }
  EXPECT_EQ(asked->receive(), "closed");
  EXPECT_EQ(drained.wait_for(kPatience), std::future_status::ready);
}

TEST_F(ServerTest, DrainingWaitsForTheFirstRequestAndForTheRestOfOne) {
  start();
  const auto fresh = connect();
  const auto half = connect();
  const std::string request = netstring("echo whole");
  half->send(request.substr(0, 5));
  auto drained = drain(kPatience);
  EXPECT_EQ(fresh->receive(kMomentMs), "nothing");
  EXPECT_EQ(half->receive(kMomentMs), "nothing");
  fresh->send(netstring("echo first"));
  EXPECT_EQ(fresh->receive(), "first");
  EXPECT_EQ(fresh->receive(), "closed");
  half->send(request.substr(5));
  EXPECT_EQ(half->receive(), "whole");
  EXPECT_EQ(half->receive(), "closed");
  EXPECT_EQ(drained.wait_for(kPatience), std::future_status::ready);
}

TEST_F(ServerTest, DrainingWaitsForClientsNoLongerThanItsLimit) {
  start();
  const auto fresh = connect();
  const auto half = connect();
  half->send("5:");
  auto drained = drain(Milliseconds(kMomentMs));
  EXPECT_EQ(fresh->receive(), "closed");
  EXPECT_EQ(half->receive(), "closed");
  EXPECT_EQ(drained.wait_for(kPatience), std::future_status::ready);
}

}  // namespace
}  // namespace mtastsd::socketmap
