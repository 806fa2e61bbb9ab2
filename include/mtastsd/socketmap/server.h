#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mtastsd/base/counter.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::socketmap {

// Counted by the server's thread; any thread may read them.
struct ServerCounters {
  Counter connections;  // accepted
  Counter refused;      // closed at once, because of max_connections
  Counter malformed;    // closed because of bytes that are not a netstring
};

// Identifies a request whose reply comes later. It can outlive the connection.
struct Ticket {
  std::uint64_t connection = 0;
  std::uint64_t request = 0;
};

// Answers requests, on the server's thread.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Stores the reply, without its frame, in the empty `reply` and returns true. Or returns false,
  // and Server::reply() gives the reply later.
  virtual bool handle(std::string_view request, const Ticket& ticket, std::string& reply) = 0;
};

// Well above what Postfix sends (from 3.12 at most 10,000 bytes of key).
inline constexpr std::size_t kMaxRequestBytes = 64 * 1024;

class Connection;

// The connections of one answering thread. Requests and replies are netstrings, and replies have
// the order of the requests. Postfix has one request in flight and closes a connection after 10
// idle seconds. A client may pipeline requests; at a bound, the server stops reading from it. Idle
// connections hold no buffers.
class Server {
 public:
  // `open_connections` is shared by all servers of the daemon.
  Server(event::Loop& loop, RequestHandler& handler, ServerCounters& counters,
         std::atomic<std::size_t>& open_connections, std::size_t max_connections);
  ~Server();  // closes all connections
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Takes ownership of an accepted, non-blocking socket. If there are max_connections already,
  // closes the connection that has been idle longest, whose client reconnects by itself. If none is
  // idle, closes the new one.
  void add(int fd);

  // Sends the reply to a request for which handle() returned false. Does nothing if its connection
  // is gone.
  void reply(const Ticket& ticket, std::string_view text);

  // Stops reading requests, closes each connection when its replies are written, and calls `done`
  // when no connection is left.
  void drain(std::function<void()> done);

  // Closes the connection that has been idle longest. Returns false if none is idle.
  bool close_longest_idle();

  std::size_t connections() const { return connections_.size(); }

 private:
  friend class Connection;

  void close(std::uint64_t id);
  void sweep();

  event::Loop& loop_;
  RequestHandler& handler_;
  ServerCounters& counters_;
  std::atomic<std::size_t>& open_connections_;
  const std::size_t max_connections_;

  std::uint64_t next_id_ = 1;
  std::uint64_t activity_ = 0;  // counts events, to order the connections by their last one
  std::uint64_t sweep_mark_ = 0;
  bool draining_ = false;
  std::function<void()> drained_;
  std::string input_;   // the buffer for reads
  std::string output_;  // the replies to the requests of one read, written at once
  std::string reply_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::unique_ptr<event::Timer> sweep_timer_;
};

}  // namespace mtastsd::socketmap
