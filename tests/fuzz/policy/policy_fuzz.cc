// A policy body, and the replies that are made from it.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "mtastsd/mtasts/annotate.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/postfix/postfix_policy.h"

using namespace mtastsd;
using fuzz::count;
using fuzz::require;

namespace {

constexpr std::string_view kHostChars = "abcdefghijklmnopqrstuvwxyz0123456789-.";
constexpr std::string_view kMatchChars = "abcdefghijklmnopqrstuvwxyz0123456789-.:";
constexpr std::string_view kReportChars = "abcdefghijklmnopqrstuvwxyz0123456789-.: =_{}*STSv1";
constexpr std::string_view kMatch = "OK secure match=";
constexpr std::string_view kServername = " servername=hostname";

std::vector<std::string> pattern_texts(const mtasts::Policy& policy) {
  std::vector<std::string> texts;
  for (const mtasts::MxPattern& pattern : policy.mx) {
    texts.push_back(pattern.str());
    require(mtasts::MxPattern::parse(texts.back()) == pattern, "a pattern parses to itself");
    require(fuzz::only_from(pattern.domain.view(), kHostChars), "host-name characters only");
  }
  const std::set<std::string> distinct(texts.begin(), texts.end());
  require(distinct.size() == texts.size(), "no pattern is there twice");
  return texts;
}

void check_policy(const mtasts::Policy& policy, const std::vector<std::string>& mx) {
  require(policy.max_age >= Seconds{0} && policy.max_age <= mtasts::kMaxMaxAge, "max_age in range");
  require(policy.mode == mtasts::Mode::None || !mx.empty(), "mx unless mode is none");
  std::string canonical = "version:STSv1\nmode:" + std::string(to_string(policy.mode)) + "\n";
  for (const std::string& pattern : mx) {
    canonical += "mx:" + pattern + "\n";
  }
  canonical += "max_age:" + std::to_string(policy.max_age.count());
  const auto again = mtasts::parse_policy(canonical);
  require(again && *again == policy, "the canonical policy parses to the same");
}

void check_reply(const mtasts::Policy& policy, const std::vector<std::string>& mx,
                 const postfix::Profile& profile) {
  const std::vector<std::string_view> views(mx.begin(), mx.end());
  std::string reply;
  append_secure_reply(reply, {"example.com", policy.mode, policy.max_age, views}, profile);
  require(reply.size() <= postfix::kMaxReplyBytes, "Postfix takes no longer reply");
  std::string_view rest = reply;
  require(rest.starts_with(kMatch), "level and match come first");
  rest.remove_prefix(kMatch.size());
  const std::string_view match = rest.substr(0, rest.find(' '));
  rest.remove_prefix(match.size());
  require(fuzz::only_from(match, kMatchChars), "match holds host names");
  require(count(match, ":") == mx.size() - 1, "a name for each pattern");
  require(!match.starts_with(':') && !match.ends_with(':') && count(match, "::") == 0,
          "no empty name in match");
  require(rest.starts_with(kServername) == profile.servername, "servername as the profile says");
  rest.remove_prefix(profile.servername ? kServername.size() : 0);
  if (!profile.report_attributes) {
    require(rest.empty(), "nothing else in a plain reply");
  }
  if (rest.empty()) {
    return;
  }
  require(fuzz::only_from(rest, kReportChars), "report attributes hold known characters");
  require(rest.starts_with(" policy_type=sts policy_domain=example.com { policy_string = "),
          "type and domain come first");
  require(count(rest, " { policy_string = ") == mx.size() + 3, "a string for each line");
  require(count(rest, "{") == mx.size() + 3 && count(rest, " }") == mx.size() + 3,
          "as many braces as strings");
  require(count(rest, " mx_host_pattern=") == mx.size(), "a host pattern for each");
  require(count(rest, "=") == 2 + 2 * mx.size() + 3, "no attribute but these");
  require(rest.ends_with(" mx_host_pattern=" + mx.back()), "the last pattern comes last");
}

void check_annotation(std::string_view body, const std::optional<mtasts::Policy>& policy) {
  const auto annotated = mtasts::annotate_policy(body);
  require(annotated.policy == policy, "the annotation has the policy that the parser has");
  for (const mtasts::PolicyLine& line : annotated.lines) {
    require(line.offset + line.text.size() <= body.size(), "a line lies in the body");
    require(line.comment.empty() == (line.verdict == mtasts::LineVerdict::Good),
            "a comment to all that is not good");
    require(line.comment.empty() || fuzz::fit_to_print(line.comment), "comments can be printed");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body = fuzz::as_text(data, size);
  const auto policy = mtasts::parse_policy(body);
  check_annotation(body, policy ? std::optional(*policy) : std::nullopt);
  if (!policy) {
    require(policy.error().offset <= size, "the offset lies in the body");
    require(fuzz::fit_to_print(policy.error().detail), "the detail can be printed");
    return 0;
  }
  const auto mx = pattern_texts(*policy);
  check_policy(*policy, mx);
  if (!mx.empty()) {
    for (const bool report : {false, true}) {
      for (const bool servername : {false, true}) {
        check_reply(*policy, mx, {.report_attributes = report, .servername = servername});
      }
    }
  }
  return 0;
}
