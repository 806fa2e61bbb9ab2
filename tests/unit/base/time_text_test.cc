#include "mtastsd/base/time_text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace mtastsd {
namespace {

using namespace std::chrono_literals;

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(seconds));
}

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

TEST(Timestamp, IsRfc3339) {
  EXPECT_EQ(timestamp(at(0)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(timestamp(at(1767225599)), "2025-12-31T23:59:59Z");
  EXPECT_EQ(timestamp(at(-1)), "1969-12-31T23:59:59Z");
}

TEST(Timestamp, ShowsTheNearestTimeThatItCanWrite) {
  EXPECT_EQ(timestamp(at(kMost)), "9999-12-31T23:59:59Z");
  EXPECT_EQ(timestamp(at(-kMost)), "0000-01-01T00:00:00Z");
  EXPECT_EQ(date_text(at(kMost)), "9999-12-31 23:59:59 UTC");
}

TEST(ParseTimestamp, ReadsWhatIsWritten) {
  for (const std::int64_t seconds : {0L, 1L, -1L, 1767225599L, 951782400L, 253402300799L}) {
    EXPECT_EQ(parse_timestamp(timestamp(at(seconds))), at(seconds)) << seconds;
  }
}

TEST(ParseTimestamp, ReadsNothingElse) {
  for (const char* text :
       {"", "2025-12-31", "2025-12-31T23:59:59", "2025-12-31 23:59:59Z", "2025-12-31T23:59:59z",
        "2025-13-31T23:59:59Z", "2025-02-29T00:00:00Z", "2025-12-31T24:00:00Z",
        "2025-12-31T23:60:00Z", "2025-12-31T23:59:60Z", "2025-12-31T23:59:59ZZ",
        "+025-12-31T23:59:59Z", "2025-12-31T23:59:59+00:00"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

TEST(DateText, IsInUtc) {
  EXPECT_EQ(date_text(at(0)), "never");
  EXPECT_EQ(date_text(at(1767225599)), "2025-12-31 23:59:59 UTC");
  EXPECT_EQ(day_text(at(1767225599)), "2025-12-31");
}

TEST(SpanText, HasTheTwoLargestUnits) {
  EXPECT_EQ(span_text(0s), "0s");
  EXPECT_EQ(span_text(59s), "59s");
  EXPECT_EQ(span_text(60s), "1m");
  EXPECT_EQ(span_text(61s), "1m 1s");
  EXPECT_EQ(span_text(3600s), "1h");
  EXPECT_EQ(span_text(3659s), "1h");
  EXPECT_EQ(span_text(86399s), "23h 59m");
  EXPECT_EQ(span_text(Seconds(6 * 86400 + 23 * 3600 + 59)), "6d 23h");
  EXPECT_EQ(span_text(-61s), "1m 1s");
}

TEST(RelativeText, SaysOnWhichSideOfNow) {
  EXPECT_EQ(relative_text(at(1060), at(1000)), "in 1m");
  EXPECT_EQ(relative_text(at(940), at(1000)), "1m ago");
  EXPECT_EQ(relative_text(at(1000), at(1000)), "now");
  EXPECT_EQ(relative_text(at(0), at(1000)), "never");
}

TEST(DurationText, UsesTheLargestUnitThatGivesAWholeNumber) {
  EXPECT_EQ(duration_text(86400s), "1 day");
  EXPECT_EQ(duration_text(604800s), "7 days");
  EXPECT_EQ(duration_text(3600s), "1 hour");
  EXPECT_EQ(duration_text(90s), "90 seconds");
  EXPECT_EQ(duration_text(1s), "1 second");
  EXPECT_EQ(duration_text(0s), "0 seconds");
  EXPECT_EQ(duration_text(-5s), "0 seconds");
  EXPECT_EQ(duration_text(31557600s), "8766 hours");
  EXPECT_EQ(duration_text(31557601s), "about 365 days");
}

}  // namespace
}  // namespace mtastsd
