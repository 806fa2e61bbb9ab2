// The protocol of sd_listen_fds(3), by hand: see supervisor.cc.

#include "activation.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

namespace mtastsd::daemon {
namespace {

constexpr int kFirst = 3;
constexpr int kMostSockets = 64;

// The number in an environment variable, which is removed.
std::optional<long> take_number(const char* variable) {
  const char* value = std::getenv(variable);
  const std::string_view text = value == nullptr ? std::string_view() : value;
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = !text.empty() && error == std::errc() && end == text.data() + text.size();
  ::unsetenv(variable);
  return good ? std::optional(number) : std::nullopt;
}

// The names in LISTEN_FDNAMES, which is removed.
std::vector<std::string> take_labels() {
  std::vector<std::string> labels;
  if (const char* value = std::getenv("LISTEN_FDNAMES")) {
    for (std::string_view rest = value; labels.size() < kMostSockets;) {
      const std::size_t colon = rest.find(':');
      labels.emplace_back(rest.substr(0, colon));
      if (colon == std::string_view::npos) {
        break;
      }
      rest.remove_prefix(colon + 1);
    }
  }
  ::unsetenv("LISTEN_FDNAMES");
  return labels;
}

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// What is wrong with it; empty if it can be used.
std::string complaint(int fd) {
  if (::fcntl(fd, F_GETFD) < 0) {
    return "is not open";
  }
  const int domain = option(fd, SO_DOMAIN);
  if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) {
    return "is not a socket of IPv4, IPv6 or unix";
  }
  if (option(fd, SO_TYPE) != SOCK_STREAM) {
    return "is not a stream socket (ListenStream=)";
  }
  return option(fd, SO_ACCEPTCONN) == 1 ? "" : "does not listen (Accept= must be no)";
}

bool make_usable(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

}  // namespace

std::string bound_name(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return "?";
  }
  if (address.ss_family == AF_UNIX) {
    const auto& local = reinterpret_cast<const sockaddr_un&>(address);
    const std::string_view path(local.sun_path, size - offsetof(sockaddr_un, sun_path));
    return "unix:" + std::string(path.substr(0, path.find('\0')));
  }
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
  const std::string text = host;
  return "inet:" + (address.ss_family == AF_INET6 ? "[" + text + "]" : text) + ":" + port;
}

PassedSockets take_passed_sockets() {
  const auto pid = take_number("LISTEN_PID");
  const auto count = take_number("LISTEN_FDS");
  std::vector<std::string> labels = take_labels();
  PassedSockets passed;
  if (!pid || !count || *pid != ::getpid() || *count < 1) {
    return passed;
  }
  const int end = kFirst + static_cast<int>(std::min<long>(*count, kMostSockets));
  labels.resize(kMostSockets);
  for (int number = kFirst; number < end; ++number) {
    if (const std::string wrong = complaint(number); !wrong.empty()) {
      passed.unusable.push_back("descriptor " + std::to_string(number) + " " + wrong);
      Fd closed(number);
      continue;
    }
    Fd fd(number);
    if (make_usable(number)) {
      std::string name = bound_name(number);
      passed.sockets.push_back({std::move(fd), std::move(name),
                                std::move(labels[static_cast<std::size_t>(number - kFirst)])});
    }
  }
  return passed;
}

}  // namespace mtastsd::daemon
