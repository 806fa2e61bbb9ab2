#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mtastsd/base/text.h"

namespace mtastsd::check {

// More of one text from outside is not shown in a report for people.
inline constexpr std::size_t kMaxShown = 300;

inline std::string shown(std::string_view text) {
  return printable(text, kMaxShown);
}
inline std::string shown_in_quotes(std::string_view text) {
  return in_quotes(text, kMaxShown);
}

}  // namespace mtastsd::check
