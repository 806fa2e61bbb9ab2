#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "mtastsd/config/config.h"

namespace mtastsd::daemon::test {

inline sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

// A socket connected to the listener at `path`, or -1. The caller closes it.
inline int connect_to(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = unix_address(path);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

inline config::ListenAddress unix_listen(const std::string& path) {
  config::ListenAddress address;
  address.kind = config::ListenAddress::Kind::Unix;
  address.path = path;
  return address;
}

}  // namespace mtastsd::daemon::test
