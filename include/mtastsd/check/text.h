#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"

namespace mtastsd::check {

inline constexpr std::size_t kMaxShown = 300;  // characters for one text from outside

// Text from outside for terminals: printable ASCII, the rest as \xNN; cut where that would be
// longer than `limit`.
std::string printable(std::string_view text, std::size_t limit = kMaxShown);

// "3 addresses", "1 address".
std::string counted(std::size_t number, std::string_view singular, std::string_view plural);

std::string date(WallTime time);       // "2026-11-22"
std::string date_time(WallTime time);  // "2026-11-22T10:00:00Z"
std::string duration(Seconds time);    // the largest unit that fits: "7 days", "36 hours"

// Days until `end`, rounded down; negative for what is over.
std::int64_t days_left(WallTime end, WallTime now);

// Words of `text` in lines of at most `width`, each after `indent` spaces, the first one after
// `first`, which counts as `indent` wide. Ends with a line end. Longer words are cut.
std::string wrapped(std::string_view first, std::size_t indent, std::string_view text,
                    std::size_t width);

}  // namespace mtastsd::check
