#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/counter.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/socketmap/connection_count.h"

namespace mtastsd::socketmap {

// Counted by the server's thread; any thread may read them.
struct ServerCounters {
  Counter connections;  // accepted
  Counter refused;      // closed at once, because of max_connections or the share of their user
  Counter malformed;    // closed because of bytes that are not a netstring
  Counter stalled;      // closed because half a request was sent, or a reply not taken
  Counter greedy;       // closed because too many bytes waited in the server
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

// Bounds that tests make smaller.
struct ServerLimits {
  // The time for a request from its first byte to its last, and for taking replies.
  Milliseconds stall{10000};
  // All that waits here and what it costs elsewhere: half requests, requests without a reply, and
  // replies that were not taken.
  std::size_t held_bytes = std::size_t{64} << 20;
};

class Connection;

// The connections of one answering thread. Requests and replies are netstrings, and replies have
// the order of the requests. Postfix has one request in flight and closes a connection after 10
// idle seconds. A client may pipeline requests; at a bound, the server stops reading from it. Idle
// connections hold no buffers.
//
// A connection is stalled while its client has sent half a request, or does not take its replies.
// That may last for ServerLimits::stall. When there is no room for a new connection, the one that
// stalls longest is closed, or else the one that has been idle longest, whose client reconnects by
// itself. If there is neither, the new connection is closed. When more bytes wait than
// ServerLimits::held_bytes, the connections that hold most of them are closed.
class Server {
 public:
  // `count` is shared by all servers of the daemon.
  Server(event::Loop& loop, RequestHandler& handler, ServerCounters& counters,
         ConnectionCount& count, ServerLimits limits);
  ~Server();  // closes all connections
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Takes ownership of an accepted, non-blocking socket. `user` as peer_user() says.
  void add(int fd, std::optional<uid_t> user);

  // Sends the reply to a request for which handle() returned false. Does nothing if its connection
  // is gone.
  void reply(const Ticket& ticket, std::string_view text);

  // Answers what clients have sent, closes each connection when its replies are written, and calls
  // `done` when no connection is left. A client that has just connected may still send its first
  // request, and one that has sent half a request the rest of it, for `read_limit`. Call add() no
  // more.
  void drain(Milliseconds read_limit, std::function<void()> done);

  // Closes the connection that can be missed most, as described above. Returns false if there is
  // none.
  bool make_room();

  std::size_t connections() const { return connections_.size(); }

 private:
  friend class Connection;
  // In the order in which they came there; the longest there is in front.
  using Order = std::list<Connection*>;

  bool admit(std::optional<uid_t> user);
  bool make_room_of(uid_t user);
  void close(std::uint64_t id);
  void close_greediest();
  void watch_stalled();
  void close_stalled();
  void sweep();
  void for_each(void (Connection::*action)());

  event::Loop& loop_;
  RequestHandler& handler_;
  ServerCounters& counters_;
  ConnectionCount& count_;
  const ServerLimits limits_;

  std::uint64_t next_id_ = 1;
  std::uint64_t activity_ = 0;  // counts events, to order the connections by their last one
  std::uint64_t sweep_mark_ = 0;
  bool draining_ = false;
  std::function<void()> drained_;
  std::size_t held_ = 0;  // bytes that wait, of all connections
  std::string input_;     // the buffer for reads
  std::string output_;    // the replies to the requests of one read, written at once
  std::string reply_;
  // Each connection is in one of them.
  Order idle_;
  Order stalled_;
  Order busy_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::unique_ptr<event::Timer> sweep_timer_;
  std::unique_ptr<event::Timer> stall_timer_;
  std::unique_ptr<event::Timer> read_limit_;  // of drain()
};

}  // namespace mtastsd::socketmap
