#include "mtastsd/term/time_text.h"

#include <gtest/gtest.h>

namespace mtastsd::term {
namespace {

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(seconds));
}

TEST(SpanText, HasTheTwoLargestUnits) {
  EXPECT_EQ(span_text(Seconds(0)), "0s");
  EXPECT_EQ(span_text(Seconds(59)), "59s");
  EXPECT_EQ(span_text(Seconds(60)), "1m");
  EXPECT_EQ(span_text(Seconds(61)), "1m 1s");
  EXPECT_EQ(span_text(Seconds(3600)), "1h");
  EXPECT_EQ(span_text(Seconds(3659)), "1h");
  EXPECT_EQ(span_text(Seconds(86399)), "23h 59m");
  EXPECT_EQ(span_text(Seconds(6 * 86400 + 23 * 3600 + 59)), "6d 23h");
  EXPECT_EQ(span_text(Seconds(-61)), "1m 1s");
}

TEST(RelativeText, SaysOnWhichSideOfNow) {
  EXPECT_EQ(relative_text(at(1060), at(1000)), "in 1m");
  EXPECT_EQ(relative_text(at(940), at(1000)), "1m ago");
  EXPECT_EQ(relative_text(at(1000), at(1000)), "now");
  EXPECT_EQ(relative_text(at(0), at(1000)), "never");
}

TEST(DateText, IsInUtc) {
  EXPECT_EQ(date_text(at(0)), "never");
  EXPECT_EQ(date_text(at(1767225599)), "2025-12-31 23:59:59 UTC");
}

}  // namespace
}  // namespace mtastsd::term
