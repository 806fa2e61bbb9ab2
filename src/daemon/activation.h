#pragma once

#include <string>
#include <vector>

#include "mtastsd/base/fd.h"
#include "mtastsd/config/config.h"

namespace mtastsd::daemon {

// A listening socket that the service manager opened and handed over (see sd_listen_fds(3)). It
// outlives this process, so that a restart refuses nobody.
struct PassedSocket {
  Fd fd;              // close-on-exec, non-blocking
  std::string name;   // the address that it is bound to, as in [socketmap] listen
  std::string label;  // FileDescriptorName= of its unit

  // The unit mtastsd-http.socket says so; what has no label is for Postfix.
  bool for_http() const { return label == "http"; }
};

struct PassedSockets {
  std::vector<PassedSocket> sockets;
  std::vector<std::string> unusable;  // a sentence for each that is no listening stream socket
};

// Takes over what LISTEN_FDS and LISTEN_PID announce, once: they are removed from the environment.
// Before this call, no descriptor may be opened.
PassedSockets take_passed_sockets();

// "inet:ADDRESS:PORT" or "unix:PATH", as bound: with the port that the system chose for port 0.
std::string bound_name(int fd);

}  // namespace mtastsd::daemon
