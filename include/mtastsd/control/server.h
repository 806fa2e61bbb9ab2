#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mtastsd/event/loop.h"

namespace mtastsd::control {

// One message: a JSON object in one line. Holds a policy of 64 KiB, however much of it is escaped.
inline constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxConnections = 16;

// The connections of the control socket, by which the operator's tool asks the daemon: lines in,
// lines out, one request at a time for each connection. Who may connect is the socket file's mode.
// Belongs to the thread of its loop.
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
