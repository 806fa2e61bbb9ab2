#include "mtastsd/event/loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace mtastsd::event {
namespace {

using std::chrono::steady_clock;

class SocketPair {
 public:
  SocketPair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0); }
  ~SocketPair() {
    close(fds_[0]);
    close(fds_[1]);
  }
  int ours() const { return fds_[0]; }
  void send(const std::string& text) const {
    EXPECT_EQ(write(fds_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string receive() const {
    char buffer[64];
    const auto n = read(fds_[0], buffer, sizeof buffer);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
  }

 private:
  int fds_[2] = {-1, -1};
};

TEST(Loop, RunsWhatWasPostedBeforeStopInOrder) {
  Loop loop;
  std::vector<int> seen;
  for (int i = 0; i < 5; ++i) {
    loop.post([&seen, i] { seen.push_back(i); });
  }
  loop.stop();
  loop.run();
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Loop, RunsAgainAfterStop) {
  Loop loop;
  int runs = 0;
  for (int i = 0; i < 2; ++i) {
    loop.post([&] {
      ++runs;
      loop.stop();
    });
    loop.run();
  }
  EXPECT_EQ(runs, 2);
}

TEST(Loop, PostFromOtherThreadsLosesNothingAndKeepsEachThreadsOrder) {
  Loop loop;
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  std::vector<int> last(kThreads, -1);
  int total = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop.post([&, t, i] {
          EXPECT_EQ(last[static_cast<std::size_t>(t)], i - 1);
          last[static_cast<std::size_t>(t)] = i;
          if (++total == kThreads * kEach) {
            loop.stop();
          }
        });
      }
    });
  }
  loop.run();
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(total, kThreads * kEach);
}

TEST(Loop, PostFromACallbackRunsOnALaterTurn) {
  Loop loop;
  bool first_done = false;
  loop.post([&] {
    loop.post([&] {
      EXPECT_TRUE(first_done);
      loop.stop();
    });
    first_done = true;
  });
  loop.run();
}

