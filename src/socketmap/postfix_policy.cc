// The reply for a domain whose policy is enforced, in the TLS policy syntax of Postfix.
//
// The text of a reply is made twice by the same code: first only counted, then appended, so
// that out grows at most once.
//
// A policy with a pattern that is no host name, or with none, cannot come out of the parser.
// Should a damaged one get here all the same, the reply is TEMP: the mail waits, instead of
// going out unprotected or under attributes that somebody else wrote.

#include "mtastsd/socketmap/postfix_policy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include "mtastsd/base/ascii.h"

namespace mtastsd::socketmap {
namespace {

constexpr std::string_view kDamaged = "TEMP stored policy is damaged";

struct Counter {
  std::size_t size = 0;
  void operator()(std::string_view text) { size += text.size(); }
};

struct Appender {
  std::string& out;
  void operator()(std::string_view text) { out += text; }
};

// Braces, commas, colons and blanks would end a value in Postfix's syntax; none gets through.
bool is_host_name(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '.'; });
}

bool is_wildcard(std::string_view pattern) {
  return pattern.starts_with("*.");
}

bool is_pattern(std::string_view text) {
  return is_host_name(is_wildcard(text) ? text.substr(2) : text);
}

// In match=, "*.example.com" equals only a literal wildcard in the certificate; what stands
// for hosts below a domain is ".example.com". It reaches more than the one label of RFC 8461
// section 4.1; Postfix 3.10.5 and later correct that by mx_host_pattern=.
std::string_view match_name(std::string_view pattern) {
  return is_wildcard(pattern) ? pattern.substr(1) : pattern;
}

template <typename Out>
void put_level(Out& put, const EnforcedPolicy& policy, const Profile& profile) {
  put("OK secure match=");
  std::string_view separator;
  for (const std::string_view pattern : policy.mx) {
    put(separator);
    put(match_name(pattern));
    separator = ":";
  }
  // RFC 8461 section 7.1: SNI is sent; without this attribute Postfix sends none.
  if (profile.servername) {
    put(" servername=hostname");
  }
}

template <typename Out>
void put_policy_string(Out& put, std::string_view name, std::string_view value) {
  put(" { policy_string = ");
  put(name);
  put(value);
  put(" }");
}

template <typename Out>
void put_report_attributes(Out& put, const EnforcedPolicy& policy, std::string_view max_age) {
  put(" policy_type=sts policy_domain=");
  put(policy.policy_domain);
  put_policy_string(put, "version: ", "STSv1");
  put_policy_string(put, "mode: ", mtasts::to_string(policy.mode));
  for (const std::string_view pattern : policy.mx) {
    put_policy_string(put, "mx: ", pattern);
  }
  put_policy_string(put, "max_age: ", max_age);
  for (const std::string_view pattern : policy.mx) {
    put(" mx_host_pattern=");
    put(pattern);
  }
}

}  // namespace

void append_secure_reply(std::string& out, const EnforcedPolicy& policy, const Profile& profile) {
  if (policy.mx.empty() || !std::all_of(policy.mx.begin(), policy.mx.end(), is_pattern)) {
    out += kDamaged;
    return;
  }
  std::array<char, 24> digits;
  const auto digits_end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                        static_cast<std::int64_t>(policy.max_age.count()))
                              .ptr;
  const std::string_view max_age(digits.data(), digits_end - digits.data());

  Counter counter;
  put_level(counter, policy, profile);
  const std::size_t level_size = counter.size;
  bool report = profile.report_attributes && is_host_name(policy.policy_domain);
  if (report) {
    put_report_attributes(counter, policy, max_age);
    report = counter.size <= kMaxReplyBytes;
  }
  const std::size_t size = out.size() + (report ? counter.size : level_size);
  if (out.capacity() < size) {
    out.reserve(size);
  }
  Appender append{out};
  put_level(append, policy, profile);
  if (report) {
    put_report_attributes(append, policy, max_age);
  }
}

}  // namespace mtastsd::socketmap
