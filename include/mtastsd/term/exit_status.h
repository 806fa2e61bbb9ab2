#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace mtastsd::term {

// The exit statuses, which are stable for scripts.
inline constexpr int kGood = 0;
inline constexpr int kNotFound = 1;  // or something is wrong
inline constexpr int kTrouble = 2;   // the question could not be answered

// Prints one sentence on stderr, which should say what to do next.
inline int trouble(std::string_view message) {
  std::fprintf(stderr, "mtastsctl: %.*s\n", static_cast<int>(message.size()), message.data());
  return kTrouble;
}

}  // namespace mtastsd::term
