#include "acceptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "fakes/temp_dir.h"
#include "sockets.h"

namespace mtastsd::daemon {
namespace {

using test::connect_to;
using test::unix_listen;

class AcceptorTest : public testing::Test {
 protected:
  AcceptorTest() {
    std::vector<PassedSocket> none;
    for (const char* name : {"/one", "/two"}) {
      EXPECT_TRUE(open_listeners(unix_listen(dir_.path() + name), {}, none, listeners_));
    }
  }
  ~AcceptorTest() override {
    for (const int fd : fds_) {
      close(fd);
    }
  }
  void connect(const char* name) {
    fds_.push_back(connect_to(dir_.path() + name));
    ASSERT_GE(fds_.back(), 0);
  }
  std::unique_ptr<Acceptor> acceptor(std::size_t expected, std::function<void()> make_room) {
    return std::make_unique<Acceptor>(
        loop_, std::move(listeners_),
        [this, expected](int fd) {
          fds_.push_back(fd);
          if (++taken_ == expected) {
            loop_.stop();
          }
        },
        std::move(make_room));
  }

  mtastsd::test::TempDir dir_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  event::Loop loop_;
  std::vector<int> fds_;
  std::size_t taken_ = 0;
};

TEST_F(AcceptorTest, TakesConnectionsOfAllListeners) {
  connect("/one");
  connect("/two");
  connect("/two");
  const auto all = acceptor(3, [] { ADD_FAILURE() << "there are descriptors left"; });
  loop_.run();
  EXPECT_EQ(taken_, 3U);
}

TEST_F(AcceptorTest, WithoutDescriptorsItAsksForRoomAndGoesOnAfterAPause) {
  // UBSan looks at an object's type through a pipe the first time: not when there are no
  // descriptors.
  loop_.post([this] { loop_.stop(); });
  loop_.run();
  connect("/one");
  connect("/two");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  int asked = 0;
  const auto one = acceptor(2, [&] {
    ++asked;
    setrlimit(RLIMIT_NOFILE, &before);
  });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  loop_.run();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(taken_, 2U);
}

TEST_F(AcceptorTest, AfterTheEndNobodyCanConnect) {
  const auto one = acceptor(1, [] {});
  one->close();
  EXPECT_EQ(connect_to(dir_.path() + "/one"), -1);
}

TEST_F(AcceptorTest, WhoWaitsAtTheEndIsTaken) {
  const auto all = acceptor(200, [] {});
  for (int i = 0; i < 100; ++i) {
    connect("/one");
    connect("/two");
  }
  all->close();
  EXPECT_EQ(taken_, 200U);
}

TEST_F(AcceptorTest, ASocketOfTheServiceManagerKeepsWhoWaitsForTheNextDaemon) {
  const Fd kept(::fcntl(listeners_[0]->fd(), F_DUPFD_CLOEXEC, 0));
  std::vector<std::unique_ptr<Listener>> passed;
  passed.push_back(Listener::adopt({Fd(::dup(kept.get())), "unix:" + dir_.path() + "/one"}));
  std::swap(listeners_, passed);
  const auto all = acceptor(1, [] {});
  connect("/one");
  all->close();
  EXPECT_EQ(taken_, 0U);
  fds_.push_back(::accept(kept.get(), nullptr, nullptr));
  EXPECT_GE(fds_.back(), 0);
}

}  // namespace
}  // namespace mtastsd::daemon
