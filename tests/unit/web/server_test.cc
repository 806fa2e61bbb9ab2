#include "mtastsd/web/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace mtastsd::web {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::size_t kHeld = 400000;

// The server on a loop of its own thread; this thread is the clients.
class WebServerTest : public testing::Test {
 protected:
  WebServerTest()
      : server_(loop_, [this](const Request& request, Server::Id id) { handle(request, id); },
                {.connections = 4, .request = 400ms, .exchange = 800ms, .held_bytes = kHeld}) {}

  void SetUp() override {
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    loop_.stop();
    thread_.join();
    for (const int fd : clients_) {
      close(fd);
    }
  }

  void handle(const Request& request, Server::Id id) {
    ++requests_;
    if (request.path == "/large") {
      server_.reply(id, {.body = std::string(kHeld - 2000, 'x')});
    } else if (request.path == "/too-large") {
      server_.reply(id, {.body = std::string(kHeld + 1, 'x')});
    } else if (request.path == "/parts") {
      server_.begin(id, {.body = "one "});
      server_.more(id, "two ");
      server_.more(id, "three");
      server_.end(id);
    } else if (request.path != "/never") {
      server_.reply(id, plain(200, request.path + " " + request.client));
    }
  }

  int connect() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    EXPECT_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    const timeval limit{10, 0};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    loop_.post([this, fd = ends[1]] { server_.add(fd); });
    clients_.push_back(ends[0]);
    return ends[0];
  }
  static void say(int fd, std::string_view text) {
    [[maybe_unused]] const auto sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  }
  // All of it, to the end of the connection.
  static std::string hear(int fd) {
    std::string text;
    std::array<char, 65536> bytes;
    for (ssize_t got = 0; (got = recv(fd, bytes.data(), bytes.size(), 0)) > 0;) {
      text.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  std::string ask(std::string_view request) {
    const int fd = connect();
    say(fd, request);
    return hear(fd);
  }

  event::Loop loop_;
  std::atomic<int> requests_ = 0;
  Server server_;
  std::thread thread_;
  std::vector<int> clients_;
};

TEST_F(WebServerTest, OneRequestIsAnsweredAndTheConnectionEnds) {
  const std::string reply = ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nContent-Length: 4\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nCache-Control: no-store\r\n"));
  EXPECT_THAT(reply, HasSubstr("\r\nContent-Security-Policy: default-src 'none';"));
  EXPECT_THAT(reply, HasSubstr("\r\nX-Content-Type-Options: nosniff\r\n"));
  EXPECT_TRUE(reply.ends_with("\r\n\r\n/a \n"));
  EXPECT_EQ(requests_, 1);
}

TEST_F(WebServerTest, ARequestMayComeByteByByte) {
  const int fd = connect();
  for (const char c : std::string("GET /a HTTP/1.0\n\n")) {
    say(fd, std::string(1, c));
  }
  EXPECT_TRUE(hear(fd).ends_with("/a \n"));
}

TEST_F(WebServerTest, HeadGetsTheFieldsAlone) {
  const std::string reply = ask("HEAD /a HTTP/1.1\r\n\r\n");
  EXPECT_THAT(reply, HasSubstr("\r\nContent-Length: 4\r\n"));
  EXPECT_TRUE(reply.ends_with("\r\n\r\n"));
}

TEST_F(WebServerTest, AProxyOnThisHostSaysForWhomItAsks) {
  EXPECT_TRUE(
      ask("GET /a HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n").ends_with("/a 192.0.2.1\n"));
}

TEST_F(WebServerTest, AResponseMayComeInParts) {
  const std::string reply = ask("GET /parts HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(reply.ends_with("\r\n\r\none two three"));
  EXPECT_EQ(reply.find("Content-Length"), std::string::npos);
  EXPECT_TRUE(ask("HEAD /parts HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
}

TEST_F(WebServerTest, NothingIsChangedThroughIt) {
  EXPECT_TRUE(ask("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
  EXPECT_THAT(ask("PUT / HTTP/1.1\r\n\r\n"), HasSubstr("\r\nAllow: GET, HEAD\r\n"));
  EXPECT_EQ(requests_, 0);
}

TEST_F(WebServerTest, ARequestIsBoundedInBytesAndInTime) {
  EXPECT_TRUE(ask("GET /" + std::string(kMaxHeadBytes, 'x')).starts_with("HTTP/1.1 431 "));
  EXPECT_TRUE(ask("GET / HT").starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(ask(""), "");
  EXPECT_EQ(requests_, 0);
}

TEST_F(WebServerTest, AResponseIsBoundedInTime) {
  EXPECT_EQ(ask("GET /never HTTP/1.1\r\n\r\n"), "");
  EXPECT_EQ(requests_, 1);
}

TEST_F(WebServerTest, WhatWaitsToBeTakenIsBounded) {
  EXPECT_EQ(ask("GET /too-large HTTP/1.1\r\n\r\n").find("xxxx"), std::string::npos);
  const int slow = connect();
  say(slow, "GET /large HTTP/1.1\r\n\r\n");
  while (requests_ < 2) {
    std::this_thread::yield();
  }
  EXPECT_EQ(ask("GET /large HTTP/1.1\r\n\r\n").find("xxxx"), std::string::npos);
  EXPECT_TRUE(ask("GET /small HTTP/1.1\r\n\r\n").ends_with("/small \n"));
  EXPECT_GT(hear(slow).size(), kHeld - 2000);
  // What was taken, or given up, is not counted any more.
  EXPECT_GT(ask("GET /large HTTP/1.1\r\n\r\n").size(), kHeld - 2000);
}

TEST_F(WebServerTest, HalfRequestsMakeRoomForOthers) {
  std::vector<int> half;
  for (int i = 0; i < 4; ++i) {
    half.push_back(connect());
    say(half.back(), "GET ");
  }
  EXPECT_TRUE(ask("GET /a HTTP/1.1\r\n\r\n").ends_with("/a \n"));
  EXPECT_EQ(hear(half[0]), "");
}

TEST_F(WebServerTest, ConnectionsAreBounded) {
  for (int i = 0; i < 4; ++i) {
    say(connect(), "GET /never HTTP/1.1\r\n\r\n");
  }
  while (requests_ < 4) {
    std::this_thread::yield();
  }
  EXPECT_EQ(ask("GET /a HTTP/1.1\r\n\r\n"), "");
  // Until one of them has gone.
  close(clients_.front());
  clients_.erase(clients_.begin());
  std::string reply;
  for (int attempt = 0; attempt < 100 && reply.empty(); ++attempt) {
    reply = ask("GET /a HTTP/1.1\r\n\r\n");
  }
  EXPECT_TRUE(reply.ends_with("/a \n"));
}

}  // namespace
}  // namespace mtastsd::web
