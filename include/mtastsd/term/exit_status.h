#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace mtastsd::term {

// What a script can rely on.
inline constexpr int kGood = 0;
inline constexpr int kNotFound = 1;  // or found wanting
inline constexpr int kTrouble = 2;   // could not find out

// One sentence on stderr, which says what to do next.
inline int trouble(std::string_view message) {
  std::fprintf(stderr, "mtastsctl: %.*s\n", static_cast<int>(message.size()), message.data());
  return kTrouble;
}

}  // namespace mtastsd::term
