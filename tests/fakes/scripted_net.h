#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "mtastsd/dns/dns_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::test {

// What is answered, and after how long. `answer` is called at the moment it arrives; without
// one nothing ever comes.
template <typename Answer>
struct Script {
  Milliseconds after{1};
  std::function<Answer()> answer;
};

// An answer on its way. Dropping it cancels.
template <typename Base>
class OnItsWay final : public Base {
 public:
  template <typename Answer>
  OnItsWay(event::Timers& timers, Script<Answer> script, std::function<void(Answer)> callback) {
    if (script.answer) {
      timer_ = timers.make_timer([callback = std::move(callback),
                                  answer = std::move(script.answer)] { callback(answer()); });
      timer_->arm(script.after);
    }
  }

 private:
  std::unique_ptr<event::Timer> timer_;
};

// DNS made up question by question.
class ScriptedDns final : public dns::DnsClient {
 public:
  explicit ScriptedDns(event::Timers& timers) : timers_(timers) {}

  std::function<Script<dns::TxtAnswer>(const std::string& name)> on_txt;
  std::function<Script<dns::AddressAnswer>(const std::string& name, bool v6)> on_address;
  std::function<Script<dns::Answer<dns::MxRecords>>(const std::string& name)> on_mx;
  std::function<Script<dns::Answer<dns::TlsaRecords>>(const std::string& name)> on_tlsa;

  dns::Handle txt(const std::string& name, dns::Callback<dns::TxtRecords> callback) override {
    return std::make_unique<OnItsWay<dns::Query>>(timers_, on_txt(name), std::move(callback));
  }
  dns::Handle a(const std::string& name, dns::Callback<dns::Addresses> callback) override {
    return std::make_unique<OnItsWay<dns::Query>>(timers_, on_address(name, false),
                                                  std::move(callback));
  }
  dns::Handle aaaa(const std::string& name, dns::Callback<dns::Addresses> callback) override {
    return std::make_unique<OnItsWay<dns::Query>>(timers_, on_address(name, true),
                                                  std::move(callback));
  }
  dns::Handle mx(const std::string& name, dns::Callback<dns::MxRecords> callback) override {
    return std::make_unique<OnItsWay<dns::Query>>(timers_, on_mx(name), std::move(callback));
  }
  dns::Handle tlsa(const std::string& name, dns::Callback<dns::TlsaRecords> callback) override {
    return std::make_unique<OnItsWay<dns::Query>>(timers_, on_tlsa(name), std::move(callback));
  }

 private:
  event::Timers& timers_;
};

// Policy hosts made up fetch by fetch. What would come after the limit is a timeout at the limit.
class ScriptedFetcher final : public https::PolicyFetcher {
 public:
  explicit ScriptedFetcher(event::Timers& timers) : timers_(timers) {}

  std::function<Script<https::FetchResult>(const DomainName& policy_host)> on_fetch;

  https::Handle fetch(const DomainName& policy_host, https::Connection /*connection*/,
                      https::FetchLimits limits,
                      std::function<void(https::FetchResult)> callback) override {
    auto script = on_fetch(policy_host);
    if (!script.answer || script.after > limits.total) {
      script = {limits.total, [] {
                  return https::FetchResult(
                      failure(https::Error{https::ErrorKind::Timeout, "not done in time"}));
                }};
    }
    return std::make_unique<OnItsWay<https::Fetch>>(timers_, std::move(script),
                                                    std::move(callback));
  }
  bool uses_proxy() const override { return false; }

 private:
  event::Timers& timers_;
};

}  // namespace mtastsd::test
