#include <arpa/inet.h>
#include <sys/socket.h>

#include "mtastsd/base/fd.h"
#include "mtastsd/discovery/discovery.h"

namespace mtastsd::discovery {
namespace {

constexpr std::chrono::minutes kLookUpAgainAfter{1};

// Nothing is sent: connecting a datagram socket only looks up a route. The address is one for
// documentation (RFC 3849).
bool look_up_route() {
  const Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(443);
  inet_pton(AF_INET6, "2001:db8::1", &address.sin6_addr);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

bool Ipv6Route::exists() {
  const SteadyTime now = clock_.steady();
  if (!checked_at_ || now - *checked_at_ > kLookUpAgainAfter) {
    exists_ = look_up_route();
    checked_at_ = now;
  }
  return exists_;
}

}  // namespace mtastsd::discovery
