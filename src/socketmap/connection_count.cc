#include "mtastsd/socketmap/connection_count.h"

#include <sys/socket.h>

#include <algorithm>

namespace mtastsd::socketmap {
namespace {

// Of max_connections, for one user on unix sockets.
constexpr std::size_t kShare = 2;

}  // namespace

std::optional<uid_t> peer_user(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  // For other sockets the call succeeds too, and names no user.
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid == static_cast<uid_t>(-1)) {
    return std::nullopt;
  }
  return peer.uid;
}

ConnectionCount::Entry ConnectionCount::enter(std::optional<uid_t> user) {
  const std::lock_guard lock(mutex_);
  if (open_ >= most_) {
    return Entry::Full;
  }
  if (user) {
    std::size_t& theirs = by_user_[*user];
    if (theirs >= std::max<std::size_t>(most_ / kShare, 1)) {
      return Entry::OverShare;
    }
    ++theirs;
  }
  ++open_;
  return Entry::Entered;
}

void ConnectionCount::leave(std::optional<uid_t> user) {
  const std::lock_guard lock(mutex_);
  --open_;
  if (user) {
    if (const auto it = by_user_.find(*user); --it->second == 0) {
      by_user_.erase(it);
    }
  }
}

std::size_t ConnectionCount::open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

}  // namespace mtastsd::socketmap
