#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/mtasts/policy.h"
#include "settings.h"

namespace mtastsd::ctl {

// A host that mail for a domain is sent to, and what a policy has to say to it.
struct MxHost {
  std::uint16_t preference = 0;
  std::string host;
  std::optional<mtasts::MxPattern> pattern;  // the first that it matches
};

// The MX hosts of a domain now, by preference, asked of the servers that the daemon asks. Without
// an MX record that is the domain itself (RFC 5321 section 5.1); one that takes no mail (RFC 7505)
// has none. Calls `tick` while it waits. Errors are one sentence.
Result<std::vector<MxHost>, std::string> mx_hosts(const Settings& settings,
                                                  const DomainName& domain,
                                                  const std::function<void()>& tick);

// Fills in the patterns that match (RFC 8461 section 4.1).
void match(std::vector<MxHost>& hosts, const mtasts::Policy& policy);

}  // namespace mtastsd::ctl
