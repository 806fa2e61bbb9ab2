#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mtastsd/base/ip_address.h"
#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd {
class Log;
namespace event {
class Loop;
}
}  // namespace mtastsd

namespace mtastsd::https {

class Authorities;

struct CurlOptions {
  std::string ca_file;  // PEM bundle or hashed directory; empty: the system's bundle
  std::uint16_t port = 443;
  std::string proxy;     // "http://proxy.example:3128"; empty: none, regardless of the environment
  bool observe = false;  // fills FetchResult::seen, for reports
  std::string proxy_credentials = {};  // "user:password"
  // Where the connection to the proxy comes from: that of the proxy's family, if there is one.
  std::vector<IpAddress> sources = {};
  // Those that several fetchers share, in the place of ca_file. Whoever made them watches them.
  std::shared_ptr<Authorities> authorities = nullptr;
};

// The PolicyFetcher that uses one libcurl multi handle on the loop. The caller calls
// curl_global_init. Destroy it before the loop.
//
// The authorities of the bundle are read at the start, and again when a fetch begins and the file
// has changed. While none can be read every fetch fails, and the log says so every ten minutes
// (AuthoritiesWatch).
std::unique_ptr<PolicyFetcher> make_curl_fetcher(event::Loop& loop, Log& log, CurlOptions options);

}  // namespace mtastsd::https
