// The reference for answers: what any server has to do for a request and nothing else. One
// thread on plain epoll; reads netstrings, does not look at them, writes one fixed reply for each.
//
// Limits: a reply that does not fit into the socket's buffer ends the connection, and a frame is
// trusted to end where its length says.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kReadSize = 16 * 1024;
constexpr int kBacklog = 1024;
constexpr int kAcceptAtOnce = 64;
constexpr int kEventsAtOnce = 256;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

class EchoServer {
 public:
  explicit EchoServer(std::string_view reply)
      : frame_(std::to_string(reply.size()) + ":" + std::string(reply) + ","),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        buffer_(kReadSize, '\0') {
    if (epoll_ < 0) {
      die("epoll");
    }
  }

  void listen_on(int fd) {
    watch(fd);
    of(fd).listening = true;
  }

  [[noreturn]] void run() {
    std::array<epoll_event, kEventsAtOnce> events;
    for (;;) {
      const int ready = ::epoll_wait(epoll_, events.data(), kEventsAtOnce, -1);
      for (int i = 0; i < ready; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (of(fd).listening) {
          accept(fd);
        } else {
          on_ready(fd);
        }
      }
    }
  }

 private:
  struct Descriptor {
    bool listening = false;
    std::string rest;  // of a frame that has not come as a whole
  };

  Descriptor& of(int fd) {
    const auto at = static_cast<std::size_t>(fd);
    if (at >= descriptors_.size()) {
      descriptors_.resize(at + 1);
    }
    return descriptors_[at];
  }

  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
      die("epoll");
    }
  }

  void accept(int listening) {
    for (int i = 0; i < kAcceptAtOnce; ++i) {
      const int fd = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        return;
      }
      of(fd).rest.clear();
      watch(fd);
    }
  }

  void on_ready(int fd) {
    const ssize_t got = ::recv(fd, buffer_.data(), buffer_.size(), 0);
    if (got <= 0 || !answer(fd, {buffer_.data(), static_cast<std::size_t>(got)})) {
      ::close(fd);
    }
  }

  bool answer(int fd, std::string_view bytes) {
    std::string& rest = of(fd).rest;
    std::string joined;
    if (!rest.empty()) {
      joined = std::move(rest);
      joined += bytes;
      bytes = joined;
    }
    output_.clear();
    while (const std::size_t frame = frame_size(bytes)) {
      output_ += frame_;
      bytes.remove_prefix(frame);
    }
    rest = bytes;
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

  const std::string frame_;
  const int epoll_;
  std::string buffer_;
  std::string output_;
  std::vector<Descriptor> descriptors_;  // by their number
};

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

  EchoServer server(reply);
  server.listen_on(listen_tcp());
  server.listen_on(listen_unix(path));
  std::fflush(stdout);
  server.run();
}
