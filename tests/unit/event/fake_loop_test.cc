#include "fakes/fake_loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace mtastsd::test {
namespace {

TEST(FakeLoop, FiresInOrderOfDueTimeAndShowsThatTime) {
  FakeLoop loop;
  const SteadyTime start = loop.steady();
  std::vector<int> order;
  auto late = loop.make_timer([&] {
    EXPECT_EQ(loop.steady() - start, Milliseconds(20));
    order.push_back(2);
  });
  auto early = loop.make_timer([&] {
    EXPECT_EQ(loop.steady() - start, Milliseconds(10));
    order.push_back(1);
  });
  auto same_as_early = loop.make_timer([&] { order.push_back(11); });
  late->arm(Milliseconds(20));
  early->arm(Milliseconds(10));
  same_as_early->arm(Milliseconds(10));
  loop.advance(Milliseconds(9));
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(loop.until_next(), Milliseconds(1));
  loop.advance(Milliseconds(100));
  EXPECT_EQ(order, (std::vector<int>{1, 11, 2}));
  EXPECT_EQ(loop.steady() - start, Milliseconds(109));
  EXPECT_EQ(loop.armed_count(), 0U);
}

TEST(FakeLoop, TimersArmedByCallbacksFireWithinTheSameAdvance) {
  FakeLoop loop;
  int ticks = 0;
  std::unique_ptr<event::Timer> timer = loop.make_timer([&] {
    ++ticks;
    timer->arm(Milliseconds(10));
  });
  timer->arm(Milliseconds(10));
  loop.advance(Milliseconds(35));
  EXPECT_EQ(ticks, 3);
}

TEST(FakeLoop, CallbacksMayDestroyTheirOwnAndOtherTimers) {
  FakeLoop loop;
  std::unique_ptr<event::Timer> own;
  auto other = loop.make_timer([] { FAIL(); });
  own = loop.make_timer([&] {
    own.reset();
    other.reset();
  });
  own->arm(Milliseconds(1));
  other->arm(Milliseconds(1));
  loop.advance(Milliseconds(5));
  EXPECT_EQ(own, nullptr);
}

TEST(FakeLoop, SettingTheWallClockLeavesSteadyTime) {
  FakeLoop loop;
  const SteadyTime before = loop.steady();
  loop.set_wall(WallTime(Seconds(42)));
  EXPECT_EQ(loop.wall(), WallTime(Seconds(42)));
  EXPECT_EQ(loop.steady(), before);
  loop.advance(Milliseconds(1500));
  EXPECT_EQ(loop.wall(), WallTime(Seconds(43)));
}

}  // namespace
}  // namespace mtastsd::test
