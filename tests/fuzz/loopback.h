#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "fuzz/require.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/base/ip_address.h"

namespace mtastsd::fuzz {

// A listener on all addresses of this host.
class Listener {
 public:
  explicit Listener(int flags = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    require(::bind(socket_.get(), generic, size) == 0 && ::listen(socket_.get(), 1) == 0 &&
                ::getsockname(socket_.get(), generic, &size) == 0,
            "a listener");
    port_ = ntohs(address.sin_port);
  }

  int fd() const { return socket_.get(); }
  std::uint16_t port() const { return port_; }
  Fd accept(int flags = 0) const {
    return Fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | flags));
  }

 private:
  Fd socket_;
  std::uint16_t port_ = 0;
};

// Where to connect to next: another address of this host each time, because the ports of a pair of
// addresses are used up in a minute.
inline IpAddress next_loopback() {
  static std::uint32_t number = 0;
  number = (number + 1) % 65536;
  return *IpAddress::parse("127.1." + std::to_string(number / 256) + "." +
                           std::to_string(number % 256));
}

}  // namespace mtastsd::fuzz
