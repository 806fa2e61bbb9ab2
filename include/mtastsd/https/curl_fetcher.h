#pragma once

#include <cstdint>
#include <string>

#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd {
class Log;
namespace event {
class Loop;
}
}  // namespace mtastsd

namespace mtastsd::https {

struct CurlOptions {
  std::string ca_file;  // PEM bundle; must exist
  std::uint16_t port = 443;
  std::string proxy;     // "http://proxy.example:3128"; empty: none, regardless of the environment
  bool observe = false;  // fills FetchResult::seen, for reports
};

// The path of the CA bundle of this system, or empty if it is at none of the usual paths.
std::string system_ca_file();

// The PolicyFetcher that uses one libcurl multi handle on the loop. The caller calls
// curl_global_init. Destroy it before the loop.
class CurlFetcher final : public PolicyFetcher {
 public:
  CurlFetcher(event::Loop& loop, Log& log, CurlOptions options);
  ~CurlFetcher() override;

  Handle fetch(const DomainName& policy_host, std::span<const IpAddress> addresses,
               Milliseconds limit, std::function<void(FetchResult)> callback) override;
  bool uses_proxy() const override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtastsd::https
