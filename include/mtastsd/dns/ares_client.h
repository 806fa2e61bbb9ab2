#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/dns/dns_client.h"

namespace mtastsd {
class Log;
namespace event {
class Loop;
}
}  // namespace mtastsd

namespace mtastsd::dns {

struct AresOptions {
  // "addr", "addr:port", "[v6]:port". If empty, those in resolv_conf, which is read again when it
  // changes.
  std::vector<std::string> servers;
  std::string resolv_conf = "/etc/resolv.conf";
  // For one lookup with all its servers and attempts. A resolver can need 15 s to find out what it
  // has never been asked. While more than half of max_in_flight are taken, 10 s are enough.
  Milliseconds timeout{20000};
  std::size_t max_in_flight = 1024;
  // The AD bit of servers that are not on this host counts as well (Security).
  bool trust_ad = false;
  // Finds out of each server whether it validates, for Security, and again from time to time.
  bool probe_dnssec = false;
};

// Checks one entry of AresOptions::servers.
bool valid_server(const std::string& text);

// The DnsClient that uses c-ares on the loop. It tries all servers, and repeats a lookup over TCP
// if the answer over UDP is truncated. A loop has only one. Destroy it before the loop.
class AresClient : public DnsClient {
 public:
  static std::unique_ptr<AresClient> make(event::Loop& loop, const Clock& clock, Log& log,
                                          AresOptions options);

  // The servers in use, as "addr:port".
  virtual std::vector<std::string> servers() const = 0;

  // The state of each of them since it has been in use.
  struct ServerHealth {
    std::string server;
    std::uint64_t answers = 0;
    std::uint64_t errors = 0;  // refused, failed or unreachable
    bool asked_last = false;   // it did not answer when another one did, and is asked last
    std::string last_error;
    bool trusted = false;           // its AD bit counts
    std::optional<bool> validates;  // DNSSEC; nullopt: not found out
  };
  virtual std::vector<ServerHealth> health() const = 0;

  // How many lookups have failed, by the ErrorKind. A server's error that another server or another
  // way of asking has made up for is none.
  using Failures = std::array<std::uint64_t, kErrorKinds>;
  virtual const Failures& failures() const = 0;
  // Uses new options for all lookups from now on. Those in progress continue with the old ones.
  virtual void reconfigure(AresOptions options) = 0;
};

}  // namespace mtastsd::dns
