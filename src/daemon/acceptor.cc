#include "acceptor.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace mtastsd::daemon {
namespace {

constexpr int kAcceptAtOnce = 64;
constexpr int kAcceptAtEnd = 1024;  // as many as can wait there
constexpr Milliseconds kPause{100};

}  // namespace

Acceptor::Acceptor(event::Loop& loop, std::vector<std::unique_ptr<Listener>> listeners,
                   std::function<void(int fd)> take, std::function<void()> make_room)
    : loop_(loop),
      listeners_(std::move(listeners)),
      take_(std::move(take)),
      make_room_(std::move(make_room)),
      resume_(loop.make_timer([this] {
        for (const auto& watch : watches_) {
          watch->set(event::Interest::Read);
        }
      })) {
  for (const auto& listener : listeners_) {
    watches_.push_back(loop_.watch(listener->fd(), event::Interest::Read,
                                   [this, fd = listener->fd()](event::Interest) { on_ready(fd); }));
  }
}

void Acceptor::close() {
  watches_.clear();
  for (const auto& listener : listeners_) {
    if (!listener->passed()) {
      accept_some(listener->fd(), kAcceptAtEnd);
    }
  }
  listeners_.clear();
}

void Acceptor::on_ready(int listening_fd) {
  if (accept_some(listening_fd, kAcceptAtOnce)) {
    return;
  }
  make_room_();
  for (const auto& watch : watches_) {
    watch->set(event::Interest::None);
  }
  resume_->arm(kPause);
}

// Returns false if there are no descriptors or buffers left.
bool Acceptor::accept_some(int listening_fd, int most) {
  for (int i = 0; i < most; ++i) {
    const int fd = ::accept4(listening_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    }
    take_(fd);
  }
  return true;
}

}  // namespace mtastsd::daemon
