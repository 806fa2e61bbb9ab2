#pragma once

#include <string>

#include "mtastsd/base/result.h"
#include "mtastsd/control/client.h"
#include "settings.h"

namespace mtastsd::ctl {

// Connects to the control socket of the running daemon. Error::Problem::NoDaemon: there is none,
// or it has no control socket. The message is one sentence with what to do.
Result<control::Client, control::Error> connect_to_daemon(const Settings& settings);

// The sentence to end with where only a running daemon will do: `what` ("a refresh") needs it.
std::string daemon_needed(const control::Error& error, const std::string& what);

}  // namespace mtastsd::ctl
