#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "mtastsd/base/text.h"

namespace mtastsd::fuzz {

// An invariant of a fuzz target; checked in every build type.
inline void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "invariant broken: %s\n", what);
    std::abort();
  }
}

inline std::string_view as_text(const unsigned char* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// How often `part` stands in `text`, without overlaps.
inline std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++found;
  }
  return found;
}

inline bool only_from(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

// The detail of an error is for logs and terminals.
inline bool fit_to_print(std::string_view text) {
  return !text.empty() && text.size() < 400 && printable(text) == text;
}

}  // namespace mtastsd::fuzz
