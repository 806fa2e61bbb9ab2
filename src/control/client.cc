#include "mtastsd/control/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "mtastsd/control/server.h"

namespace mtastsd::control {
namespace {

// A refresh waits for DNS and for the policy host, a minute for each at most, and for its turn.
constexpr std::chrono::seconds kPatience{180};
constexpr int kTickMilliseconds = 100;

Client::Error broken(std::string message) {
  return {Client::Problem::Broken, std::move(message)};
}

}  // namespace

Result<Client, Client::Error> Client::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return failure(broken(path + ": the path is longer than a unix socket's may be"));
  }
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return failure(broken(std::string("no socket: ") + std::strerror(errno)));
  }
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return Client(fd);
  }
  const int why = errno;
  ::close(fd);
  const std::string reason = path + ": " + std::strerror(why);
  if (why == EACCES || why == EPERM) {
    return failure(Error{Problem::Forbidden, reason});
  }
  return failure(Error{Problem::NotRunning, reason});
}

Client::Client(Client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), input_(std::move(other.input_)) {}

Client::~Client() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

Result<std::string, Client::Error> Client::ask(std::string_view line,
                                               const std::function<void()>& tick) {
  const std::string message = std::string(line) + "\n";
  for (std::string_view rest = message; !rest.empty();) {
    const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return failure(
          broken("mtastsd closed the connection: it may be stopping, or have too many "
                 "of them"));
    }
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::array<char, 65536> bytes;
  while (true) {
    if (const std::size_t end = input_.find('\n'); end != std::string::npos) {
      std::string reply = input_.substr(0, end);
      input_.erase(0, end + 1);
      return reply;
    }
    if (input_.size() > kMaxLineBytes) {
      return failure(broken("the reply is no line: is that mtastsd?"));
    }
    pollfd watch{fd_, POLLIN, 0};
    if (::poll(&watch, 1, kTickMilliseconds) <= 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        return failure(broken("mtastsd gave no reply within 180 s"));
      }
      if (tick) {
        tick();
      }
      continue;
    }
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (got <= 0) {
      return failure(
          broken("mtastsd closed the connection: it may be stopping, or have too many "
                 "of them"));
    }
    input_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace mtastsd::control
