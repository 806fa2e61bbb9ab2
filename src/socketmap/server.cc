#include "mtastsd/socketmap/server.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "connection.h"

namespace mtastsd::socketmap {
namespace {

// A connection without an event between two sweeps is closed, which is after 5 to 10 minutes.
// Postfix closes its connections after 10 idle seconds.
constexpr Milliseconds kSweepInterval{300000};

}  // namespace

Server::Server(event::Loop& loop, RequestHandler& handler, ServerCounters& counters,
               std::atomic<std::size_t>& open_connections, std::size_t max_connections)
    : loop_(loop),
      handler_(handler),
      counters_(counters),
      open_connections_(open_connections),
      max_connections_(max_connections),
      sweep_timer_(loop.make_timer([this] { sweep(); })) {}

Server::~Server() {
  open_connections_ -= connections_.size();
}

void Server::add(int fd) {
  if (draining_ || (open_connections_ >= max_connections_ && !close_longest_idle())) {
    counters_.refused.add();
    ::close(fd);
    return;
  }
  counters_.connections.add();
  ++open_connections_;
  ++activity_;
  const std::uint64_t id = next_id_++;
  connections_.emplace(id, std::make_unique<Connection>(*this, id, fd));
  if (!sweep_timer_->armed()) {
    sweep_mark_ = activity_;
    sweep_timer_->arm(kSweepInterval);
  }
}

void Server::reply(const Ticket& ticket, std::string_view text) {
  if (const auto it = connections_.find(ticket.connection); it != connections_.end()) {
    it->second->reply(ticket.request, text);
  }
}

void Server::close(std::uint64_t id) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) {
    return;
  }
  output_.clear();
  connections_.erase(it);
  --open_connections_;
  if (draining_ && connections_.empty() && drained_) {
    loop_.post(std::exchange(drained_, nullptr));
  }
}

bool Server::close_longest_idle() {
  const Connection* longest = nullptr;
  for (const auto& [id, connection] : connections_) {
    if (connection->idle() &&
        (longest == nullptr || connection->last_activity() < longest->last_activity())) {
      longest = connection.get();
    }
  }
  if (longest == nullptr) {
    return false;
  }
  close(longest->id());
  return true;
}

void Server::sweep() {
  std::vector<std::uint64_t> silent;
  for (const auto& [id, connection] : connections_) {
    // No client that we know sends half a request and then waits for minutes.
    if (connection->last_activity() <= sweep_mark_ && !connection->waiting()) {
      silent.push_back(id);
    }
  }
  for (const std::uint64_t id : silent) {
    close(id);
  }
  sweep_mark_ = activity_;
  if (!connections_.empty()) {
    sweep_timer_->arm(kSweepInterval);
  }
}

void Server::drain(std::function<void()> done) {
  draining_ = true;
  drained_ = std::move(done);
  std::vector<std::uint64_t> ids;
  ids.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) {
    ids.push_back(id);
  }
  for (const std::uint64_t id : ids) {
    connections_.at(id)->drain();
  }
  if (connections_.empty() && drained_) {
    loop_.post(std::exchange(drained_, nullptr));
  }
}

}  // namespace mtastsd::socketmap
