// The protocol of sd_notify(3), a datagram, by hand: libsystemd takes a megabyte and five more
// libraries into the process.

#include "supervisor.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <system_error>

#include "mtastsd/base/unix_socket.h"

namespace mtastsd::daemon {
namespace {

constexpr timeval kPatience{5, 0};  // for one whose queue is full

std::optional<std::int64_t> number_in(const char* variable) {
  const char* value = std::getenv(variable);
  const std::string_view text = value == nullptr ? std::string_view() : value;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = !text.empty() && error == std::errc() && end == text.data() + text.size();
  return good ? std::optional(number) : std::nullopt;
}

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

std::string reloading_state() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return "RELOADING=1\nMONOTONIC_USEC=" +
         std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

std::optional<Milliseconds> watchdog_limit() {
  const auto limit = number_in("WATCHDOG_USEC");
  const auto pid = number_in("WATCHDOG_PID");
  if (!limit || *limit < 1000 || (pid && *pid != ::getpid())) {
    return std::nullopt;
  }
  return std::chrono::duration_cast<Milliseconds>(std::chrono::microseconds(*limit));
}

}  // namespace mtastsd::daemon
