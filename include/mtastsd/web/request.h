#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mtastsd/base/result.h"

namespace mtastsd::web {

// The most bytes of a request: its line and its fields, to the empty line.
inline constexpr std::size_t kMaxHeadBytes = 8192;

// A request, taken apart. All of it is text from a stranger, but for `head`.
struct Request {
  bool head = false;                                       // HEAD, else GET
  std::string path;                                        // decoded; begins with "/"
  std::vector<std::pair<std::string, std::string>> query;  // decoded; at most kMaxParameters
  // X-Forwarded-Prefix: where the proxy in front has put the pages. Empty, or as check_prefix() has
  // it.
  std::string prefix;
  std::string forwarded_for;  // the last item of X-Forwarded-For; empty: there is none
  // Whom the bounds for each client are for: the address of the peer, or forwarded_for where the
  // peer is on this host. Set by the server.
  std::string client;

  // The value of the first parameter of this name; empty if there is none.
  std::string_view parameter(std::string_view name) const;
};
inline constexpr std::size_t kMaxParameters = 16;

// Reads a head up to and without its empty line, of HTTP/1.0 or HTTP/1.1 (RFC 9112). The error is
// the status of the refusal: 400, 405 for a method other than GET and HEAD, 413 for a request with
// a body, 505 for another version of HTTP. Pure.
Result<Request, int> parse_request(std::string_view head);

// A path that pages are below, "/mtasts": without a slash at its end, and of characters that need
// no escapes in a URL or in HTML. Empty where `text` is none, or is "/".
std::string check_prefix(std::string_view text);

// "a b/c" as "a%20b%2Fc".
std::string percent_encoded(std::string_view text);

}  // namespace mtastsd::web
