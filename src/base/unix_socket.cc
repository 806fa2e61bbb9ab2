#include "mtastsd/base/unix_socket.h"

#include <cerrno>

namespace mtastsd {

std::optional<UnixAddress> UnixAddress::of(std::string_view path) {
  if (path.empty() || path.size() > kMaxUnixPath) {
    return std::nullopt;
  }
  UnixAddress result;
  result.address.sun_family = AF_UNIX;
  path.copy(result.address.sun_path, path.size());
  result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return result;
}

Fd connect_unix(std::string_view path, int type) {
  const auto address = UnixAddress::of(path);
  if (!address) {
    errno = path.empty() ? ENOENT : ENAMETOOLONG;
    return Fd();
  }
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (fd && ::connect(fd.get(), address->get(), address->size) != 0) {
    fd.reset();
  }
  return fd;
}

}  // namespace mtastsd
