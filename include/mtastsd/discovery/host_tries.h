#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "mtastsd/base/ip_address.h"
#include "mtastsd/discovery/discovery.h"

namespace mtastsd::discovery {

// How many addresses of a policy host are fetched from for one policy, each with a TLS handshake.
inline constexpr std::size_t kMaxHostsTried = 3;

// Which addresses of a policy host are tried for one policy, and what each of them was worth. One
// of several hosts that serve a policy can be set up wrongly: an old certificate, a missing virtual
// host. Whoever connects to another one gets the policy. A policy with invalid syntax ends the
// tries: it is the domain's word.
//
// The caller connects to next(), reports the address by connected(), fetches, and reports a fetch
// without a policy by fetch_failed(), as long as that returns true.
class HostTries {
 public:
  struct Failure {
    std::optional<IpAddress> address;  // nullopt: no address answered, or a proxy was to connect
    PolicyFailure why;
  };

  explicit HostTries(HostAddresses addresses) : next_(std::move(addresses)) {}

  // Where to connect to. Once an address has answered it is that one, until its fetch has failed.
  const HostAddresses& next() const { return next_; }
  // The address that has answered; nullopt if none has, or a proxy connects.
  const std::optional<IpAddress>& address() const { return address_; }
  bool is_first() const { return failures_.empty(); }

  void connected(const std::optional<IpAddress>& address);
  // None of next() could be connected to. Ends the tries.
  void connect_failed(PolicyFailure why);
  // True: the next address is to be tried. `in_time`: there is time left for that.
  bool fetch_failed(PolicyFailure why, bool in_time);

  // In the order in which they came.
  const std::vector<Failure>& failures() const { return failures_; }
  // The failure that tells most, by its number: what is wrong at an address that has answered tells
  // more than that others cannot be reached, and a certificate more than a failed fetch.
  std::size_t most_telling() const;

 private:
  HostAddresses next_;
  std::optional<IpAddress> address_;
  std::vector<IpAddress> others_;  // once address_ has answered
  std::vector<Failure> failures_;  // at most kMaxHostsTried + 1
};

}  // namespace mtastsd::discovery
