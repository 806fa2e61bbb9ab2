#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "mtastsd/base/fd.h"
#include "mtastsd/log/events.h"

namespace mtastsd {

// The local syslog daemon's datagram socket. syslog(3) does not say whether a line was taken, so
// this speaks to the socket itself. Used by one thread. A send waits as long as the syslog daemon
// takes nothing.
class SyslogSocket {
 public:
  explicit SyslogSocket(std::string path) : path_(std::move(path)) {}

  // Sends a line with the priority of its level in facility mail. False if nobody took it.
  bool send(std::chrono::system_clock::time_point time, LogLevel level, std::string_view line);

 private:
  std::string path_;
  Fd fd_;
};

}  // namespace mtastsd
