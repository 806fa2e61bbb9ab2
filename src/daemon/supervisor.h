#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"

namespace mtastsd::daemon {

// Tells the service manager about this process ("READY=1", see sd_notify(3)), nothing where there
// is none. Waits some seconds for one that does not listen. False: there is one, and it was not
// told.
bool tell_supervisor(std::string_view state);

// What it is told when the daemon begins to reload: with the time, by which systemd knows which of
// two reloads this is.
std::string reloading_state();

// Within which time it has to be told "WATCHDOG=1" again (see sd_watchdog_enabled(3)), or nullopt
// if it does not wait for that.
std::optional<Milliseconds> watchdog_limit();

}  // namespace mtastsd::daemon