TEST(Loop, DropsWhatIsStillQueuedWhenDestroyed) {
  auto token = std::make_shared<int>(1);
  {
    Loop loop;
    loop.post([token] { FAIL() << "ran"; });
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Loop, QueuedCallbackMayOwnATimerOfTheLoopThatDropsIt) {
  Loop loop;
  auto timer = std::shared_ptr<Timer>(loop.make_timer([] {}));
  timer->arm(Milliseconds(1000));
  loop.post([timer] {});
}

TEST(Timer, NeverFiresEarly) {
  Loop loop;
  for (const int ms : {1, 3, 7, 20, 33}) {
    const auto start = steady_clock::now();
    auto timer = loop.make_timer([&] { loop.stop(); });
    timer->arm(Milliseconds(ms));
    loop.run();
    EXPECT_GE(steady_clock::now() - start, Milliseconds(ms));
    EXPECT_FALSE(timer->armed());
  }
}

TEST(Timer, NeverFiresEarlyAfterACallbackThatTookLong) {
  Loop loop;
  steady_clock::time_point armed_at;
  auto second = loop.make_timer([&] {
    EXPECT_GE(steady_clock::now() - armed_at, Milliseconds(20));
    loop.stop();
  });
  auto first = loop.make_timer([&] {
    std::this_thread::sleep_for(Milliseconds(30));
    armed_at = steady_clock::now();
    second->arm(Milliseconds(20));
  });
  first->arm(Milliseconds(1));
  loop.run();
}

// libevent reads a clock that may lag some milliseconds behind when the timer is armed.
TEST(Timer, NeverFiresEarlyInABusyLoop) {
  Loop loop;
  const SocketPair pair;
  auto busy = loop.watch(pair.ours(), Interest::Write, [](Interest) {});
  steady_clock::time_point armed_at;
  int left = 50;
  std::unique_ptr<Timer> timer;
  const auto arm = [&] {
    armed_at = steady_clock::now();
    timer->arm(Milliseconds(5));
  };
  timer = loop.make_timer([&] {
    EXPECT_GE(steady_clock::now() - armed_at, Milliseconds(5));
    if (--left == 0) {
      return loop.stop();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(700));
    arm();
  });
  arm();
  loop.run();
}

TEST(Timer, ZeroIsTheNextTurnNotNow) {
  Loop loop;
  bool armed_callback_over = false;
  std::unique_ptr<Timer> timer = loop.make_timer([&] {
    EXPECT_TRUE(armed_callback_over);
    loop.stop();
  });
  loop.post([&] {
    timer->arm(Milliseconds(0));
    EXPECT_TRUE(timer->armed());
    armed_callback_over = true;
  });
  loop.run();
}

TEST(Timer, CancelAndDestroyEndWhatWasArmed) {
  Loop loop;
  auto cancelled = loop.make_timer([] { FAIL() << "cancelled"; });
  auto destroyed = loop.make_timer([] { FAIL() << "destroyed"; });
  auto end = loop.make_timer([&] { loop.stop(); });
  cancelled->arm(Milliseconds(1));
  destroyed->arm(Milliseconds(1));
  end->arm(Milliseconds(20));
  cancelled->cancel();
  EXPECT_FALSE(cancelled->armed());
  destroyed.reset();
  loop.run();
}

TEST(Timer, ArmAgainReplacesTheEarlierTime) {
  Loop loop;
  int fired = 0;
  auto timer = loop.make_timer([&] { ++fired; });
  auto end = loop.make_timer([&] { loop.stop(); });
  timer->arm(Milliseconds(1));
  timer->arm(Milliseconds(10));
  end->arm(Milliseconds(30));
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Timer, CallbackMayArmItAgain) {
  Loop loop;
  int fired = 0;
  std::unique_ptr<Timer> timer = loop.make_timer([&] {
    if (++fired == 3) {
      loop.stop();
    } else {
      timer->arm(Milliseconds(0));
    }
  });
  timer->arm(Milliseconds(0));
  loop.run();
  EXPECT_EQ(fired, 3);
}

TEST(Timer, CallbackMayDestroyItAndStillUseWhatItCaptured) {
  Loop loop;
  std::unique_ptr<Timer> timer;
  const auto token = std::make_shared<std::string>(100, 'x');
  timer = loop.make_timer([&timer, &loop, token] {
    timer.reset();
    EXPECT_EQ(token->size(), 100U);
    loop.stop();
  });
  timer->arm(Milliseconds(0));
  loop.run();
  EXPECT_EQ(timer, nullptr);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(FdWatch, TellsWhatIsReadyUntilItIsRead) {
  Loop loop;
  const SocketPair pair;
  int calls = 0;
  auto watch = loop.watch(pair.ours(), Interest::Read, [&](Interest ready) {
    EXPECT_EQ(ready, Interest::Read);
    if (++calls < 3) {
      return;  // level-triggered: comes again
    }
    EXPECT_EQ(pair.receive(), "hi");
    loop.stop();
  });
  pair.send("hi");
  loop.run();
  EXPECT_EQ(calls, 3);
}

TEST(FdWatch, SetChangesWhatIsWaitedFor) {
  Loop loop;
  const SocketPair pair;
  std::vector<Interest> seen;
  std::unique_ptr<FdWatch> watch = loop.watch(pair.ours(), Interest::Write, [&](Interest ready) {
    seen.push_back(ready);
    if (ready == Interest::Write) {
      watch->set(Interest::Read);
      pair.send("x");
    } else {
      watch->set(Interest::None);
      loop.stop();
    }
  });
  loop.run();
  EXPECT_EQ(seen, (std::vector<Interest>{Interest::Write, Interest::Read}));
}

TEST(FdWatch, NoneIsSilent) {
  Loop loop;
  const SocketPair pair;
  auto watch = loop.watch(pair.ours(), Interest::None, [](Interest) { FAIL(); });
  auto end = loop.make_timer([&] { loop.stop(); });
  pair.send("x");
  end->arm(Milliseconds(10));
  loop.run();
}

TEST(FdWatch, CallbackMayDestroyItAndAnotherThatIsReadyToo) {
  Loop loop;
  const SocketPair a;
  const SocketPair b;
  std::unique_ptr<FdWatch> watch_a;
  std::unique_ptr<FdWatch> watch_b;
  int calls = 0;
  const auto destroy_both = [&](Interest) {
    ++calls;
    watch_a.reset();
    watch_b.reset();
    loop.stop();
  };
  watch_a = loop.watch(a.ours(), Interest::Read, destroy_both);
  watch_b = loop.watch(b.ours(), Interest::Read, destroy_both);
  a.send("x");
  b.send("x");
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(Loop, WatchesASignal) {
  Loop loop;
  int seen = 0;
  auto watch = loop.watch_signal(SIGUSR1, [&] {
    ++seen;
    loop.stop();
  });
  loop.post([] { raise(SIGUSR1); });
  loop.run();
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace mtastsd::event
