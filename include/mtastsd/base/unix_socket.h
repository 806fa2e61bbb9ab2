#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <optional>
#include <string_view>

#include "mtastsd/base/fd.h"

namespace mtastsd {

inline constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

// The address of a unix socket, for bind(2), connect(2) and sendto(2).
struct UnixAddress {
  sockaddr_un address{};
  socklen_t size = 0;

  // A path that begins with a zero byte is a name in the abstract namespace (unix(7)). nullopt for
  // an empty path, and for one longer than kMaxUnixPath.
  static std::optional<UnixAddress> of(std::string_view path);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// A close-on-exec socket connected to the path, or none, and errno says why (ENAMETOOLONG: the path
// fits no address). `type` is SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK if wanted.
Fd connect_unix(std::string_view path, int type);

}  // namespace mtastsd
