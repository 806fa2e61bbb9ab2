#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/result.h"
#include "mtastsd/https/observation.h"

namespace mtastsd::https {

enum class ErrorKind {
  Connect,      // no address of the policy host could be connected to
  Timeout,      // not done within the limit
  Tls,          // handshake failed other than by the certificate
  Certificate,  // chain, validity or name of the certificate (RFC 8461 section 3.3)
  Status,       // a status other than 200, redirects included
  MediaType,    // not text/plain
  TooLarge,     // more than kMaxPolicyBytes, or headers without end
  Protocol,     // not HTTP, or cut short
};

struct Error {
  ErrorKind kind = ErrorKind::Connect;
  std::string detail;
};

// Result types of RFC 8460 section 4.3 for a failed fetch: "sts-webpki-invalid" for
// certificates, else "sts-policy-fetch-error".
std::string_view result_type(ErrorKind kind);

struct PolicyBody {
  std::string body;  // status 200, text/plain, complete
};

// How a fetch ended, and what was seen on the way where the fetcher was told to look.
struct FetchResult : Result<PolicyBody, Error> {
  using Result<PolicyBody, Error>::Result;
  Observation seen;
};

class Fetch {
 public:
  virtual ~Fetch() = default;  // dropping it cancels
};
using Handle = std::unique_ptr<Fetch>;

// GET https://mta-sts.<domain>/.well-known/mta-sts.txt under the rules of RFC 8461 section
// 3.3. The callback runs at most once, never before fetch() has returned and never from a
// destructor; it may drop its own handle.
class PolicyFetcher {
 public:
  virtual ~PolicyFetcher() = default;
  // `addresses`: where the policy host is, already vetted; tried one after the other. Empty
  // only when a proxy is configured (uses_proxy()), which then resolves the name itself.
  // `limit`: for all of it.
  virtual Handle fetch(const DomainName& policy_host, std::span<const IpAddress> addresses,
                       Milliseconds limit, std::function<void(FetchResult)> callback) = 0;
  virtual bool uses_proxy() const = 0;
};

}  // namespace mtastsd::https
