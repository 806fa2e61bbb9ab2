// The reply for a domain whose policy is enforced, in the TLS policy syntax of Postfix.
//
// The parser never returns a policy without patterns, or with a pattern that is not a host name. If
// a damaged policy gets here nevertheless, the reply is TEMP. Then the mail waits, and is not sent
// unprotected or under attributes that somebody else wrote.

#include "mtastsd/postfix/postfix_policy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include "mtastsd/base/ascii.h"

namespace mtastsd::postfix {
namespace {

constexpr std::string_view kDamaged = "TEMP stored policy is damaged";

// This is a table because every reply checks each byte of each pattern.
constexpr std::array<bool, 256> make_host_name_table() {
  std::array<bool, 256> table{};
  for (int c = 0; c < 128; ++c) {
    const char byte = static_cast<char>(c);
    table[c] = is_alnum(byte) || byte == '-' || byte == '.';
  }
  return table;
}
constexpr std::array<bool, 256> kInHostName = make_host_name_table();

// In Postfix's syntax, a brace, comma, colon or blank ends a value. None of them is accepted here.
bool is_host_name(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return kInHostName[static_cast<unsigned char>(c)]; });
}

bool is_wildcard(std::string_view pattern) {
  return pattern.starts_with("*.");
}

bool is_pattern(std::string_view text) {
  return is_host_name(is_wildcard(text) ? text.substr(2) : text);
}

// In match=, "*.example.com" matches only a literal wildcard in the certificate, and ".example.com"
// matches all hosts below the domain. That is more than the one label of RFC 8461 section 4.1.
// Postfix 3.10.5 and later correct it with mx_host_pattern=.
std::string_view match_name(std::string_view pattern) {
  return is_wildcard(pattern) ? pattern.substr(1) : pattern;
}

void append_level(std::string& out, const EnforcedPolicy& policy, const Profile& profile) {
  out += "OK secure match=";
  std::string_view separator;
  for (const std::string_view pattern : policy.mx) {
    out += separator;
    out += match_name(pattern);
    separator = ":";
  }
  // RFC 8461 section 7.1 requires SNI. Without this attribute, Postfix sends none.
  if (profile.servername) {
    out += " servername=hostname";
  }
}

void append_dane_level(std::string& out, const EnforcedPolicy& /*policy*/,
                       const Profile& /*profile*/) {
  out += kDaneOnly;
}

void append_policy_string(std::string& out, std::string_view name, std::string_view value) {
  out += " { policy_string = ";
  out += name;
  out += value;
  out += " }";
}

void append_report_attributes(std::string& out, const EnforcedPolicy& policy) {
  std::array<char, 24> digits;
  const auto digits_end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                        static_cast<std::int64_t>(policy.max_age.count()))
                              .ptr;
  out += " policy_type=sts policy_domain=";
  out += policy.policy_domain;
  append_policy_string(out, "version: ", "STSv1");
  append_policy_string(out, "mode: ", mtasts::to_string(policy.mode));
  for (const std::string_view pattern : policy.mx) {
    append_policy_string(out, "mx: ", pattern);
  }
  append_policy_string(
      out, "max_age: ", {digits.data(), static_cast<std::size_t>(digits_end - digits.data())});
  for (const std::string_view pattern : policy.mx) {
    out += " mx_host_pattern=";
    out += pattern;
  }
}

template <typename AppendLevel>
void append_reply(std::string& out, const EnforcedPolicy& policy, const Profile& profile,
                  AppendLevel append_the_level) {
  if (policy.mx.empty() || !std::all_of(policy.mx.begin(), policy.mx.end(), is_pattern)) {
    out += kDamaged;
    return;
  }
  const std::size_t begin = out.size();
  append_the_level(out, policy, profile);
  if (!profile.report_attributes || !is_host_name(policy.policy_domain)) {
    return;
  }
  const std::size_t without_report = out.size();
  append_report_attributes(out, policy);
  if (out.size() - begin > kMaxReplyBytes) {
    out.resize(without_report);
  }
}

}  // namespace

void append_secure_reply(std::string& out, const EnforcedPolicy& policy, const Profile& profile) {
  append_reply(out, policy, profile, &append_level);
}

void append_dane_reply(std::string& out, const EnforcedPolicy& policy, const Profile& profile) {
  append_reply(out, policy, profile, &append_dane_level);
}

}  // namespace mtastsd::postfix
