#pragma once

#include <optional>
#include <string_view>

#include "mtastsd/base/domain_name.h"

namespace mtastsd::postfix {

// The two parts of a request "NAME key". A request without a space is a map name with an
// empty key. The views point into the request.
struct Request {
  std::string_view map;
  std::string_view key;
};

Request split_request(std::string_view payload);

// The policy domain that a look-up key of Postfix asks for (RFC 8461 section 3.4), or nullopt where
// there can be no policy and no query may leave the host: a
// ".parent" key, an address (bracketed or not), a single label, a name under .onion,
// anything that is not a domain, or a domain so long that "_mta-sts." before it would not
// fit in a name.
//
// "example.com", "example.com:25", "[relay.example]", "[relay.example]:587" (a port is a
// number to 65535 or a service name) all name a domain; case is folded, one final dot
// dropped, UTF-8 becomes A-labels. ASCII keys allocate nothing.
std::optional<DomainName> policy_domain_of(std::string_view key);

}  // namespace mtastsd::postfix
