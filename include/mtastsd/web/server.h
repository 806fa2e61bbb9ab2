#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/web/replies.h"
#include "mtastsd/web/request.h"
#include "mtastsd/web/response.h"

namespace mtastsd::web {

// Bounds that tests make smaller.
struct ServerLimits {
  std::size_t connections = 64;
  Milliseconds request{10000};                     // from the connection to the end of its request
  Milliseconds exchange{120000};                   // from there to the last byte of the response
  std::size_t held_bytes = std::size_t{16} << 20;  // of responses that wait to be taken, in all
};

// The connections of the pages: HTTP/1.1 with one request for each connection, GET or HEAD without
// a body. Belongs to the thread of its loop.
//
// libevent's evhttp is not used: version 2.1 bounds neither its connections nor the time of a
// request that comes byte by byte, and leaves no way to do so from outside.
//
// When there is no room for a new connection, it takes the place of the oldest that has not sent
// its request, or has its response. If all are being answered, the new one is closed.
class Server final : public Replies {
 public:
  // The response follows by reply(), or by begin() and so on, now or later.
  using Handler = std::function<void(const Request& request, Id connection)>;

  Server(event::Loop& loop, Handler handler, ServerLimits limits = {});
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Takes over an accepted, non-blocking socket.
  void add(int fd);

  // Nothing but the head goes to a HEAD.
  void reply(Id connection, const Response& response) override;
  void begin(Id connection, const Response& response) override;
  void more(Id connection, std::string_view part) override;
  void end(Id connection) override;
  bool is_open(Id connection) const override { return connections_.contains(connection); }

  std::size_t connections() const { return connections_.size(); }

 private:
  class Connection;

  bool make_room();
  void close(Id id);

  event::Loop& loop_;
  const Handler handler_;
  const ServerLimits limits_;
  std::size_t held_ = 0;
  Id next_id_ = 1;
  std::map<Id, std::unique_ptr<Connection>> connections_;  // the oldest first
};

}  // namespace mtastsd::web
