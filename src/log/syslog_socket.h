#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "mtastsd/log/events.h"

namespace mtastsd {

// The local syslog daemon's datagram socket. syslog(3) does not say whether a line was taken, so
// this speaks to the socket itself. Used by one thread. A send waits as long as the syslog daemon
// takes nothing.
class SyslogSocket {
 public:
  explicit SyslogSocket(std::string path) : path_(std::move(path)) {}
  SyslogSocket(const SyslogSocket&) = delete;
  SyslogSocket& operator=(const SyslogSocket&) = delete;
  ~SyslogSocket() { disconnect(); }

  // Sends a line with the priority of its level in facility mail. False if nobody took it.
  bool send(std::chrono::system_clock::time_point time, LogLevel level, std::string_view line);

 private:
  bool connect();
  void disconnect();

  std::string path_;
  int fd_ = -1;
};

}  // namespace mtastsd
