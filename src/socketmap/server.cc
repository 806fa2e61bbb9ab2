#include "mtastsd/socketmap/server.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
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
               ConnectionCount& count, ServerLimits limits)
    : loop_(loop),
      handler_(handler),
      counters_(counters),
      count_(count),
      limits_(limits),
      sweep_timer_(loop.make_timer([this] { sweep(); })),
      stall_timer_(loop.make_timer([this] { close_stalled(); })),
      read_limit_(loop.make_timer([this] { for_each(&Connection::end_reading); })) {}

Server::~Server() {
  for (const auto& [id, connection] : connections_) {
    count_.leave(connection->user());
  }
}

void Server::add(int fd, std::optional<uid_t> user) {
  if (draining_ || !admit(user)) {
    counters_.refused.add();
    ::close(fd);
    return;
  }
  counters_.connections.add();
  ++activity_;
  const std::uint64_t id = next_id_++;
  connections_.emplace(id, std::make_unique<Connection>(*this, id, fd, user));
  if (!sweep_timer_->armed()) {
    sweep_mark_ = activity_;
    sweep_timer_->arm(kSweepInterval);
  }
}

bool Server::admit(std::optional<uid_t> user) {
  using Entry = ConnectionCount::Entry;
  switch (count_.enter(user)) {
    case Entry::Entered:
      return true;
    case Entry::Full:
      return make_room() && count_.enter(user) == Entry::Entered;
    case Entry::OverShare:
      return make_room_of(*user) && count_.enter(user) == Entry::Entered;
  }
  return false;
}

bool Server::make_room() {
  for (const Order* order : {&stalled_, &idle_}) {
    if (!order->empty()) {
      close(order->front()->id());
      return true;
    }
  }
  return false;
}

bool Server::make_room_of(uid_t user) {
  for (const Order* order : {&stalled_, &idle_}) {
    for (const Connection* connection : *order) {
      if (connection->user() == user) {
        close(connection->id());
        return true;
      }
    }
  }
  return false;
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
  count_.leave(it->second->user());
  connections_.erase(it);
  if (draining_ && connections_.empty() && drained_) {
    loop_.post(std::exchange(drained_, nullptr));
  }
}

// Closes more than it must, so that it is seldom needed.
void Server::close_greediest() {
  std::vector<const Connection*> all;
  for (const auto& [id, connection] : connections_) {
    all.push_back(connection.get());
  }
  std::sort(all.begin(), all.end(),
            [](const Connection* a, const Connection* b) { return a->held() > b->held(); });
  for (const Connection* connection : all) {
    if (held_ <= limits_.held_bytes / 4 * 3) {
      break;
    }
    counters_.greedy.add();
    close(connection->id());
  }
}

void Server::watch_stalled() {
  if (!stall_timer_->armed()) {
    stall_timer_->arm(limits_.stall);
  }
}

void Server::close_stalled() {
  const auto now = std::chrono::steady_clock::now();
  while (!stalled_.empty() && stalled_.front()->stalled_since() + limits_.stall <= now) {
    counters_.stalled.add();
    close(stalled_.front()->id());
  }
  if (!stalled_.empty()) {
    const auto due = stalled_.front()->stalled_since() + limits_.stall;
    stall_timer_->arm(std::chrono::ceil<Milliseconds>(due - now));
  }
}

void Server::sweep() {
  while (!idle_.empty() && idle_.front()->last_activity() <= sweep_mark_) {
    close(idle_.front()->id());
  }
  sweep_mark_ = activity_;
  if (!connections_.empty()) {
    sweep_timer_->arm(kSweepInterval);
  }
}

void Server::drain(Milliseconds read_limit, std::function<void()> done) {
  draining_ = true;
  drained_ = std::move(done);
  read_limit_->arm(read_limit);
  for_each(&Connection::drain);
  if (connections_.empty() && drained_) {
    loop_.post(std::exchange(drained_, nullptr));
  }
}

// The action may close connections.
void Server::for_each(void (Connection::*action)()) {
  std::vector<std::uint64_t> ids;
  ids.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) {
    ids.push_back(id);
  }
  for (const std::uint64_t id : ids) {
    if (const auto it = connections_.find(id); it != connections_.end()) {
      (it->second.get()->*action)();
    }
  }
}

}  // namespace mtastsd::socketmap
