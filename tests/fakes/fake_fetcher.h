#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mtastsd/event/loop.h"
#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::test {

// Policy hosts that are a map from host to what a fetch brings, after `delay`. A host without an
// entry refuses the connection; one in `silent` uses up the limit.
class FakeFetcher final : public https::PolicyFetcher {
 public:
  explicit FakeFetcher(event::Timers& timers) : timers_(timers) {}

  std::map<std::string, https::FetchResult> hosts;
  std::map<IpAddress, https::FetchResult> at_address;  // in the place of what `hosts` says
  std::map<std::string, bool> silent;
  std::vector<std::string> fetched;                 // policy hosts, in order
  std::vector<std::optional<IpAddress>> addresses;  // that were connected to
  std::vector<https::FetchLimits> limits;
  std::size_t running = 0;
  std::size_t most_running = 0;
  Milliseconds delay{5};
  bool proxy = false;

  void set_policy(const std::string& domain, const std::string& body) {
    hosts.insert_or_assign("mta-sts." + domain, https::FetchResult(https::PolicyBody{body}));
  }
  void fail(const std::string& domain, https::ErrorKind kind) {
    hosts.insert_or_assign("mta-sts." + domain,
                           https::FetchResult(failure(https::Error{kind, "scripted"})));
  }

  https::Handle fetch(const DomainName& policy_host, https::Connection connection,
                      https::FetchLimits limit,
                      std::function<void(https::FetchResult)> callback) override {
    const std::string host = policy_host.str();
    fetched.push_back(host);
    addresses.push_back(connection.address);
    limits.push_back(limit);
    most_running = std::max(most_running, ++running);
    auto handle = std::make_unique<FakeFetch>(*this);
    https::FetchResult result = failure(https::Error{https::ErrorKind::Connect, "refused"});
    if (silent[host]) {
      result = failure(https::Error{https::ErrorKind::Timeout, "nothing came"});
    } else if (const auto found = hosts.find(host); found != hosts.end()) {
      result = found->second;
    }
    if (connection.address && at_address.contains(*connection.address)) {
      result = at_address.at(*connection.address);
    }
    handle->timer = timers_.make_timer(
        [callback = std::move(callback), result = std::move(result)] { callback(result); });
    handle->timer->arm(silent[host] ? limit.total : delay);
    return handle;
  }
  bool uses_proxy() const override { return proxy; }

 private:
  struct FakeFetch : https::Fetch {
    explicit FakeFetch(FakeFetcher& o) : owner(o) {}
    ~FakeFetch() override { --owner.running; }
    FakeFetcher& owner;
    std::unique_ptr<event::Timer> timer;
  };

  event::Timers& timers_;
};

}  // namespace mtastsd::test
