#include "acceptor.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace mtastsd::daemon {
namespace {

constexpr int kAcceptAtOnce = 64;
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
  listeners_.clear();
}

void Acceptor::on_ready(int listening_fd) {
  for (int i = 0; i < kAcceptAtOnce; ++i) {
    const int fd = ::accept4(listening_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      take_(fd);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      make_room_();
      for (const auto& watch : watches_) {
        watch->set(event::Interest::None);
      }
      resume_->arm(kPause);
    }
    return;
  }
}

}  // namespace mtastsd::daemon
