#pragma once

#include <optional>
#include <string_view>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/dane/state.h"

namespace mtastsd::postfix {

// The two parts of a request "NAME key". A request without a space is a map name with an empty
// key. The views point into the request.
struct Request {
  std::string_view map;
  std::string_view key;
};

Request split_request(std::string_view payload);

// The policy domain of a lookup key (RFC 8461 section 3.4), or nullopt if the key can have no
// policy, so that no query must leave the host. Such a key is a ".parent" key, an address (with or
// without brackets), a single label, a name under .onion, not a domain at all, or a domain so long
// that "_mta-sts." in front of it would not fit into a name.
//
// These forms name a domain: "example.com", "example.com:25", "[relay.example]" and
// "[relay.example]:587". A port is a number up to 65535 or a service name. Case is folded, one
// final dot is removed, and UTF-8 becomes A-labels. ASCII keys allocate nothing.
std::optional<DomainName> policy_domain_of(std::string_view key);

// Where Postfix delivers to under a key that names a policy domain: "[host]" is that host, and all
// else has MX records, with a port as well. The port is 25 if there is none, or if it is the name
// of a service that mail is not sent to.
dane::Target target_of(std::string_view key);

}  // namespace mtastsd::postfix
