#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "mtastsd/base/fd.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/socketmap/server.h"

namespace mtastsd::socketmap {

// The connection of one client. Its Server owns it and destroys it in close().
class Connection {
 public:
  Connection(Server& server, std::uint64_t id, int fd);

  void reply(std::uint64_t request, std::string_view text);
  void drain();

  // True if no request waits for its reply, none is half read, and nothing is left to write.
  bool idle() const { return waiting_.empty() && input_.empty() && output_.empty(); }
  // True if the client waits for a reply.
  bool waiting() const { return !waiting_.empty(); }
  std::uint64_t last_activity() const { return last_activity_; }
  std::uint64_t id() const { return id_; }

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
  void update_interest();
  bool may_read() const;

  Server& server_;
  const std::uint64_t id_;
  const Fd fd_;
  std::uint64_t last_activity_ = 0;
  std::uint64_t first_waiting_ = 0;  // number of the request in waiting_.front()
  bool stopping_ = false;            // no more requests are read
  std::deque<Slot> waiting_;
  std::string input_;   // read but not yet processed
  std::string output_;  // framed but not yet written
  event::Interest interest_ = event::Interest::Read;
  std::unique_ptr<event::FdWatch> watch_;  // depends-on: fd_
};

}  // namespace mtastsd::socketmap
