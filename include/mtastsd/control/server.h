#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mtastsd/event/loop.h"

namespace mtastsd::control {

inline constexpr std::size_t kMaxConnections = 16;

// The connections of the control socket: lines in (at most kMaxLineBytes each), lines out, one
// request at a time for each connection. The mode of the socket file says who may connect. Belongs
// to the thread of its loop.
class Server {
 public:
  // Gets a line without its end. The reply follows by reply(), now or later.
  using Handler = std::function<void(std::string_view line, std::uint64_t connection)>;

  Server(event::Loop& loop, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Takes over an accepted, non-blocking socket; closes it when there are too many.
  void add(int fd);

  // Whom the kernel says that the peer is; none: the connection is gone, or it says nothing.
  std::optional<uid_t> user_of(std::uint64_t connection) const;

  // Does nothing if the connection is gone. `line` has no line end in it.
  void reply(std::uint64_t connection, std::string_view line);

  std::size_t connections() const { return connections_.size(); }

 private:
  class Connection;

  void close(std::uint64_t id);

  event::Loop& loop_;
  Handler handler_;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
};

}  // namespace mtastsd::control
