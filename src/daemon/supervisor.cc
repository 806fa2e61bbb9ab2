// The protocol of sd_notify(3), a datagram, by hand: libsystemd takes a megabyte and five more
// libraries into the process.

#include "supervisor.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>
#include <string>

#include "mtastsd/base/unix_socket.h"

namespace mtastsd::daemon {
namespace {

constexpr timeval kPatience{5, 0};  // for one whose queue is full

}  // namespace

bool tell_supervisor(std::string_view state) {
  const char* variable = std::getenv("NOTIFY_SOCKET");
  const std::string_view path = variable == nullptr ? std::string_view() : variable;
  if (path.empty()) {
    return true;
  }
  std::string name(path);
  if (path.front() == '@') {
    name.front() = '\0';  // an abstract socket
  } else if (path.front() != '/') {
    return false;
  }
  const auto address = UnixAddress::of(name);
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!address || !fd) {
    return false;
  }
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  const ssize_t sent =
      ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, address->get(), address->size);
  return sent >= 0;
}

}  // namespace mtastsd::daemon
