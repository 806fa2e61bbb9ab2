// An order has a number, which both sides know it by. Whoever has ended it first forgets the
// number, and what the other side says of it later means nothing.

#include "mtastsd/https/fetch_thread.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "mtastsd/event/loop.h"

namespace mtastsd::https {
namespace {

using Callback = std::function<void(FetchResult)>;
using Number = std::uint64_t;

class FetchThread final : public PolicyFetcher {
 public:
  FetchThread(event::Loop& home, const MakeFetcher& make)
      : home_(home), fetcher_(make(loop_)), uses_proxy_(fetcher_->uses_proxy()) {}
  ~FetchThread() override;

  Handle fetch(const DomainName& policy_host, Connection connection, FetchLimits limits,
               Callback callback) override;
  bool uses_proxy() const override { return uses_proxy_; }

  std::size_t pending() const { return pending_->size(); }

 private:
  class Pending;
  using AllPending = std::map<Number, Pending*>;
  struct Order {
    Number number;
    DomainName host;
    Connection connection;
    FetchLimits limits;
  };

  void cancel(Number number);
  static void deliver(AllPending& pending, Number number, FetchResult result);

  // On the other thread.
  void carry_out(Order& order);
  void finished(Number number, FetchResult result);

  event::Loop& home_;
  Number last_ = 0;
  // A result on its way home refers to it weakly: it can arrive when this fetcher is gone.
  std::shared_ptr<AllPending> pending_ = std::make_shared<AllPending>();

  event::Loop loop_;                        // of the thread
  std::unique_ptr<PolicyFetcher> fetcher_;  // on it
  const bool uses_proxy_;
  std::map<Number, Handle> running_;  // on it
  std::thread thread_;
};

class FetchThread::Pending final : public Fetch {
 public:
  Pending(FetchThread& owner, Number number, Callback callback)
      : owner_(&owner), number_(number), callback_(std::move(callback)) {}
  ~Pending() override {
    if (owner_ != nullptr) {
      owner_->cancel(number_);
    }
  }

  void forget_owner() { owner_ = nullptr; }
  Callback take_callback() { return std::move(callback_); }

 private:
  FetchThread* owner_;  // null once there is nothing to cancel
  const Number number_;
  Callback callback_;
};

FetchThread::~FetchThread() {
  for (const auto& [number, pending] : *pending_) {
    pending->forget_owner();
  }
  if (thread_.joinable()) {
    loop_.stop();
    thread_.join();
  }
}

Handle FetchThread::fetch(const DomainName& policy_host, Connection connection, FetchLimits limits,
                          Callback callback) {
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { loop_.run(); });
  }
  const Number number = ++last_;
  auto pending = std::make_unique<Pending>(*this, number, std::move(callback));
  pending_->emplace(number, pending.get());
  // Shared because a message can be copied and a socket cannot.
  auto order = std::make_shared<Order>(Order{number, policy_host, std::move(connection), limits});
  loop_.post([this, order = std::move(order)] { carry_out(*order); });
  return pending;
}

void FetchThread::cancel(Number number) {
  pending_->erase(number);
  loop_.post([this, number] { running_.erase(number); });
}

void FetchThread::carry_out(Order& order) {
  running_.emplace(order.number,
                   fetcher_->fetch(order.host, std::move(order.connection), order.limits,
                                   [this, number = order.number](FetchResult result) {
                                     finished(number, std::move(result));
                                   }));
}

void FetchThread::finished(Number number, FetchResult result) {
  home_.post([waiting = std::weak_ptr(pending_), number, result = std::move(result)]() mutable {
    if (const auto pending = waiting.lock()) {
      deliver(*pending, number, std::move(result));
    }
  });
  running_.erase(number);  // Nothing may follow: it is the fetch whose callback this is.
}

void FetchThread::deliver(AllPending& pending, Number number, FetchResult result) {
  const auto found = pending.find(number);
  if (found == pending.end()) {
    return;
  }
  found->second->forget_owner();
  const Callback callback = found->second->take_callback();
  pending.erase(found);
  callback(std::move(result));  // Nothing may follow: it can destroy the fetcher.
}

class FetchThreads final : public PolicyFetcher {
 public:
  FetchThreads(event::Loop& home, unsigned threads, const MakeFetcher& make) {
    for (unsigned i = 0; i < threads; ++i) {
      threads_.push_back(std::make_unique<FetchThread>(home, make));
    }
  }

  Handle fetch(const DomainName& policy_host, Connection connection, FetchLimits limits,
               Callback callback) override {
    const auto& idlest =
        *std::min_element(threads_.begin(), threads_.end(),
                          [](const auto& a, const auto& b) { return a->pending() < b->pending(); });
    return idlest->fetch(policy_host, std::move(connection), limits, std::move(callback));
  }
  bool uses_proxy() const override { return threads_.front()->uses_proxy(); }

 private:
  std::vector<std::unique_ptr<FetchThread>> threads_;  // at least one
};

}  // namespace

std::unique_ptr<PolicyFetcher> make_fetch_threads(event::Loop& home, unsigned threads,
                                                  const MakeFetcher& make) {
  return std::make_unique<FetchThreads>(home, std::max(threads, 1U), make);
}

}  // namespace mtastsd::https
