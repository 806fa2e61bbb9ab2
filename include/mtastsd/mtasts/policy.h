#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/mtasts/parse_error.h"

namespace mtastsd::mtasts {

enum class Mode : unsigned char { None = 0, Testing = 1, Enforce = 2 };

std::string_view to_string(Mode mode);

// One "mx" value: a domain name, or "*." and a domain name (RFC 8461 sections 3.2, 4.1).
struct MxPattern {
  bool wildcard = false;
  DomainName domain;

  static std::optional<MxPattern> parse(std::string_view text);
  std::string str() const;  // "mail.example.com" or "*.example.com"
  friend bool operator==(const MxPattern&, const MxPattern&) = default;
};

// A valid policy. `mx` is in the order of the file, in lower case and without repeats. It is empty
// only in mode none.
struct Policy {
  Mode mode = Mode::None;
  Seconds max_age{0};  // at most kMaxMaxAge
  std::vector<MxPattern> mx;
  friend bool operator==(const Policy&, const Policy&) = default;
};

// The policy as a body of its own, without anything that senders ignore: a line each for its
// version, mode, patterns and max_age.
std::string text_of(const Policy& policy);

inline constexpr Seconds kMaxMaxAge{31557600};
inline constexpr std::size_t kMaxPolicyBytes = 64 * 1024;

// Parses a policy body (RFC 8461 section 3.2). The time is linear in its size, except for sorting
// the patterns. The head of policy.cc lists what was chosen where the RFC is silent.
Result<Policy, ParseError> parse_policy(std::string_view body);

}  // namespace mtastsd::mtasts
