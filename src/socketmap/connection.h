#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/socketmap/server.h"

namespace mtastsd::socketmap {

// The connection of one client. Its Server owns it and destroys it in close().
class Connection {
 public:
  // `user`: who the client is, if its socket says so.
  Connection(Server& server, std::uint64_t id, int fd, std::optional<uid_t> user);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void reply(std::uint64_t request, std::string_view text);
  // Closes it once it has answered what its client has sent, or the first request of a client that
  // has sent nothing yet.
  void drain();
  // Reads no more, and closes it once what was read is answered.
  void end_reading();

  // True if no request waits for its reply, none is half read, and nothing is left to write.
  bool idle() const { return waiting_.empty() && input_.empty() && output_.empty(); }
  // True if the client waits for a reply.
  bool waiting() const { return !waiting_.empty(); }
  std::uint64_t last_activity() const { return last_activity_; }
  std::uint64_t id() const { return id_; }
  std::optional<uid_t> user() const { return user_; }
  // Only for a connection that is stalled.
  SteadyTime stalled_since() const { return *stalled_since_; }
  // The bytes that wait here, and what requests without a reply cost elsewhere.
  std::size_t held() const { return held_; }

 private:
  // A request that was not answered at once, or that came after such a request.
  struct Slot {
    bool answered = false;
    std::string reply;
  };

  void on_ready(event::Interest ready);
  bool read_some();
  bool process(std::string_view bytes);
  bool process_requests(std::string_view& bytes);
  void take_request(std::string_view request);
  bool flush();
  bool resume();
  void stop_reading();
  bool drained() const;
  void settle();
  void update_interest();
  void update_held();
  void update_order();
  bool may_read() const;

  Server& server_;
  const std::uint64_t id_;
  const Fd fd_;
  const std::optional<uid_t> user_;
  const std::uint64_t opened_;  // last_activity_ of a connection without an event
  std::uint64_t last_activity_ = 0;
  std::uint64_t first_waiting_ = 0;  // number of the request in waiting_.front()
  bool stopping_ = false;            // no more requests are read
  bool draining_ = false;
  bool half_read_ = false;  // the client owes the rest of a request
  std::optional<SteadyTime> stalled_since_;
  std::size_t held_ = 0;           // as counted in server_.held_
  std::size_t waiting_bytes_ = 0;  // of the replies in waiting_
  std::deque<Slot> waiting_;
  std::string input_;   // read but not yet processed
  std::string output_;  // framed but not yet written
  event::Interest interest_ = event::Interest::Read;
  Server::Order* order_ = nullptr;         // the list that this connection is in
  Server::Order::iterator place_;          // in *order_
  std::unique_ptr<event::FdWatch> watch_;  // depends-on: fd_
};

}  // namespace mtastsd::socketmap
