#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/result.h"
#include "mtastsd/https/connection.h"
#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::event {
class Loop;
}

namespace mtastsd::https {

class Dial {
 public:
  virtual ~Dial() = default;  // dropping it cancels
};
using DialHandle = std::unique_ptr<Dial>;

// Opens TCP connections to hosts with several addresses.
class Dialer {
 public:
  virtual ~Dialer() = default;

  // Connects to one of the addresses, which are vetted already. The error is of ErrorKind::Connect.
  // `limit` is the timeout of all of it.
  //
  // The callback runs at most once, on the thread of the loop, never before dial() has returned
  // and never from a destructor. It may drop its own handle.
  virtual DialHandle dial(std::span<const IpAddress> addresses, Milliseconds limit,
                          std::function<void(Result<Connection, Error>)> callback) = 0;
};

// The Dialer of RFC 8305: it alternates between the address families, starts the next attempt when
// one fails or after 250 ms, and takes the first connection that is made. A dial has at most
// kMaxAttemptsAtOnce sockets; for a further attempt the oldest is given up. Destroy the dials
// before the loop.
//
// It connects from the source of the address's family, if `sources` has one.
std::unique_ptr<Dialer> make_tcp_dialer(event::Loop& loop, std::uint16_t port,
                                        std::vector<IpAddress> sources = {});

inline constexpr Milliseconds kAttemptDelay{250};
inline constexpr std::size_t kMaxAttemptsAtOnce = 4;

// RFC 8305 section 4: the addresses in the order in which they are tried, the families in turn and
// IPv6 first. The order within a family stays.
std::vector<IpAddress> interleave_families(std::span<const IpAddress> addresses);

}  // namespace mtastsd::https
