#include "connection.h"

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <iterator>
#include <utility>

#include "mtastsd/socketmap/netstring.h"

namespace mtastsd::socketmap {
namespace {

// What one turn of the loop reads, so that a client that pipelines does not hold up the others.
constexpr std::size_t kReadSize = 4 * 1024;
constexpr std::size_t kMaxWaiting = 16;          // pipelined requests without a reply
constexpr std::size_t kMaxReplies = 256 * 1024;  // bytes of unsent replies before reading stops
// What a request without a reply costs here, in the answerer and in the resolver, roughly.
constexpr std::size_t kWaitingCost = 512;

}  // namespace

Connection::Connection(Server& server, std::uint64_t id, int fd, std::optional<uid_t> user)
    : server_(server),
      id_(id),
      fd_(fd),
      user_(user),
      opened_(server.activity_),
      last_activity_(opened_),
      order_(&server.idle_),
      place_(order_->insert(order_->end(), this)) {
  watch_ = server_.loop_.watch(fd, event::Interest::Read,
                               [this](event::Interest ready) { on_ready(ready); });
}

Connection::~Connection() {
  server_.held_ -= held_;
  order_->erase(place_);
}

void Connection::on_ready(event::Interest ready) {
  last_activity_ = ++server_.activity_;
  if (event::wants_write(ready) && !(flush() && resume())) {
    server_.close(id_);  // Nothing may follow: it destroys *this.
    return;
  }
  if (event::wants_read(ready) && may_read() && !read_some()) {
    server_.close(id_);  // Nothing may follow: it destroys *this.
    return;
  }
  settle();  // Nothing may follow: it can destroy *this.
}

bool Connection::may_read() const {
  // server_.output_ belongs to this connection while its requests are processed. Otherwise it is
  // empty.
  return !stopping_ && waiting_.size() < kMaxWaiting &&
         waiting_bytes_ + output_.size() + server_.output_.size() < kMaxReplies;
}

// The functions below return false if the connection must be closed.

bool Connection::read_some() {
  std::string& buffer = server_.input_;
  buffer.resize(kReadSize);
  const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got == 0) {
    // The client may have closed only its sending side, so its requests are still answered.
    stop_reading();
    return !idle();
  }
  if (got < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  const std::string_view fresh(buffer.data(), static_cast<std::size_t>(got));
  if (input_.empty()) {
    return process(fresh);
  }
  std::string joined = std::exchange(input_, {});
  joined.append(fresh);
  return process(joined);
}

bool Connection::process(std::string_view bytes) {
  while (true) {
    if (!process_requests(bytes)) {
      flush();  // the requests before the malformed bytes get their replies
      return false;
    }
    const bool held_back = !may_read();
    if (!flush()) {
      return false;
    }
    if (!held_back || !may_read()) {
      input_.assign(bytes);
      half_read_ = !held_back && !bytes.empty();
      return true;
    }
    // Everything was written at once, so no event will come to continue.
  }
}

// Processes whole requests and removes them from `bytes`, until none is left or a bound is reached.
// Returns false at bytes that are not a request.
bool Connection::process_requests(std::string_view& bytes) {
  while (!bytes.empty() && may_read()) {
    const Netstring next = read_netstring(bytes, kMaxRequestBytes);
    if (next.status == NetstringStatus::Incomplete) {
      return true;
    }
    if (next.status != NetstringStatus::Complete) {
      server_.counters_.malformed.add();
      return false;
    }
    take_request(next.payload);
    bytes.remove_prefix(next.consumed);
  }
  return true;
}

void Connection::take_request(std::string_view request) {
  stalled_since_.reset();
  std::string& reply = server_.reply_;
  reply.clear();
  const Ticket ticket{id_, first_waiting_ + waiting_.size()};
  const bool answered = server_.handler_.handle(request, ticket, reply);
  if (answered && waiting_.empty()) {
    // The next request gets the same number, because nobody has the ticket of this one.
    append_netstring(server_.output_, reply);
    return;
  }
  waiting_.push_back(answered ? Slot{true, reply} : Slot{});
  waiting_bytes_ += waiting_.back().reply.size();
}

void Connection::reply(std::uint64_t request, std::string_view text) {
  if (request < first_waiting_ || request - first_waiting_ >= waiting_.size()) {
    return;
  }
  last_activity_ = ++server_.activity_;
  Slot& slot = waiting_[request - first_waiting_];
  slot.answered = true;
  slot.reply = text;
  waiting_bytes_ += text.size();
  while (!waiting_.empty() && waiting_.front().answered) {
    append_netstring(server_.output_, waiting_.front().reply);
    waiting_bytes_ -= waiting_.front().reply.size();
    waiting_.pop_front();
    ++first_waiting_;
  }
  if (!(flush() && resume())) {
    server_.close(id_);  // Nothing may follow: it destroys *this.
    return;
  }
  settle();  // Nothing may follow: it can destroy *this.
}

// Processes what was read before reading had to stop.
bool Connection::resume() {
  if (input_.empty() || !may_read()) {
    return !(stopping_ && idle());
  }
  const std::string rest = std::exchange(input_, {});
  return process(rest);
}

bool Connection::flush() {
  std::string& fresh = server_.output_;
  if (!output_.empty()) {
    output_ += fresh;
    fresh.clear();
  }
  const std::string_view bytes = output_.empty() ? fresh : output_;
  if (bytes.empty()) {
    return true;
  }
  const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    fresh.clear();
    return false;
  }
  const auto written = static_cast<std::size_t>(sent < 0 ? 0 : sent);
  if (output_.empty()) {
    output_.assign(fresh, written);
    fresh.clear();
    if (fresh.capacity() > 2 * kMaxReplies) {
      fresh.shrink_to_fit();
    }
    return true;
  }
  if (written == output_.size()) {
    output_ = {};  // with its memory
  } else {
    output_.erase(0, written);
  }
  if (written > 0 && !half_read_) {
    stalled_since_.reset();
  }
  return true;
}

