#include "mtastsd/web/server.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "mtastsd/base/fd.h"

namespace mtastsd::web {
namespace {

// After the response: for what the client still sends, so that the kernel does not take the
// response back.
constexpr Milliseconds kLinger{1000};

// Empty: it is a unix socket.
std::string peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  char host[NI_MAXHOST] = "";
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.ss_family == AF_UNIX ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host, sizeof(host), nullptr, 0,
                    NI_NUMERICHOST) != 0) {
    return "";
  }
  return host;
}

bool on_this_host(const std::string& address) {
  return address.empty() || address.starts_with("127.") || address == "::1";
}

}  // namespace

class Server::Connection {
 public:
  Connection(Server& server, Id id, int fd)
      : server_(server),
        id_(id),
        fd_(fd),
        peer_(peer_address(fd)),
        end_(server.loop_.make_timer([this] { on_time_over(); })),
        watch_(server.loop_.watch(fd, event::Interest::Read,
                                  [this](event::Interest ready) { on_ready(ready); })) {
    end_->arm(server.limits_.request);
  }
  ~Connection() { server_.held_ -= waiting(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // It is not being answered.
  bool can_be_missed() const { return state_ == State::Reading || state_ == State::Lingering; }

  void reply(const Response& response) {
    if (state_ == State::Asked) {
      put(head_of(response, response.body.size()));
      put_body(response.body);
      finish();
    }
  }

  void begin(const Response& response) {
    if (state_ == State::Asked) {
      put(head_of(response, std::nullopt));
      put_body(response.body);
      state_ = State::Streaming;
      watch();
    }
  }

  void more(std::string_view part) {
    if (state_ == State::Streaming) {
      put_body(part);
      watch();
    }
  }

  void end() {
    if (state_ == State::Streaming) {
      finish();
    }
  }

  void on_ready(event::Interest ready) {
    if (event::wants_write(ready) && !write_some()) {
      server_.close(id_);  // Nothing may follow: it destroys *this.
      return;
    }
    if (event::wants_read(ready) && !read_some()) {
      server_.close(id_);  // Nothing may follow: it destroys *this.
      return;
    }
    if (state_ == State::Reading) {
      read_request();  // Nothing may follow: the handler can end everything.
    } else {
      watch();
    }
  }

 private:
  enum class State {
    Reading,    // its request
    Asked,      // the handler knows of it
    Streaming,  // its response has begun
    Writing,    // what is left of its response
    Lingering,  // all is written
  };

  std::size_t waiting() const { return output_.size() - sent_; }

  void put_body(std::string_view text) {
    if (!head_only_) {
      put(text);
    }
  }

  void put(std::string_view text) {
    if (server_.held_ + text.size() > server_.limits_.held_bytes) {
      // Through the loop: the caller may have been called by this connection.
      too_much_ = true;
      end_->arm(Milliseconds(0));
      return;
    }
    server_.held_ += text.size();
    output_ += text;
  }

  void finish() {
    state_ = State::Writing;
    watch();
  }

  void on_time_over() {
    if (state_ == State::Reading && !input_.empty() && !too_much_) {
      refuse(408);
      return;
    }
    server_.close(id_);  // Nothing may follow: it destroys *this.
  }

  bool write_some() {
    while (waiting() > 0) {
      const ssize_t sent = ::send(fd_.get(), output_.data() + sent_, waiting(), MSG_NOSIGNAL);
      if (sent < 0) {
        return errno == EAGAIN || errno == EINTR;
      }
      sent_ += static_cast<std::size_t>(sent);
      server_.held_ -= static_cast<std::size_t>(sent);
    }
    output_.clear();
    sent_ = 0;
    if (state_ == State::Writing && too_much_) {
      return false;
    }
    if (state_ == State::Writing) {
      state_ = State::Lingering;
      ::shutdown(fd_.get(), SHUT_WR);
      end_->arm(kLinger);
    }
    return true;
  }

  // False: there is nobody to answer any more.
  bool read_some() {
    std::array<char, kMaxHeadBytes> bytes;
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0) {
      return errno == EAGAIN || errno == EINTR;
    }
    if (got == 0) {
      reads_ = false;
      return state_ == State::Writing;  // it may have ended only its own side
    }
    if (state_ == State::Reading) {
      input_.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return true;
  }

  void read_request() {
    const std::size_t crlf = input_.find("\r\n\r\n");
    const std::size_t end = std::min(crlf, input_.find("\n\n"));
    if (end == std::string::npos || end > kMaxHeadBytes) {
      if (input_.size() > kMaxHeadBytes) {
        refuse(431);
      }
      return;
    }
    auto request = parse_request(std::string_view(input_).substr(0, end));
    input_ = std::string();
    if (!request) {
      refuse(request.error());
      return;
    }
    head_only_ = request->head;
    request->client =
        on_this_host(peer_) && !request->forwarded_for.empty() ? request->forwarded_for : peer_;
    state_ = State::Asked;
    end_->arm(server_.limits_.exchange);
    server_.handler_(*request, id_);
  }

  void refuse(int status) {
    state_ = State::Asked;
    end_->arm(server_.limits_.request);
    reply(plain(status,
                "The request cannot be answered: this server takes GET and HEAD, with at "
                "most 8 KiB and without a body."));
  }

  void watch() {
    const bool writes = waiting() > 0 || state_ == State::Writing;
    watch_->set(writes ? (reads_ ? event::Interest::ReadWrite : event::Interest::Write)
                       : (reads_ ? event::Interest::Read : event::Interest::None));
  }

  Server& server_;
  const Id id_;
  const Fd fd_;
  const std::string peer_;
  State state_ = State::Reading;
  bool head_only_ = false;
  bool too_much_ = false;  // waited to be taken
  bool reads_ = true;      // the client has not ended its side
  std::string input_;
  std::string output_;
  std::size_t sent_ = 0;  // of output_
  std::unique_ptr<event::Timer> end_;
  std::unique_ptr<event::FdWatch> watch_;  // depends-on: fd_
};

Server::Server(event::Loop& loop, Handler handler, ServerLimits limits)
    : loop_(loop), handler_(std::move(handler)), limits_(limits) {}

Server::~Server() {
  connections_.clear();
}

void Server::add(int fd) {
  if (connections_.size() >= limits_.connections && !make_room()) {
    const Fd closed(fd);
    return;
  }
  const Id id = next_id_++;
  // A request that is there already is answered before another connection can take its place.
  const auto it = connections_.emplace(id, std::make_unique<Connection>(*this, id, fd)).first;
  it->second->on_ready(event::Interest::Read);
  if (const auto again = connections_.find(id); again != connections_.end()) {
    again->second->on_ready(event::Interest::Write);
  }
}

void Server::close(Id id) {
  connections_.erase(id);
}

bool Server::make_room() {
  for (auto it = connections_.begin(); it != connections_.end(); ++it) {
    if (it->second->can_be_missed()) {
      connections_.erase(it);
      return true;
    }
  }
  return false;
}

void Server::reply(Id connection, const Response& response) {
  if (const auto it = connections_.find(connection); it != connections_.end()) {
    it->second->reply(response);
  }
}

void Server::begin(Id connection, const Response& response) {
  if (const auto it = connections_.find(connection); it != connections_.end()) {
    it->second->begin(response);
  }
}

void Server::more(Id connection, std::string_view part) {
  if (const auto it = connections_.find(connection); it != connections_.end()) {
    it->second->more(part);
  }
}

void Server::end(Id connection) {
  if (const auto it = connections_.find(connection); it != connections_.end()) {
    it->second->end();
  }
}

}  // namespace mtastsd::web
