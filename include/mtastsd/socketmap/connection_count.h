#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>

namespace mtastsd::socketmap {

// The user at the other end of a unix socket (SO_PEERCRED). nullopt: the socket is of another kind.
std::optional<uid_t> peer_user(int fd);

// Counts the connections of all servers of the daemon, and says who may have one more. All have
// max_connections together. One user may have half of them on unix sockets, which say who connects.
// Any thread may use it.
class ConnectionCount {
 public:
  explicit ConnectionCount(std::size_t most) : most_(most) {}

  enum class Entry { Entered, Full, OverShare };
  // Counts one more, if that is allowed. `user` as peer_user() says.
  Entry enter(std::optional<uid_t> user);
  // One that had entered was closed.
  void leave(std::optional<uid_t> user);

  std::size_t open() const;
  std::size_t most() const { return most_; }

 private:
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::size_t open_ = 0;                  // guarded by mutex_
  std::map<uid_t, std::size_t> by_user_;  // guarded by mutex_
};

}  // namespace mtastsd::socketmap
