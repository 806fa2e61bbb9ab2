#include "mtastsd/https/dialer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mtastsd/event/loop.h"

namespace mtastsd::https {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

// A port of an address that accepts connections by itself.
class Listener {
 public:
  explicit Listener(const char* address = "127.0.0.1", std::uint16_t port = 0) {
    sockaddr_storage to{};
    socklen_t size = IpAddress::parse(address)->to_sockaddr(port, to);
    auto* generic = reinterpret_cast<sockaddr*>(&to);
    fd_ = Fd(::socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(fd_.get(), generic, size), 0);
    EXPECT_EQ(::listen(fd_.get(), 20), 0);
    EXPECT_EQ(::getsockname(fd_.get(), generic, &size), 0);
    port_ = ntohs(reinterpret_cast<const sockaddr_in*>(&to)->sin_port);
  }
  std::uint16_t port() const { return port_; }

 private:
  Fd fd_;
  std::uint16_t port_ = 0;
};

// Takes what arrives and never answers a SYN: its queue of connections is full.
class Blackhole {
 public:
  Blackhole(const char* address, std::uint16_t port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, address, &to.sin_addr);
    const auto* generic = reinterpret_cast<const sockaddr*>(&to);
    fds_.push_back(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(bind(fds_[0], generic, sizeof to), 0);
    EXPECT_EQ(listen(fds_[0], 0), 0);
    for (int i = 0; i < 4; ++i) {
      fds_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      static_cast<void>(connect(fds_.back(), generic, sizeof to));
    }
    std::this_thread::sleep_for(Milliseconds(50));
  }
  ~Blackhole() {
    for (const int fd : fds_) {
      close(fd);
    }
  }

 private:
  std::vector<int> fds_;
};

std::vector<IpAddress> ips(std::initializer_list<const char*> texts) {
  std::vector<IpAddress> list;
  for (const char* text : texts) {
    list.push_back(*IpAddress::parse(text));
  }
  return list;
}

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

class DialerTest : public testing::Test {
 protected:
  using Dialled = Result<Connection, Error>;

  Dialled dial(const std::vector<IpAddress>& addresses, Milliseconds limit = Milliseconds(10000)) {
    std::optional<Dialled> got;
    const auto began = steady_clock::now();
    const DialHandle handle = dialer_->dial(addresses, limit, [&](Dialled result) {
      got = std::move(result);
      loop_.stop();
    });
    EXPECT_FALSE(got) << "called back before dial() has returned";
    run(Milliseconds(20000));
    took_ = std::chrono::duration_cast<Milliseconds>(steady_clock::now() - began);
    EXPECT_TRUE(got);
    return got ? *std::move(got) : failure(Error{});
  }

  void run(Milliseconds limit) {
    const auto timer = loop_.make_timer([&] { loop_.stop(); });
    timer->arm(limit);
    loop_.run();
  }

  Listener listener_;
  event::Loop loop_;
  std::unique_ptr<Dialer> dialer_ = make_tcp_dialer(loop_, listener_.port());
  Milliseconds took_{0};
};

TEST(InterleaveFamilies, TakesThemInTurnWithIpv6First) {  // RFC 8305 section 4
  EXPECT_EQ(interleave_families(
                ips({"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"})),
            ips({"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"}));
  EXPECT_EQ(interleave_families(ips({"192.0.2.2", "192.0.2.1"})), ips({"192.0.2.2", "192.0.2.1"}));
  EXPECT_TRUE(interleave_families({}).empty());
}

TEST_F(DialerTest, Ipv6IsTriedFirstWhereverItStands) {  // RFC 8305 section 4
  if (!IpAddress::parse("::1") || !std::filesystem::exists("/proc/net/if_inet6")) {
    GTEST_SKIP() << "this host has no IPv6";
  }
  const Listener also("::1", listener_.port());
  const Dialled got = dial(ips({"127.0.0.1", "::1"}));
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->address, IpAddress::parse("::1"));
}

