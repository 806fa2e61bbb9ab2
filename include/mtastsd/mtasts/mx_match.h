#pragma once

#include <span>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/mtasts/policy.h"

namespace mtastsd::mtasts {

// RFC 8461 section 4.1: a wildcard stands for exactly one label, the left-most.
bool matches(const MxPattern& pattern, const DomainName& mx_host);
bool matches_any(std::span<const MxPattern> patterns, const DomainName& mx_host);

}  // namespace mtastsd::mtasts
