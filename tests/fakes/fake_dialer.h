#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mtastsd/event/loop.h"
#include "mtastsd/https/dialer.h"

namespace mtastsd::test {

// Connects, after `delay`, to the first address that is not `silent`, without a socket. When all
// are, the limit is used up.
class FakeDialer final : public https::Dialer {
 public:
  explicit FakeDialer(event::Timers& timers) : timers_(timers) {}

  std::set<std::string> silent;  // addresses
  Milliseconds delay{0};
  std::vector<std::vector<IpAddress>> dialled;
  std::vector<Milliseconds> limits;
  std::size_t running = 0;

  https::DialHandle dial(
      std::span<const IpAddress> addresses, Milliseconds limit,
      std::function<void(Result<https::Connection, https::Error>)> callback) override {
    dialled.emplace_back(addresses.begin(), addresses.end());
    limits.push_back(limit);
    auto handle = std::make_unique<FakeDial>(*this);
    std::optional<IpAddress> answers;
    for (const IpAddress& address : addresses) {
      if (!answers && !silent.contains(address.str())) {
        answers = address;
      }
    }
    handle->timer = timers_.make_timer([callback = std::move(callback), answers] {
      if (answers) {
        callback(https::Connection{Fd(), answers});
      } else {
        callback(failure(https::Error{https::ErrorKind::Connect, "no address answered"}));
      }
    });
    handle->timer->arm(answers ? delay : limit);
    return handle;
  }

 private:
  struct FakeDial : https::Dial {
    explicit FakeDial(FakeDialer& o) : owner(o) { ++owner.running; }
    ~FakeDial() override { --owner.running; }
    FakeDialer& owner;
    std::unique_ptr<event::Timer> timer;
  };

  event::Timers& timers_;
};

}  // namespace mtastsd::test
