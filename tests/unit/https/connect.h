#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "mtastsd/https/connection.h"

namespace mtastsd::https::test {

// What a dialer makes: a connection to a port of this host.
inline https::Connection connect_to(std::uint16_t port, const char* address = "127.0.0.1") {
  https::Connection made{Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
                         IpAddress::parse(address)};
  sockaddr_storage to{};
  const socklen_t size = made.address->to_sockaddr(port, to);
  EXPECT_NE(::connect(made.socket.get(), reinterpret_cast<const sockaddr*>(&to), size), 0);
  EXPECT_EQ(errno, EINPROGRESS);
  pollfd writable{made.socket.get(), POLLOUT, 0};
  EXPECT_EQ(::poll(&writable, 1, 5000), 1);
  return made;
}

}  // namespace mtastsd::https::test
