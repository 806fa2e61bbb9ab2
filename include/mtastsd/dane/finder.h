#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/dane/state.h"
#include "mtastsd/dns/dns_client.h"
#include "mtastsd/event/loop.h"

namespace mtastsd::dane {

// A survey under way. Dropping it cancels: after that the callback never runs.
class Step {
 public:
  virtual ~Step() = default;
};
using Handle = std::unique_ptr<Step>;

// Surveys: the MX records of a domain, and the TLSA records of each MX host (RFC 7672 section 2.2).
// What is found of a host is kept for its TTL and shared, so that a host of thousands of domains is
// asked about once. A callback runs at most once, on the thread of the timers, never before find()
// has returned and never from a destructor; it may drop its own step. Every survey ends by itself:
// the DNS client bounds the time of each question, and there are four in a row at most.
class Finder {
 public:
  // All outlive it, and it outlives its steps.
  Finder(const Clock& clock, event::Timers& timers, dns::DnsClient& dns);
  ~Finder();
  Finder(const Finder&) = delete;
  Finder& operator=(const Finder&) = delete;

  [[nodiscard]] Handle find(const DomainName& domain, const Target& target,
                            std::function<void(Found)> callback);

 private:
  class Look;
  class HostLook;
  using HostKey = std::pair<std::string, std::uint16_t>;

  HostLook& host(const DomainName& name, std::uint16_t port);

  const Clock& clock_;
  event::Timers& timers_;
  dns::DnsClient& dns_;
  std::map<HostKey, std::unique_ptr<HostLook>> hosts_;
};

}  // namespace mtastsd::dane
