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

// What a reply is made from. The patterns are in their stored form, already validated by
// MxPattern::parse ("mail.example.com", "*.example.com"); views, so that the answer path can
// point into the cache.
struct EnforcedPolicy {
  std::string_view policy_domain;             // A-labels
  mtasts::Mode mode = mtasts::Mode::Enforce;  // Testing where a profile enforces testing
  Seconds max_age{0};
  std::span<const std::string_view> mx;  // at least one
};

// Appends "OK secure match=..." in Postfix's TLS policy syntax to out, without a frame.
// "*.example.com" becomes ".example.com" in match=. With report attributes:
// policy_type=sts policy_domain=... { policy_string = ... } for each line of the canonical
// policy, mx_host_pattern=... for each pattern; never policy_failure or policy_ttl. If that
// would pass kMaxReplyBytes, all report attributes are left out, never the match. Only
// host-name characters and digits of the arguments can reach the reply.
// Without a pattern, or with one that is none, it is a TEMP reply: the mail waits.
// Allocates nothing when out has room.
void append_secure_reply(std::string& out, const EnforcedPolicy& policy, const Profile& profile);

}  // namespace mtastsd::postfix
