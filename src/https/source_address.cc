#include "source_address.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace mtastsd::https {

bool use_source(int socket, int family, std::span<const IpAddress> sources) {
  for (const IpAddress& source : sources) {
    sockaddr_storage from{};
    const socklen_t size = source.to_sockaddr(0, from);
    if (from.ss_family != family) {
      continue;
    }
    // The port is chosen by connect(), so that it can be in use for other destinations.
    const int on = 1;
    ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&from), size) == 0;
  }
  return true;
}

}  // namespace mtastsd::https