void Connection::drain() {
  draining_ = true;
  settle();  // Nothing may follow: it can destroy *this.
}

void Connection::end_reading() {
  stop_reading();
  settle();  // Nothing may follow: it can destroy *this.
}

void Connection::stop_reading() {
  stopping_ = true;
  half_read_ = false;
  input_ = {};
}

// True if nothing more is to come from a connection that drains.
bool Connection::drained() const {
  if (!idle()) {
    return false;
  }
  if (stopping_) {
    return true;
  }
  char next = 0;
  return last_activity_ != opened_ &&
         ::recv(fd_.get(), &next, sizeof(next), MSG_PEEK | MSG_DONTWAIT) <= 0;
}

// Brings up to date what depends on the state, at the end of every event.
void Connection::settle() {
  if (draining_ && drained()) {
    server_.close(id_);  // Nothing may follow: it destroys *this.
    return;
  }
  update_interest();
  update_held();
  update_order();
  if (server_.held_ > server_.limits_.held_bytes) {
    server_.close_greediest();  // Nothing may follow: it can destroy *this.
  }
}

void Connection::update_interest() {
  const unsigned wanted = (may_read() ? static_cast<unsigned>(event::Interest::Read) : 0U) |
                          (output_.empty() ? 0U : static_cast<unsigned>(event::Interest::Write));
  const auto interest = static_cast<event::Interest>(wanted);
  if (interest != interest_) {
    interest_ = interest;
    watch_->set(interest);
  }
}

void Connection::update_held() {
  const std::size_t now =
      input_.size() + output_.size() + waiting_bytes_ + waiting_.size() * kWaitingCost;
  server_.held_ += now - held_;
  held_ = now;
}

void Connection::update_order() {
  Server::Order* order = idle() ? &server_.idle_ : &server_.busy_;
  if (!half_read_ && output_.empty()) {
    stalled_since_.reset();
  } else if (!stalled_since_) {
    stalled_since_ = std::chrono::steady_clock::now();
    order = &server_.stalled_;
    server_.watch_stalled();
  } else {
    return;  // It keeps its place among those that stall.
  }
  if (order != order_ || std::next(place_) != order->end()) {
    order->splice(order->end(), *order_, place_);
    order_ = order;
  }
}

}  // namespace mtastsd::socketmap
