#pragma once

#include <string_view>

namespace mtastsd::daemon {

// Tells the service manager about this process ("READY=1", see sd_notify(3)), nothing where there
// is none. Waits some seconds for one that does not listen. False: there is one, and it was not
// told.
bool tell_supervisor(std::string_view state);

}  // namespace mtastsd::daemon
