#include "mtastsd/control/client.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "mtastsd/base/unix_socket.h"

namespace mtastsd::control {
namespace {

// A refresh waits for its turn, and for DNS and the policy host up to a minute each.
constexpr std::chrono::seconds kPatience{180};
constexpr std::chrono::milliseconds kTick{100};
constexpr int kBusyAttempts = 600;  // a minute

Error broken(std::string message) {
  return {Error::Problem::Broken, std::move(message)};
}

Error closed() {
  return broken("mtastsd closed the connection: it may be stopping, or have too many connections");
}

}  // namespace

Result<Client, Error> Client::connect(const std::string& path, Milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  // A connect() that blocks does so without end where the queue of the socket is full.
  Fd fd = connect_unix(path, SOCK_STREAM | SOCK_NONBLOCK);
  while (!fd && errno == EAGAIN) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return failure(broken(path + ": mtastsd does not accept connections"));
    }
    std::this_thread::sleep_for(kTick);
    fd = connect_unix(path, SOCK_STREAM | SOCK_NONBLOCK);
  }
  if (fd && ::fcntl(fd.get(), F_SETFL, 0) == 0) {
    return Client(std::move(fd));
  }
  const std::string reason = path + ": " + std::strerror(errno);
  switch (errno) {
    case ENAMETOOLONG:
      return failure(broken(path + ": the path is too long for a unix socket"));
    case EACCES:
    case EPERM:
      return failure(Error{Error::Problem::Forbidden, reason});
    default:
      return failure(Error{Error::Problem::NoDaemon, reason});
  }
}

Reply Client::exchange(const Request& request, const std::function<void()>& tick) {
  const std::string line = encode(request) + "\n";
  for (int attempt = 0; attempt < kBusyAttempts; ++attempt) {
    const auto reply_line = exchange_lines(line, tick);
    if (!reply_line) {
      return failure(reply_line.error());
    }
    Reply reply = decode_reply(*reply_line);
    if (reply || reply.error().problem != Error::Problem::Busy) {
      return reply;
    }
    std::this_thread::sleep_for(kTick);
    if (tick) {
      tick();
    }
  }
  return failure(Error{Error::Problem::Busy,
                       "mtastsd has been busy for a minute: its log says what keeps it"});
}

Result<std::string, Error> Client::exchange_lines(const std::string& line,
                                                  const std::function<void()>& tick) {
  if (!send_all(fd_, line)) {
    return failure(closed());
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::array<char, 65536> bytes;
  for (std::size_t searched = 0;;) {
    if (const std::size_t end = input_.find('\n', searched); end != std::string::npos) {
      std::string reply = input_.substr(0, end);
      input_.erase(0, end + 1);
      return reply;
    }
    searched = input_.size();
    if (input_.size() > kMaxLineBytes) {
      return failure(broken("the reply is too long: is that mtastsd?"));
    }
    if (!wait_to_read(fd_, deadline, tick)) {
      return failure(broken("mtastsd did not reply within 180 seconds"));
    }
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) {
      return failure(closed());
    }
    input_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace mtastsd::control
