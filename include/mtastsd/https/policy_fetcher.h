#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/https/connection.h"
#include "mtastsd/https/observation.h"

namespace mtastsd::https {

enum class ErrorKind {
  Connect,      // no address of the policy host accepted a connection
  Timeout,      // not finished within the limit
  Tls,          // the handshake failed, but not because of the certificate
  Certificate,  // the chain, time or name of the certificate (RFC 8461 section 3.3)
  Status,       // a status other than 200, redirects included
  MediaType,    // not text/plain
  TooLarge,     // the body or the headers are too large
  Protocol,     // not HTTP, or truncated
  Proxy,        // the proxy failed or refused; nothing is known of the policy host
};

struct Error {
  ErrorKind kind = ErrorKind::Connect;
  std::string detail;
};

// The result type of RFC 8460 section 4.3 for a failed fetch: "sts-webpki-invalid" for a
// certificate, and otherwise "sts-policy-fetch-error".
std::string_view result_type(ErrorKind kind);

struct PolicyBody {
  std::string body;  // status 200, text/plain, complete
};

// The outcome of a fetch, and what was observed if the fetcher observes.
struct FetchResult : Result<PolicyBody, Error> {
  using Result<PolicyBody, Error>::Result;
  Observation seen;
};

class Fetch {
 public:
  virtual ~Fetch() = default;  // dropping it cancels
};
using Handle = std::unique_ptr<Fetch>;

struct FetchLimits {
  Milliseconds total{0};  // the timeout of the whole fetch
  // How long a fetch may go on with less than kLeastBytesPerSecond on average, the TLS handshake
  // included. 0: as long as it likes.
  Milliseconds stall{0};
};
inline constexpr std::size_t kLeastBytesPerSecond = 100;

// Fetches https://mta-sts.<domain>/.well-known/mta-sts.txt under the rules of RFC 8461 section 3.3.
// The callback runs at most once, never before fetch() has returned, and never from a destructor.
// It may drop its own handle.
class PolicyFetcher {
 public:
  virtual ~PolicyFetcher() = default;
  // `connection` leads to the policy host. It is empty if a proxy is configured (uses_proxy()),
  // which looks up the name and connects itself.
  virtual Handle fetch(const DomainName& policy_host, Connection connection, FetchLimits limits,
                       std::function<void(FetchResult)> callback) = 0;
  virtual bool uses_proxy() const = 0;
};

}  // namespace mtastsd::https
