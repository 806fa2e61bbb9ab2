#pragma once

#include <string_view>

namespace mtastsd::daemon {

// Tells the service manager about this process ("READY=1", see sd_notify(3)); nothing where there
// is none, or it does not listen: the datagram is not worth waiting for.
void tell_supervisor(std::string_view state);

}  // namespace mtastsd::daemon
