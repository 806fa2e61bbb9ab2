// The reference for answers: what any server on the same event loop has to do for a request and
// nothing else. Reads netstrings, does not look at them, writes one fixed reply for each.
//
// Limits: a reply that does not fit into the socket's buffer ends the connection, and a frame is
// trusted to end where its length says.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mtastsd/event/loop.h"

namespace {

using mtastsd::event::FdWatch;
using mtastsd::event::Interest;
using mtastsd::event::Loop;

constexpr std::size_t kReadSize = 16 * 1024;
constexpr int kBacklog = 1024;
constexpr int kAcceptAtOnce = 64;

class EchoServer {
 public:
  EchoServer(Loop& loop, std::string_view reply)
      : loop_(loop), frame_(std::to_string(reply.size()) + ":" + std::string(reply) + ",") {
    buffer_.resize(kReadSize);
  }
  ~EchoServer() {
    for (const int fd : listening_) {
      ::close(fd);
    }
  }

  void listen_on(int fd) {
    listening_.push_back(fd);
    acceptors_.push_back(loop_.watch(fd, Interest::Read, [this, fd](Interest) { accept(fd); }));
  }

 private:
  struct Connection {
    std::string rest;  // of a frame that has not come as a whole
    std::unique_ptr<FdWatch> watch;
  };

  void accept(int listening) {
    for (int i = 0; i < kAcceptAtOnce; ++i) {
      const int fd = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        return;
      }
      auto& connection = connections_[fd];
      connection = std::make_unique<Connection>();
      connection->watch = loop_.watch(
          fd, Interest::Read, [this, fd, c = connection.get()](Interest) { on_ready(fd, *c); });
    }
  }

  void on_ready(int fd, Connection& connection) {
    const ssize_t got = ::recv(fd, buffer_.data(), buffer_.size(), 0);
    if (got <= 0 || !answer(fd, connection, {buffer_.data(), static_cast<std::size_t>(got)})) {
      connections_.erase(fd);
      ::close(fd);
    }
  }

  bool answer(int fd, Connection& connection, std::string_view bytes) {
    std::string joined;
    if (!connection.rest.empty()) {
      joined = std::move(connection.rest);
      joined += bytes;
      bytes = joined;
    }
    output_.clear();
    while (const std::size_t frame = frame_size(bytes)) {
      output_ += frame_;
      bytes.remove_prefix(frame);
    }
    connection.rest = bytes;
    return output_.empty() || ::send(fd, output_.data(), output_.size(), MSG_NOSIGNAL) ==
                                  static_cast<ssize_t>(output_.size());
  }

  // 0 when the first frame is not there as a whole.
  static std::size_t frame_size(std::string_view bytes) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), size);
    const std::size_t whole = static_cast<std::size_t>(end - bytes.data()) + size + 2;
    return error == std::errc() && bytes.size() >= whole ? whole : 0;
  }

  Loop& loop_;
  const std::string frame_;
  std::string buffer_;
  std::string output_;
  std::vector<int> listening_;
  std::vector<std::unique_ptr<FdWatch>> acceptors_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int listen_tcp() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Options as in the daemon's listener; connections take them over.
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  socklen_t size = sizeof(where);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&where), size) != 0 || ::listen(fd, kBacklog) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
    die("tcp");
  }
  std::printf("inet:127.0.0.1:%u\n", ntohs(where.sin_port));
  return fd;
}

int listen_unix(const std::string& path) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (path.size() >= sizeof(where.sun_path)) {
    errno = ENAMETOOLONG;
    die(path.c_str());
  }
  path.copy(where.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof(where)) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    die(path.c_str());
  }
  std::printf("unix:%s\n", path.c_str());
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Netstring server with one fixed reply; prints where it listens.");
  std::string reply;
  std::string path;
  app.add_option("--reply", reply, "text of every reply")->required();
  app.add_option("--unix", path, "unix socket to listen on beside TCP")->required();
  CLI11_PARSE(app, argc, argv);

  Loop loop;
  EchoServer server(loop, reply);
  server.listen_on(listen_tcp());
  server.listen_on(listen_unix(path));
  std::fflush(stdout);
  const auto on_term = loop.watch_signal(SIGTERM, [&loop] { loop.stop(); });
  loop.run();
  ::unlink(path.c_str());
  return 0;
}
