#include "watchdog.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "fakes/fake_loop.h"

namespace mtastsd::daemon {
namespace {

constexpr Milliseconds kInterval{1000};

class WatchdogTest : public testing::Test {
 protected:
  // A thread whose loop is the test.
  Watchdog::Thread thread(std::size_t number) {
    return [this, number](event::Callback callback) {
      ++asked_;
      posted_.at(number) = std::move(callback);
    };
  }
  void comes_round(std::size_t number) {
    if (const event::Callback callback = std::exchange(posted_.at(number), nullptr)) {
      callback();
    }
  }
  std::unique_ptr<Watchdog> watchdog() {
    return std::make_unique<Watchdog>(loop_, kInterval, std::vector{thread(0), thread(1)},
                                      [this] { ++fed_; });
  }

  mtastsd::test::FakeLoop loop_;
  std::vector<event::Callback> posted_{2};
  int asked_ = 0;
  int fed_ = 0;
};

TEST_F(WatchdogTest, IsFedOnceAnIntervalWhileAllThreadsComeRound) {
  const auto dog = watchdog();
  for (int turn = 1; turn <= 5; ++turn) {
    comes_round(0);
    comes_round(1);
    loop_.advance(kInterval);
    EXPECT_EQ(fed_, turn);
  }
}

TEST_F(WatchdogTest, OneThreadThatHangsIsEnough) {
  const auto dog = watchdog();
  for (int turn = 0; turn < 5; ++turn) {
    comes_round(0);
    loop_.advance(kInterval);
  }
  EXPECT_EQ(fed_, 0);
  EXPECT_EQ(asked_, 2);  // What hangs gets no more to do.
  comes_round(1);
  loop_.advance(kInterval);
  EXPECT_EQ(fed_, 1);
  EXPECT_EQ(asked_, 4);
}

TEST_F(WatchdogTest, AThreadMayAnswerWhenItIsGone) {
  watchdog().reset();
  comes_round(0);
  loop_.advance(kInterval);
  EXPECT_EQ(fed_, 0);
}

}  // namespace
}  // namespace mtastsd::daemon
