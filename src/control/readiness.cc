#include "mtastsd/control/readiness.h"

#include <algorithm>

namespace mtastsd::control {

std::optional<std::string> cache_problem(const Status& status) {
  if (status.cache.writable) {
    return std::nullopt;
  }
  return "the cache cannot be written, so new policies are lost at a restart";
}

std::optional<std::string> authorities_problem(const Status& status) {
  if (!status.ca_problem) {
    return std::nullopt;
  }
  return "no policy can be fetched, because the CA file is of no use: " + *status.ca_problem;
}

std::optional<std::string> not_ready(const Status& status) {
  auto problem = cache_problem(status);
  return problem ? problem : authorities_problem(status);
}

bool no_dns_server_is_good(const Status& status) {
  return std::all_of(status.dns.begin(), status.dns.end(), [](const Status::DnsServer& server) {
    return server.silent || server.last_error;
  });
}

}  // namespace mtastsd::control
