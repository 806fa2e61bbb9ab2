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
  Counter refused;      // over max_connections
  Counter malformed;    // connections dropped for what is no netstring
};

// Names one request whose reply comes later. A value: it may outlive the connection.
struct Ticket {
  std::uint64_t connection = 0;
  std::uint64_t request = 0;
};

// What answers requests. Called on the server's thread.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Puts the reply (without its frame) into `reply`, which comes in empty, and returns true; or
  // returns false, and the reply follows by Server::reply().
  virtual bool handle(std::string_view request, const Ticket& ticket, std::string& reply) = 0;
};

// Well above what Postfix sends (from 3.12 at most 10,000 bytes of key).
inline constexpr std::size_t kMaxRequestBytes = 64 * 1024;

class Connection;

// The connections of one answering thread: netstrings in, netstrings out, in order. Postfix has
// one request in flight and closes after 10 s of silence; a client may pipeline, up to a bound
// behind which it is not read from. Idle connections hold no buffers.
class Server {
 public:
  // `open_connections` is shared by all servers of the daemon.
  Server(event::Loop& loop, RequestHandler& handler, ServerCounters& counters,
         std::atomic<std::size_t>& open_connections, std::size_t max_connections);
  ~Server();  // closes all connections
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Takes over an accepted, non-blocking socket. Over max_connections the connection that has
  // been silent longest is closed for it (its client comes back by itself), else the new one.
  void add(int fd);

  // The reply to a request that handle() returned false for. Does nothing if its connection is
  // gone.
  void reply(const Ticket& ticket, std::string_view text);

  // Reads no more requests and closes each connection once its replies are written; calls `done`
  // when none is left.
  void drain(std::function<void()> done);

  // Closes the connection that has been silent longest, if one is idle: whether there was one.
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
  std::uint64_t activity_ = 0;  // grows with every event: orders connections by silence
  std::uint64_t sweep_mark_ = 0;
  bool draining_ = false;
  std::function<void()> drained_;
  std::string input_;   // where a read goes first
  std::string output_;  // replies of one read, written in one go
  std::string reply_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::unique_ptr<event::Timer> sweep_timer_;
};

}  // namespace mtastsd::socketmap
