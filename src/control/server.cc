#include "mtastsd/control/server.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "mtastsd/base/fd.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/socketmap/connection_count.h"

namespace mtastsd::control {
namespace {

constexpr Milliseconds kIdleLimit{60000};  // without a request, or without taking its reply
constexpr std::size_t kMaxInput = 2 * kMaxLineBytes;

}  // namespace

class Server::Connection {
 public:
  Connection(Server& server, std::uint64_t id, int fd)
      : server_(server),
        id_(id),
        fd_(fd),
        user_(socketmap::peer_user(fd)),
        idle_(server.loop_.make_timer([this] { server_.close(id_); })),
        watch_(server.loop_.watch(fd, event::Interest::Read,
                                  [this](event::Interest ready) { on_ready(ready); })) {
    idle_->arm(kIdleLimit);
  }

  std::optional<uid_t> user() const { return user_; }

  void reply(std::string_view line) {
    busy_ = false;
    output_ += line;
    output_ += '\n';
    idle_->arm(kIdleLimit);
    // Through the loop: a handler that replies at once is still on the way out of next_request().
    watch();
  }

 private:
  void on_ready(event::Interest ready) {
    if (event::wants_write(ready) && !write_some()) {
      server_.close(id_);  // Nothing may follow: it destroys *this.
      return;
    }
    if (event::wants_read(ready) && !read_some()) {
      server_.close(id_);  // Nothing may follow: it destroys *this.
      return;
    }
    next_request();
  }

  bool write_some() {
    while (!output_.empty()) {
      const ssize_t sent = ::send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
      if (sent < 0) {
        return errno == EAGAIN || errno == EINTR;
      }
      output_.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
  }

  // False at the end of the connection.
  bool read_some() {
    std::array<char, 65536> bytes;
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) {
      return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    input_.append(bytes.data(), static_cast<std::size_t>(got));
    return true;
  }

  // One request is handled at a time; what is behind it waits.
  void next_request() {
    const std::size_t end = busy_ || !output_.empty() ? std::string::npos : input_.find('\n');
    if (end == std::string::npos) {
      const bool too_long = !busy_ && output_.empty() && input_.size() > kMaxLineBytes;
      if (too_long) {
        server_.close(id_);  // Nothing may follow: it destroys *this.
        return;
      }
      watch();
      return;
    }
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    busy_ = true;
    idle_->cancel();
    watch();
    server_.handler_(line, id_);
  }

  void watch() {
    const bool reads = input_.size() < kMaxInput;
    const bool writes = !output_.empty();
    watch_->set(writes ? (reads ? event::Interest::ReadWrite : event::Interest::Write)
                       : (reads ? event::Interest::Read : event::Interest::None));
  }

  Server& server_;
  const std::uint64_t id_;
  const Fd fd_;
  const std::optional<uid_t> user_;
  bool busy_ = false;
  std::string input_;
  std::string output_;
  std::unique_ptr<event::Timer> idle_;
  std::unique_ptr<event::FdWatch> watch_;  // depends-on: fd_
};

Server::Server(event::Loop& loop, Handler handler) : loop_(loop), handler_(std::move(handler)) {}
Server::~Server() = default;

void Server::add(int fd) {
  if (connections_.size() >= kMaxConnections) {
    const Fd closed(fd);
    return;
  }
  const std::uint64_t id = next_id_++;
  connections_.emplace(id, std::make_unique<Connection>(*this, id, fd));
}

std::optional<uid_t> Server::user_of(std::uint64_t connection) const {
  const auto it = connections_.find(connection);
  return it != connections_.end() ? it->second->user() : std::nullopt;
}

void Server::reply(std::uint64_t connection, std::string_view line) {
  if (const auto it = connections_.find(connection); it != connections_.end()) {
    it->second->reply(line);
  }
}

void Server::close(std::uint64_t id) {
  connections_.erase(id);
}

}  // namespace mtastsd::control
