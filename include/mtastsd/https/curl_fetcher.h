#pragma once

#include <cstdint>
#include <memory>
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
std::unique_ptr<PolicyFetcher> make_curl_fetcher(event::Loop& loop, Log& log, CurlOptions options);

}  // namespace mtastsd::https
