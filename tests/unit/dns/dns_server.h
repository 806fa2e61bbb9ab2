#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packet.h"

namespace mtastsd::dns::test {

struct Asked {
  std::string name;
  unsigned type = 0;
  unsigned id = 0;
  bool tcp = false;
  unsigned edns_size = 0;  // 0: without EDNS
  unsigned source_port = 0;
  bool authentic_data = false;  // the AD bit
};

struct Reply {
  Bytes bytes;
  std::chrono::milliseconds delay{0};
};

// A DNS server on 127.0.0.1, UDP and TCP on one port, in a thread of its own. The script
// answers each query, or says nothing: nullopt.
class DnsServer {
 public:
  using Script = std::function<std::optional<Reply>(const Asked&)>;

  explicit DnsServer(Script script) : script_(std::move(script)) {
    for (int attempt = 0; attempt < 50 && !open(); ++attempt) {
      close_sockets();
    }
    EXPECT_GE(tcp_, 0) << "no port that is free for UDP and TCP";
    stop_ = eventfd(0, 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~DnsServer() {
    const std::uint64_t one = 1;
    EXPECT_EQ(write(stop_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    thread_.join();
    close_sockets();
    close(stop_);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int count() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(asked_.size());
  }
  std::vector<Asked> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Later {
    Clock::time_point due;
    Bytes bytes;
    sockaddr_in to;
  };

  bool open() {
    udp_ = socket(AF_INET, SOCK_DGRAM, 0);
    tcp_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (bind(udp_, generic, size) != 0 || getsockname(udp_, generic, &size) != 0 ||
        bind(tcp_, generic, size) != 0 || listen(tcp_, 100) != 0) {
      return false;
    }
    port_ = ntohs(address.sin_port);
    return true;
  }

  void close_sockets() {
    close(udp_);
    close(tcp_);
    udp_ = tcp_ = -1;
  }

  void serve() {
    for (;;) {
      pollfd fds[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {stop_, POLLIN, 0}};
      poll(fds, 3, later_.empty() ? 1000 : 1);
      if (fds[2].revents != 0) {
        return;
      }
      if (fds[0].revents != 0) {
        serve_udp();
      }
      if (fds[1].revents != 0) {
        serve_tcp();
      }
      send_due();
    }
  }

  void send_due() {
    std::erase_if(later_, [this](const Later& later) {
      if (later.due > Clock::now()) {
        return false;
      }
      sendto(udp_, later.bytes.data(), later.bytes.size(), 0,
             reinterpret_cast<const sockaddr*>(&later.to), sizeof later.to);
      return true;
    });
  }

  void serve_udp() {
    unsigned char buffer[4096];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const auto n = recvfrom(udp_, buffer, sizeof buffer, MSG_DONTWAIT,
                            reinterpret_cast<sockaddr*>(&from), &size);
    if (n <= 0) {
      return;
    }
    auto reply = answer({buffer, buffer + n}, false, ntohs(from.sin_port));
    if (reply) {
      later_.push_back({Clock::now() + reply->delay, std::move(reply->bytes), from});
    }
  }

  // One query a connection.
  void serve_tcp() {
    const int fd = accept(tcp_, nullptr, nullptr);
    if (fd < 0) {
      return;
    }
    const timeval patience{2, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    unsigned char head[2];
    if (recv(fd, head, 2, MSG_WAITALL) == 2) {
      Bytes query(static_cast<std::size_t>(head[0] << 8 | head[1]));
      if (recv(fd, query.data(), query.size(), MSG_WAITALL) == static_cast<ssize_t>(query.size())) {
        if (auto reply = answer(query, true, 0)) {
          Bytes framed;
          put16(framed, static_cast<unsigned>(reply->bytes.size()));
          framed.insert(framed.end(), reply->bytes.begin(), reply->bytes.end());
          send(fd, framed.data(), framed.size(), MSG_NOSIGNAL);
        }
      }
    }
    close(fd);
  }

  std::optional<Reply> answer(const Bytes& query, bool tcp, unsigned source_port) {
    ns_msg handle;
    ns_rr question;
    if (ns_initparse(query.data(), static_cast<int>(query.size()), &handle) != 0 ||
        ns_parserr(&handle, ns_s_qd, 0, &question) != 0) {
      ADD_FAILURE() << "unreadable query";
      return std::nullopt;
    }
    Asked asked{ns_rr_name(question), ns_rr_type(question), ns_msg_id(handle), tcp, 0, source_port};
    asked.authentic_data = ns_msg_getflag(handle, ns_f_ad) != 0;
    ns_rr opt;
    if (ns_msg_count(handle, ns_s_ar) > 0 && ns_parserr(&handle, ns_s_ar, 0, &opt) == 0 &&
        ns_rr_type(opt) == ns_t_opt) {
      asked.edns_size = ns_rr_class(opt);
    }
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(asked);
    }
    auto reply = script_(asked);
    if (reply && reply->bytes.size() >= 2) {
      reply->bytes[0] = static_cast<unsigned char>(asked.id >> 8);
      reply->bytes[1] = static_cast<unsigned char>(asked.id);
    }
    return reply;
  }

  Script script_;
  int udp_ = -1;
  int tcp_ = -1;
  int stop_ = -1;
  unsigned port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Asked> asked_;  // guarded by mutex_
  std::vector<Later> later_;
  std::thread thread_;
};

inline std::optional<Reply> reply(const Packet& packet,
                                  std::chrono::milliseconds delay = std::chrono::milliseconds(0)) {
  return Reply{packet.bytes(), delay};
}

}  // namespace mtastsd::dns::test
