#include "mtastsd/socketmap/client.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#include "mtastsd/base/unix_socket.h"
#include "mtastsd/postfix/postfix_policy.h"
#include "mtastsd/socketmap/netstring.h"

namespace mtastsd::socketmap {
namespace {

struct AddrInfoFree {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

// None, and errno says why.
Fd connect_to(int family, const sockaddr* address, socklen_t size, Seconds limit) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) {
    return fd;
  }
  const timeval step{limit.count(), 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &step, sizeof(step));
  if (::connect(fd.get(), address, size) != 0) {
    fd.reset();
  }
  return fd;
}

Result<Fd, std::string> connect_unix(const std::string& path, Seconds limit) {
  const auto address = UnixAddress::of(path);
  if (!address) {
    return failure(path + ": the path of a unix socket has 1 to " + std::to_string(kMaxUnixPath) +
                   " bytes");
  }
  return connect_to(AF_UNIX, address->get(), address->size, limit);
}

Result<Fd, std::string> connect_inet(const config::ListenAddress& server, Seconds limit) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int rc =
          getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &found);
      rc != 0) {
    return failure("host \"" + server.host + "\": " + gai_strerror(rc));
  }
  const std::unique_ptr<addrinfo, AddrInfoFree> list(found);
  Fd fd;
  for (const addrinfo* one = found; one != nullptr && !fd; one = one->ai_next) {
    fd = connect_to(one->ai_family, one->ai_addr, one->ai_addrlen, limit);
  }
  return fd;
}

}  // namespace

Result<Client, std::string> Client::connect(const config::ListenAddress& server, Seconds limit) {
  auto fd = server.kind == config::ListenAddress::Kind::Unix ? connect_unix(server.path, limit)
                                                             : connect_inet(server, limit);
  if (!fd) {
    return failure(std::move(fd.error()));
  }
  if (!*fd) {
    return failure("no answer at " + server.str() + ": " + std::strerror(errno) +
                   ": is mtastsd running and listening there?");
  }
  return Client(std::move(*fd), limit);
}

Result<void, std::string> Client::send(std::string_view map, std::string_view key) {
  std::string request;
  socketmap::append_netstring(request, std::string(map) + " " + std::string(key));
  if (!send_all(fd_, request)) {
    return failure(std::string("cannot send the request: ") + std::strerror(errno));
  }
  return {};
}

bool Client::reply_ready() const {
  const auto rest = std::string_view(input_).substr(at_);
  return socketmap::read_netstring(rest, postfix::kMaxReplyBytes).status ==
         socketmap::NetstringStatus::Complete;
}

Result<std::string, std::string> Client::receive(const std::function<void()>& tick) {
  std::array<char, 16384> buffer;
  while (true) {
    const auto rest = std::string_view(input_).substr(at_);
    const socketmap::Netstring read = socketmap::read_netstring(rest, postfix::kMaxReplyBytes);
    switch (read.status) {
      case socketmap::NetstringStatus::Complete: {
        std::string reply(read.payload);
        at_ += read.consumed;
        return reply;
      }
      case socketmap::NetstringStatus::Malformed:
        return failure(std::string("the reply is no netstring: is that a socketmap server?"));
      case socketmap::NetstringStatus::TooLong:
        return failure(std::string("the reply is longer than Postfix takes"));
      case socketmap::NetstringStatus::Incomplete:
        break;
    }
    if (!wait_to_read(fd_, std::chrono::steady_clock::now() + limit_, tick)) {
      return failure("no reply within " + std::to_string(limit_.count()) + " s" +
                     (limit_ < kPostfixLimit ? "" : ": Postfix would give up"));
    }
    input_.erase(0, at_);
    at_ = 0;
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got == 0) {
      return failure(std::string("the server closed the connection without a reply"));
    }
    if (got < 0) {
      return failure(std::string("cannot read the reply: ") + std::strerror(errno));
    }
    input_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace mtastsd::socketmap
