#pragma once

#include <cstdint>
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
  // "addr", "addr:port", "[v6]:port". Empty: those of resolv_conf, read again when it changes.
  std::vector<std::string> servers;
  std::string resolv_conf = "/etc/resolv.conf";
  Milliseconds timeout{10000};  // for one question in all, servers and retries included
  std::size_t max_in_flight = 1024;
};

// Checks one entry of AresOptions::servers.
bool valid_server(const std::string& text);

// DnsClient over c-ares on the loop. All servers are tried; answers cut short over UDP are
// asked again over TCP. One for a loop; destroy it before the loop.
class AresClient final : public DnsClient {
 public:
  AresClient(event::Loop& loop, const Clock& clock, Log& log, AresOptions options);
  ~AresClient() override;

  Handle txt(const std::string& name, Callback<TxtRecords> callback) override;
  Handle a(const std::string& name, Callback<Addresses> callback) override;
  Handle aaaa(const std::string& name, Callback<Addresses> callback) override;
  Handle mx(const std::string& name, Callback<MxRecords> callback) override;
  Handle tlsa(const std::string& name, Callback<TlsaRecords> callback) override;

  // The servers in use, as "addr:port".
  std::vector<std::string> servers() const;

  // How each of them does, since it came into use.
  struct ServerHealth {
    std::string server;
    std::uint64_t answers = 0;
    std::uint64_t errors = 0;  // refused, failed, unreachable
    bool asked_last = false;   // it was silent where another one answered
    std::string last_error;
  };
  std::vector<ServerHealth> health() const;
  // Takes new options for all questions asked from now on; those under way run on.
  void reconfigure(AresOptions options);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtastsd::dns
