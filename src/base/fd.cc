#include "mtastsd/base/fd.h"

#include <unistd.h>

#include <cerrno>

namespace mtastsd {

void Fd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0 || old == fd) {
    return;
  }
  const int kept = errno;
  ::close(old);
  errno = kept;
}

}  // namespace mtastsd
