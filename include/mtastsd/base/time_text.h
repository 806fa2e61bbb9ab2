#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"

// Times as text. All times are UTC. A time outside of the years 0000 to 9999, which these forms
// cannot write, is shown as the nearest one that they can. Pure.
namespace mtastsd {

// RFC 3339, for programs: "2026-11-22T10:00:00Z".
std::string timestamp(WallTime time);
// Reads what timestamp() writes, and nothing else.
std::optional<WallTime> parse_timestamp(std::string_view text);

// "2026-11-22".
std::string day_text(WallTime time);
// "2026-01-31 23:59:59 UTC"; "never" for the epoch, which stands for what did not happen.
std::string date_text(WallTime time);

// The two largest units: "6d 23h", "59m 3s", "12s", "0s". Without a sign.
std::string span_text(Seconds span);
// "in 6d 23h", "3h 2m ago", "now"; "never" for the epoch.
std::string relative_text(WallTime time, WallTime now);
// In words, by the largest unit that gives a whole number: "7 days", "36 hours"; "about 2 days" for
// long ones that give none. Negative durations count as none.
std::string duration_text(Seconds duration);

}  // namespace mtastsd
