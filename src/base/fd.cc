#include "mtastsd/base/fd.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace mtastsd {

void Fd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0 || old == fd) {
    return;
  }
  const int kept = errno;
  ::close(old);
  errno = kept;
}

bool send_all(const Fd& socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool wait_to_read(const Fd& socket, SteadyTime deadline, const std::function<void()>& tick) {
  constexpr int kTickMilliseconds = 100;
  while (std::chrono::steady_clock::now() < deadline) {
    pollfd watch{socket.get(), POLLIN, 0};
    if (::poll(&watch, 1, kTickMilliseconds) > 0) {
      return true;
    }
    if (tick) {
      tick();
    }
  }
  return false;
}

}  // namespace mtastsd
