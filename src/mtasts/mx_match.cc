#include "mtastsd/mtasts/mx_match.h"

#include <algorithm>

namespace mtastsd::mtasts {

// Both sides are DomainNames: lower-case A-labels, so bytes can be compared.
bool matches(const MxPattern& pattern, const DomainName& mx_host) {
  if (!pattern.wildcard) {
    return pattern.domain == mx_host;
  }
  // RFC 8461 section 4.1: "*." matches one label, so neither the domain itself nor anything
  // two labels below it.
  const std::string_view host = mx_host.view();
  const std::size_t first_dot = host.find('.');
  return first_dot != std::string_view::npos && host.substr(first_dot + 1) == pattern.domain.view();
}

bool matches_any(std::span<const MxPattern> patterns, const DomainName& mx_host) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const MxPattern& pattern) { return matches(pattern, mx_host); });
}

}  // namespace mtastsd::mtasts
