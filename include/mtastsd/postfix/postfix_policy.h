#pragma once

#include <span>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/postfix/profile.h"

namespace mtastsd::postfix {

// Postfix's limit on a reply without its netstring frame.
inline constexpr std::size_t kMaxReplyBytes = 100000;

inline constexpr std::string_view kNotFound = "NOTFOUND ";
inline constexpr std::string_view kDaneOnly = "OK dane-only";

// The policy that a reply expresses. Its patterns have their stored form ("mail.example.com",
// "*.example.com") and were validated by MxPattern::parse. They are views, so that the answer path
// can point into the cache.
struct EnforcedPolicy {
  std::string_view policy_domain;             // A-labels
  mtasts::Mode mode = mtasts::Mode::Enforce;  // Testing if the profile enforces testing
  Seconds max_age{0};
  std::span<const std::string_view> mx;  // at least one
};

// Appends "OK secure match=..." in Postfix's TLS policy syntax to `out`, without a netstring frame.
// In match=, "*.example.com" becomes ".example.com".
//
// The report attributes are policy_type=sts, policy_domain=..., one { policy_string = ... } for
// each line of the canonical policy, and one mx_host_pattern=... for each pattern. If they would
// make the reply longer than kMaxReplyBytes, all of them are left out, but the match stays.
//
// Only characters of host names and digits get from the arguments into the reply. If a pattern is
// invalid, or there is none, the reply is TEMP, and the mail waits. Allocates nothing if `out` has
// room.
void append_secure_reply(std::string& out, const EnforcedPolicy& policy, const Profile& profile);

// The same for a domain where DANE decides: "OK dane-only". Postfix uses the MX hosts that have
// TLSA records and no others, and authenticates them by these. Such a level takes no match=, and
// Postfix sends the SNI of its own accord. With the report attributes, Postfix 3.10.5 and later
// leaves out the MX hosts that the policy does not list; its TLS reports are about the TLSA records
// all the same (RFC 8460 section 4.2).
void append_dane_reply(std::string& out, const EnforcedPolicy& policy, const Profile& profile);

}  // namespace mtastsd::postfix
