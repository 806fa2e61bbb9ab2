#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace bench {

using Nanos = std::int64_t;

[[noreturn]] void fail(const std::string& what);

// A connection to "inet:ADDRESS:PORT" or "unix:PATH", as in Postfix.
int connect_to(const std::string& target);

// One connection and the requests on it that have no reply yet.
class Connection {
 public:
  Connection(const std::string& target, std::size_t number)
      : fd_(connect_to(target)), number_(number) {}
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  std::size_t number() const { return number_; }

  void queue(const std::string& frame, Nanos since) {
    output_ += frame;
    since_.push_back(since);
  }

  void send_queued() {
    if (output_.empty()) {
      return;
    }
    if (::send(fd_, output_.data(), output_.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(output_.size())) {
      fail("send");
    }
    output_.clear();
  }

  // Calls on_reply(text, since) for each reply that has come.
  template <typename OnReply>
  void receive(OnReply on_reply) {
    char buffer[16 * 1024];
    const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got == 0) {
      throw std::runtime_error("the server closed a connection");
    }
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) {
        return;
      }
      fail("recv");
    }
    std::string_view bytes(buffer, static_cast<std::size_t>(got));
    std::string joined;
    if (!rest_.empty()) {
      joined = std::exchange(rest_, {});
      joined += bytes;
      bytes = joined;
    }
    while (take_reply(bytes, on_reply)) {
    }
    rest_.assign(bytes);
  }

 private:
  template <typename OnReply>
  bool take_reply(std::string_view& bytes, OnReply& on_reply) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), size);
    const auto head = static_cast<std::size_t>(end - bytes.data()) + 1;
    if (error != std::errc() || bytes.size() < head + size + 1) {
      return false;
    }
    if (since_.empty()) {
      throw std::runtime_error("a reply that was not asked for");
    }
    const Nanos since = since_.front();
    since_.pop_front();
    on_reply(bytes.substr(head, size), since);
    bytes.remove_prefix(head + size + 1);
    return true;
  }

  const int fd_;
  const std::size_t number_;
  std::string output_;
  std::string rest_;
  std::deque<Nanos> since_;  // of the requests in flight, in order
};

}  // namespace bench
