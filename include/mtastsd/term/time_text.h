#pragma once

#include <string>

#include "mtastsd/base/clock.h"

namespace mtastsd::term {

// The two largest units: "6d 23h", "59m 3s", "12s", "0s". Without a sign.
std::string span_text(Seconds span);

// "in 6d 23h", "3h 2m ago", "now"; "never" for the epoch, which stands for what did not happen.
std::string relative_text(WallTime time, WallTime now);

// "2026-01-31 23:59:59 UTC"; "never" for the epoch.
std::string date_text(WallTime time);

}  // namespace mtastsd::term
