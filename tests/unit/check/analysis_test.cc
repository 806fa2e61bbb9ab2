#include "analysis.h"

#include <gtest/gtest.h>

#include <string>

namespace mtastsd::check {
namespace {

WallTime at(int year, unsigned month, unsigned day, int seconds = 0) {
  return std::chrono::sys_days(std::chrono::year(year) / month / day) + Seconds(seconds);
}

TEST(DaysLeft, AreRoundedDown) {
  EXPECT_EQ(days_left(at(2026, 1, 3), at(2026, 1, 1)), 2);
  EXPECT_EQ(days_left(at(2026, 1, 3), at(2026, 1, 1, 1)), 1);
  EXPECT_EQ(days_left(at(2026, 1, 1), at(2026, 1, 1, 1)), -1);
}

TEST(TimeOfId, KnowsTheUsualForms) {
  EXPECT_EQ(time_of_id("20260203"), at(2026, 2, 3));
  EXPECT_EQ(time_of_id("2026020301"), at(2026, 2, 3, 3600));
  EXPECT_EQ(time_of_id("202602030101"), at(2026, 2, 3, 3660));
  EXPECT_EQ(time_of_id("20260203010101"), at(2026, 2, 3, 3661));
  EXPECT_EQ(time_of_id("20260203010101Z"), at(2026, 2, 3, 3661));
  EXPECT_EQ(time_of_id("20260203T010101Z"), at(2026, 2, 3, 3661));
  EXPECT_EQ(time_of_id("1770080461"), at(2026, 2, 3, 3661));
  for (const char* other :
       {"", "1", "a", "2026", "20261301", "20260230", "2026020324", "202602030160", "T2026020",
        "Z20260203", "20260203T", "99999999", "123456789012345678901234567890"}) {
    const bool date_only = std::string(other) == "20260203T";
    EXPECT_EQ(time_of_id(other).has_value(), date_only) << other;
  }
}

}  // namespace
}  // namespace mtastsd::check
