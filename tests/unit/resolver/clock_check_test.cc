#include "clock_check.h"

#include <gtest/gtest.h>

#include <chrono>

namespace mtastsd::resolver {
namespace {

class TwoClocks final : public Clock {
 public:
  WallTime wall() const override { return wall_at; }
  SteadyTime steady() const override { return {}; }
  Seconds since_boot() const override { return boot_at; }

  void advance(Seconds by) {
    wall_at += by;
    boot_at += by;
  }

  WallTime wall_at{Seconds(1'700'000'000)};
  Seconds boot_at{5000};
};

class ClockCheckTest : public testing::Test {
 protected:
  bool doubted() {
    check_.look();
    return check_.doubted();
  }

  TwoClocks clocks_;
  ClockCheck check_{clocks_};
};

TEST_F(ClockCheckTest, ClocksThatAgreeAreBelieved) {
  for (int i = 0; i < 400; ++i) {
    clocks_.advance(Seconds(86400));
    ASSERT_FALSE(doubted());
  }
}

TEST_F(ClockCheckTest, ASecondThatIsInsertedIsNoDisagreement) {
  clocks_.wall_at += ClockCheck::kTolerance;
  EXPECT_FALSE(doubted());
  clocks_.wall_at += Seconds(1);
  EXPECT_TRUE(doubted());
}

TEST_F(ClockCheckTest, EachJumpIsDoubtedForAsLongAsItStandsAndAWeekMore) {
  for (const Seconds jump : {Seconds(8 * 86400), Seconds(-3600)}) {
    clocks_.wall_at += jump;
    EXPECT_EQ(check_.look(), jump);
    clocks_.advance(Seconds(30 * 86400));
    EXPECT_TRUE(doubted()) << "it still stands";
    clocks_.wall_at -= jump;
    clocks_.advance(ClockCheck::kDoubt - Seconds(1));
    EXPECT_TRUE(doubted());
    clocks_.advance(Seconds(1));
    EXPECT_FALSE(doubted());
  }
}

TEST_F(ClockCheckTest, JumpsThatFollowOneAnotherAreOneDoubt) {
  clocks_.wall_at += Seconds(8 * 86400);
  EXPECT_TRUE(doubted());
  clocks_.advance(Seconds(3600));
  clocks_.wall_at += Seconds(8 * 86400);
  EXPECT_TRUE(doubted());
  clocks_.wall_at -= Seconds(16 * 86400);
  EXPECT_TRUE(doubted());
}

// The wall clock counts the time of a suspended machine, and so does the boot clock.
TEST(ClockCheck, TheSystemsClocksAgree) {
  const SystemClock clock;
  ClockCheck check(clock);
  EXPECT_LE(std::chrono::abs(check.look()), Seconds(1));
  EXPECT_FALSE(check.doubted());
  EXPECT_GT(clock.since_boot(), Seconds(0));
}

}  // namespace
}  // namespace mtastsd::resolver
