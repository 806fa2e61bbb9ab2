#include "mtastsd/https/dialer.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <list>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "mtastsd/base/fd.h"
#include "mtastsd/event/loop.h"
#include "source_address.h"

namespace mtastsd::https {
namespace {

using Callback = std::function<void(Result<Connection, Error>)>;

// How much an errno tells the reader of the log. Of several attempts the one that tells most is
// reported.
int weight_of(int error) {
  switch (error) {
    case ENETUNREACH:  // usually IPv6 on a host that has none
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return 0;
    case EHOSTUNREACH:
      return 1;
    case ETIMEDOUT:
      return 2;
    case ECONNREFUSED:  // the host itself has answered
    case ECONNRESET:
      return 3;
    default:  // something is wrong on this side, such as too few descriptors
      return 4;
  }
}

// 0, or the errno.
int error_of(const Fd& socket) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

class TcpDial final : public Dial {
 public:
  TcpDial(event::Loop& loop, std::uint16_t port, const std::vector<IpAddress>& sources,
          std::span<const IpAddress> addresses, Milliseconds limit, Callback callback)
      : loop_(loop),
        port_(port),
        sources_(sources),
        addresses_(interleave_families(addresses)),
        callback_(std::move(callback)),
        next_attempt_(loop.make_timer([this] { start_next(); })),
        deadline_(loop.make_timer([this] { give_up(); })) {
    next_attempt_->arm(Milliseconds(0));
    deadline_->arm(limit);
  }

 private:
  struct Attempt {
    IpAddress address;
    Fd socket;
    std::unique_ptr<event::FdWatch> watch;  // depends-on: socket
  };
  using Attempts = std::list<Attempt>;

  void start_next() {
    while (next_ < addresses_.size()) {
      if (start(addresses_[next_++])) {
        if (next_ < addresses_.size()) {
          next_attempt_->arm(kAttemptDelay);
        }
        return;
      }
    }
    if (attempts_.empty()) {
      finish(failure(problem()));  // Nothing may follow: it can destroy *this.
    }
  }

  bool start(const IpAddress& address) {
    sockaddr_storage to{};
    const socklen_t size = address.to_sockaddr(port_, to);
    Fd socket(::socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!socket || !use_source(socket.get(), to.ss_family, sources_) ||
        (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), size) != 0 &&
         errno != EINPROGRESS)) {
      note(address, errno);
      return false;
    }
    if (attempts_.size() == kMaxAttemptsAtOnce) {
      note(attempts_.front().address, ETIMEDOUT);
      attempts_.pop_front();
    }
    const int fd = socket.get();
    attempts_.push_back({address, std::move(socket), nullptr});
    const auto attempt = std::prev(attempts_.end());
    attempt->watch =
        loop_.watch(fd, event::Interest::Write, [this, attempt](event::Interest) { end(attempt); });
    return true;
  }

  // An attempt has a result.
  void end(Attempts::iterator attempt) {
    if (const int error = error_of(attempt->socket); error != 0) {
      note(attempt->address, error);
      attempts_.erase(attempt);
      start_next();  // Nothing may follow: it can destroy *this.
      return;
    }
    attempt->watch.reset();
    finish(Connection{std::move(attempt->socket), attempt->address});
  }

  void give_up() {
    for (const Attempt& attempt : attempts_) {
      note(attempt.address, ETIMEDOUT);
    }
    finish(failure(problem()));  // Nothing may follow: it can destroy *this.
  }

  void note(const IpAddress& address, int error) {
    if (!told_ || weight_of(error) > weight_of(told_->second)) {
      told_.emplace(address, error);
    }
  }

  Error problem() const {
    if (!told_) {
      return {ErrorKind::Connect, "the policy host has no address"};
    }
    const auto& [address, error] = *told_;
    return {ErrorKind::Connect, "cannot connect to " + IpEndpoint{address, port_}.str() + ": " +
                                    std::generic_category().message(error)};
  }

  void finish(Result<Connection, Error> result) {
    next_attempt_->cancel();
    deadline_->cancel();
    attempts_.clear();
    const auto callback = std::move(callback_);
    callback(std::move(result));  // Nothing may follow: it can destroy *this.
  }

  event::Loop& loop_;
  const std::uint16_t port_;
  const std::vector<IpAddress> sources_;
  const std::vector<IpAddress> addresses_;
  std::size_t next_ = 0;  // of the addresses
  std::optional<std::pair<IpAddress, int>> told_;
  Callback callback_;
  Attempts attempts_;
  std::unique_ptr<event::Timer> next_attempt_;
  std::unique_ptr<event::Timer> deadline_;
};

class TcpDialer final : public Dialer {
 public:
  TcpDialer(event::Loop& loop, std::uint16_t port, std::vector<IpAddress> sources)
      : loop_(loop), port_(port), sources_(std::move(sources)) {}

  DialHandle dial(std::span<const IpAddress> addresses, Milliseconds limit,
                  Callback callback) override {
    return std::make_unique<TcpDial>(loop_, port_, sources_, addresses, limit, std::move(callback));
  }

 private:
  event::Loop& loop_;
  const std::uint16_t port_;
  const std::vector<IpAddress> sources_;
};

}  // namespace

std::unique_ptr<Dialer> make_tcp_dialer(event::Loop& loop, std::uint16_t port,
                                        std::vector<IpAddress> sources) {
  return std::make_unique<TcpDialer>(loop, port, std::move(sources));
}

std::vector<IpAddress> interleave_families(std::span<const IpAddress> addresses) {
  std::vector<IpAddress> v6;
  std::vector<IpAddress> v4;
  for (const IpAddress& address : addresses) {
    (address.is_v6() ? v6 : v4).push_back(address);
  }
  std::vector<IpAddress> order;
  for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
    for (const auto* family : {&v6, &v4}) {
      if (i < family->size()) {
        order.push_back((*family)[i]);
      }
    }
  }
  return order;
}

}  // namespace mtastsd::https
