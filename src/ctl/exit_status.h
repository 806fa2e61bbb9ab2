#pragma once

namespace mtastsd::ctl {

// What a script can rely on.
inline constexpr int kGood = 0;
inline constexpr int kNotFound = 1;
inline constexpr int kTrouble = 2;

}  // namespace mtastsd::ctl
