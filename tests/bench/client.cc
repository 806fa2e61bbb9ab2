#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

namespace bench {
namespace {

int connect_inet(const std::string& host, unsigned port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &where.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + host);
  }
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    fail("connect");
  }
  return fd;
}

int connect_unix(const std::string& path) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (path.size() >= sizeof(where.sun_path)) {
    throw std::runtime_error("path too long: " + path);
  }
  path.copy(where.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    fail("connect " + path);
  }
  return fd;
}

}  // namespace

void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

int connect_to(const std::string& target) {
  if (target.starts_with("unix:")) {
    return connect_unix(target.substr(5));
  }
  const auto colon = target.rfind(':');
  if (!target.starts_with("inet:") || colon < 5) {
    throw std::runtime_error("no target: " + target);
  }
  return connect_inet(target.substr(5, colon - 5),
                      static_cast<unsigned>(std::stoul(target.substr(colon + 1))));
}

}  // namespace bench
