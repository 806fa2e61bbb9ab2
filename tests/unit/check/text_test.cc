#include "mtastsd/check/text.h"

#include <gtest/gtest.h>

#include <string>

#include "analysis.h"

namespace mtastsd::check {
namespace {

WallTime at(int year, unsigned month, unsigned day, int seconds = 0) {
  return std::chrono::sys_days(std::chrono::year(year) / month / day) + Seconds(seconds);
}

TEST(Printable, LeavesNothingThatATerminalActsOn) {
  EXPECT_EQ(printable("a\x1b[31m\r\n\xc3\xa4"), "a\\x1b[31m\\x0d\\x0a\\xc3\\xa4");
  EXPECT_EQ(printable(std::string_view("\0x", 2)), "\\x00x");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("a\x01\x01", 5), "a\\x01...");
  EXPECT_EQ(printable("a\x01\x01", 8), "a\\x01...");
}

TEST(Wrapped, KeepsToTheWidth) {
  EXPECT_EQ(wrapped("  A", 6, "one two three", 14), "  A   one two\n      three\n");
  EXPECT_EQ(wrapped("", 2, "abcdefghijklmnop", 12), "  abcdefghij\n  klmnop\n");
  EXPECT_EQ(wrapped("", 2, "x abcdefghijklmnop", 12), "  x\n  abcdefghij\n  klmnop\n");
  EXPECT_EQ(wrapped("label", 8, "", 20), "label\n");
}

TEST(Duration, UsesTheLargestUnitThatFits) {
  EXPECT_EQ(duration(Seconds(86400)), "1 day");
  EXPECT_EQ(duration(Seconds(604800)), "7 days");
  EXPECT_EQ(duration(Seconds(3600)), "1 hour");
  EXPECT_EQ(duration(Seconds(90)), "90 seconds");
  EXPECT_EQ(duration(Seconds(0)), "0 seconds");
  EXPECT_EQ(duration(Seconds(31557600)), "8766 hours");
  EXPECT_EQ(duration(Seconds(31557601)), "about 365 days");
}

TEST(DaysLeft, AreRoundedDown) {
  EXPECT_EQ(days_left(at(2026, 1, 3), at(2026, 1, 1)), 2);
  EXPECT_EQ(days_left(at(2026, 1, 3), at(2026, 1, 1, 1)), 1);
  EXPECT_EQ(days_left(at(2026, 1, 1), at(2026, 1, 1, 1)), -1);
  EXPECT_EQ(date_time(at(2026, 2, 3, 3661)), "2026-02-03T01:01:01Z");
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
