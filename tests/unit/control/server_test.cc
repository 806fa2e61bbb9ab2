#include "mtastsd/control/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "mtastsd/control/protocol.h"

namespace mtastsd::control {
namespace {

// The server on a loop of its own thread; this thread is the peers.
class ControlServerTest : public testing::Test {
 protected:
  ControlServerTest()
      : server_(loop_, [this](std::string_view line, std::uint64_t connection) {
          if (line == "later") {
            waiting_.push_back(connection);
          } else if (line == "now") {
            for (const auto id : waiting_) {
              server_.reply(id, "came");
            }
            server_.reply(connection, "done");
          } else {
            server_.reply(connection, "<" + std::string(line) + ">");
          }
        }) {}

  void SetUp() override {
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    loop_.stop();
    thread_.join();
    for (const int fd : peers_) {
      close(fd);
    }
  }

  int connect() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    EXPECT_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    const timeval limit{10, 0};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    loop_.post([this, fd = ends[1]] { server_.add(fd); });
    peers_.push_back(ends[0]);
    return ends[0];
  }
  static bool say(int fd, const std::string& text) {
    return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // Up to and with the line end; empty at the end of the connection.
  static std::string hear(int fd) {
    std::string line;
    char c = 0;
    while (recv(fd, &c, 1, 0) == 1) {
      line += c;
      if (c == '\n') {
        break;
      }
    }
    return line;
  }

  event::Loop loop_;
  std::vector<std::uint64_t> waiting_;
  Server server_;
  std::thread thread_;
  std::vector<int> peers_;
};

TEST_F(ControlServerTest, ALineEachWay) {
  const int fd = connect();
  say(fd, "on");
  say(fd, "e\ntwo\nthree\n");
  EXPECT_EQ(hear(fd), "<one>\n");
  EXPECT_EQ(hear(fd), "<two>\n");
  EXPECT_EQ(hear(fd), "<three>\n");
}

TEST_F(ControlServerTest, AReplyThatComesLaterHoldsBackOnlyItsConnection) {
  const int slow = connect();
  const int other = connect();
  say(slow, "later\nbehind\n");
  say(other, "first\n");
  EXPECT_EQ(hear(other), "<first>\n");
  say(other, "now\n");
  EXPECT_EQ(hear(other), "done\n");
  EXPECT_EQ(hear(slow), "came\n");
  EXPECT_EQ(hear(slow), "<behind>\n");
}

TEST_F(ControlServerTest, AReplyToOneThatIsGoneIsDropped) {
  const int gone = connect();
  const int other = connect();
  say(gone, "later\n");
  say(other, "wait\n");
  EXPECT_EQ(hear(other), "<wait>\n");
  shutdown(gone, SHUT_RDWR);
  say(other, "now\n");
  EXPECT_EQ(hear(other), "done\n");
}

TEST_F(ControlServerTest, ALineIsBounded) {
  const int fd = connect();
  say(fd, std::string(kMaxLineBytes, 'x') + "\n");
  EXPECT_EQ(hear(fd).size(), kMaxLineBytes + 3);
  std::thread sender([fd] {
    const std::string part(65536, 'x');
    while (say(fd, part)) {
    }
  });
  EXPECT_EQ(hear(fd), "");
  sender.join();
}

TEST_F(ControlServerTest, ConnectionsAreBounded) {
  for (std::size_t i = 0; i < kMaxConnections; ++i) {
    const int fd = connect();
    say(fd, "x\n");
    EXPECT_EQ(hear(fd), "<x>\n");
  }
  EXPECT_EQ(hear(connect()), "");
  // Not of both directions: the end that is then heard has to be the server's.
  shutdown(peers_.front(), SHUT_WR);
  EXPECT_EQ(hear(peers_.front()), "");
  const int other = connect();
  say(other, "x\n");
  EXPECT_EQ(hear(other), "<x>\n");
}

}  // namespace
}  // namespace mtastsd::control
