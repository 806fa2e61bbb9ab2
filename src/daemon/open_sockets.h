#pragma once

#include <memory>
#include <string>
#include <vector>

#include "activation.h"
#include "listener.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/base/result.h"
#include "mtastsd/config/config.h"

namespace mtastsd::daemon {

// All that the daemon listens on. It is opened first, because that can need privileges which the
// daemon then drops. So is the socket of the process that runs the command in [alarm].
struct OpenSockets {
  std::vector<std::unique_ptr<Listener>> socketmap;
  std::vector<std::unique_ptr<Listener>> http;  // empty: there are no pages
  std::vector<std::string> http_problems;       // a sentence for each that could not be opened
  std::unique_ptr<Listener> control;            // null: there is none
  std::string control_path;                     // of the control socket, or of the one that failed
  std::string control_problem;                  // why there is none, although one was asked for
  std::vector<PassedSocket> unused;             // those in no listen
  std::vector<std::string> unusable;            // as in PassedSockets
  Fd alarm_runner;                              // none: there is no command
};

// Opens the addresses in listen of [socketmap] and [http], where `passed` has no socket for them,
// and the control socket, which belongs to `user`. A socket in `passed` that `listen` does not name
// is used if `listen` is the default. The error is one sentence.
Result<OpenSockets, std::string> open_sockets(const config::Config& config, PassedSockets passed,
                                              const std::string& user);

}  // namespace mtastsd::daemon
