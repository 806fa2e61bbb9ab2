#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "mtastsd/event/loop.h"
#include "mtastsd/socketmap/server.h"

namespace mtastsd::socketmap {

// One client. Owned by its Server, which destroys it on close().
class Connection {
 public:
  Connection(Server& server, std::uint64_t id, int fd);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void reply(std::uint64_t request, std::string_view text);
  void drain();

  // Nothing asked for, nothing half read, nothing to write.
  bool idle() const { return waiting_.empty() && input_.empty() && output_.empty(); }
  bool waiting() const { return !waiting_.empty(); }  // for a reply of ours
  std::uint64_t last_activity() const { return last_activity_; }
  std::uint64_t id() const { return id_; }

 private:
  // A request that was not answered at once, or one behind such a request.
  struct Slot {
    bool answered = false;
    std::string reply;
  };

  void on_ready(event::Interest ready);
  bool read_some();
  bool process(std::string_view bytes);
  bool process_while_welcome(std::string_view& bytes);
  void take_request(std::string_view request);
  bool flush();
  bool resume();
  void update_interest();
  bool may_read() const;

  Server& server_;
  const std::uint64_t id_;
  const int fd_;
  std::uint64_t last_activity_ = 0;
  std::uint64_t first_waiting_ = 0;  // number of the request in waiting_.front()
  bool stopping_ = false;            // reads no more
  std::deque<Slot> waiting_;
  std::string input_;   // read, not processed yet
  std::string output_;  // framed, not written yet
  event::Interest interest_ = event::Interest::Read;
  std::unique_ptr<event::FdWatch> watch_;  // depends-on: fd_
};

}  // namespace mtastsd::socketmap