TEST_F(DialerTest, GivesAConnectedSocketAndItsAddress) {
  const Dialled got = dial(ips({"127.0.0.1"}));
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->address, IpAddress::parse("127.0.0.1"));
  EXPECT_EQ(::send(got->socket.get(), "x", 1, MSG_NOSIGNAL), 1);
  EXPECT_NE(::fcntl(got->socket.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(DialerTest, ItConnectsFromTheSourceOfTheFamily) {
  dialer_ = make_tcp_dialer(loop_, listener_.port(), ips({"::1", "127.0.0.7"}));
  const Dialled got = dial(ips({"127.0.0.1"}));
  ASSERT_TRUE(got) << got.error().detail;
  sockaddr_in from{};
  socklen_t size = sizeof from;
  ASSERT_EQ(::getsockname(got->socket.get(), reinterpret_cast<sockaddr*>(&from), &size), 0);
  EXPECT_EQ(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 6);
}

TEST_F(DialerTest, ASourceThatIsNotOfThisHostIsAnError) {
  dialer_ = make_tcp_dialer(loop_, listener_.port(), ips({"192.0.2.1"}));
  const Dialled got = dial(ips({"127.0.0.1"}));
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().detail, HasSubstr("Cannot assign requested address"));
}

TEST_F(DialerTest, AnAddressThatRefusesIsPassedOverAtOnce) {
  const Dialled got = dial(ips({"127.0.0.9", "127.0.0.10", "127.0.0.1"}));
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->address, IpAddress::parse("127.0.0.1"));
  EXPECT_LT(took_, Milliseconds(200));
}

TEST_F(DialerTest, ASilentAddressIsWaitedForNoLongerThanTheDelay) {  // RFC 8305 section 5
  const Blackhole silent("127.0.0.8", listener_.port());
  const Dialled got = dial(ips({"127.0.0.8", "127.0.0.1"}));
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->address, IpAddress::parse("127.0.0.1"));
  EXPECT_GE(took_, Milliseconds(245)) << "the first one was not silent";
  EXPECT_LT(took_, Milliseconds(2000));
}

TEST_F(DialerTest, ASilentAddressAloneUsesUpTheLimit) {
  const Blackhole silent("127.0.0.8", listener_.port());
  const Dialled got = dial(ips({"127.0.0.8"}), Milliseconds(400));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::Connect);
  EXPECT_EQ(got.error().detail, "cannot connect to 127.0.0.8:" + std::to_string(listener_.port()) +
                                    ": Connection timed out");
  EXPECT_GE(took_, Milliseconds(395));
  EXPECT_LT(took_, Milliseconds(3000));
}

TEST_F(DialerTest, TheErrorIsTheMostTellingOne) {
  // A host that refuses says more than one that is silent or cannot be reached.
  const Blackhole silent("127.0.0.8", listener_.port());
  const Dialled got = dial(ips({"255.255.255.255", "127.0.0.9", "127.0.0.8"}), Milliseconds(600));
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().detail, HasSubstr("127.0.0.9:"));
  EXPECT_THAT(got.error().detail, HasSubstr("Connection refused"));
}

TEST_F(DialerTest, WithoutAnAddressThereIsAnError) {
  const Dialled got = dial({});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().detail, "the policy host has no address");
}

TEST_F(DialerTest, AnAddressFamilyWithoutARouteCostsNothing) {
  const Dialled got = dial(ips({"ff0e::1", "127.0.0.1"}));
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_LT(took_, Milliseconds(1000));
}

TEST_F(DialerTest, ADialHasABoundedNumberOfSockets) {
  std::vector<std::unique_ptr<Blackhole>> holes;
  std::vector<IpAddress> addresses;
  for (int i = 0; i < 7; ++i) {
    const std::string address = "127.0.1." + std::to_string(i + 1);
    holes.push_back(std::make_unique<Blackhole>(address.c_str(), listener_.port()));
    addresses.push_back(*IpAddress::parse(address));
  }
  const auto before = open_descriptors();
  const DialHandle handle = dialer_->dial(addresses, Milliseconds(20000), [](const auto&) {});
  run(7 * kAttemptDelay);
  EXPECT_EQ(open_descriptors() - before, static_cast<std::ptrdiff_t>(kMaxAttemptsAtOnce));
}

TEST_F(DialerTest, DroppingTheHandleCancels) {
  const auto before = open_descriptors();
  const Blackhole silent("127.0.0.8", listener_.port());
  const auto with_hole = open_descriptors();
  for (const int after_ms : {0, 300}) {
    DialHandle handle = dialer_->dial(ips({"127.0.0.8", "127.0.0.8"}), Milliseconds(500),
                                      [](const auto&) { ADD_FAILURE() << "called back"; });
    run(Milliseconds(after_ms));
    handle.reset();
    EXPECT_EQ(open_descriptors(), with_hole);
  }
  run(Milliseconds(600));
  EXPECT_GT(with_hole, before);
}

TEST_F(DialerTest, TheCallbackMayDropItsHandle) {
  DialHandle handle;
  bool called = false;
  handle = dialer_->dial(ips({"127.0.0.9", "127.0.0.1"}), Milliseconds(5000), [&](Dialled result) {
    EXPECT_TRUE(result);
    handle.reset();
    called = true;
    loop_.stop();
  });
  run(Milliseconds(5000));
  EXPECT_TRUE(called);
}

}  // namespace
}  // namespace mtastsd::https
