#include "mtastsd/mtasts/annotate.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"
#include "policy_reader.h"

namespace mtastsd::mtasts {
namespace {

constexpr std::array<std::string_view, 4> kKnownFields = {"version", "mode", "max_age", "mx"};
constexpr std::size_t kLongestKnownField = 7;

// Makes "Max-Age" and "maxage" the same.
std::string folded(std::string_view name) {
  std::string result = lower_case(name);
  std::erase_if(result, [](char c) { return !is_alnum(c); });
  return result;
}

// The known field that the author of an unknown name probably meant.
std::optional<std::string_view> probably_meant(std::string_view name) {
  const std::string plain = folded(name);
  if (plain.size() > kLongestKnownField + 1) {
    return std::nullopt;
  }
  for (const std::string_view known : kKnownFields) {
    const std::string target = folded(known);
    // In a name of two letters, another letter makes another word.
    if (plain == target || plain == target + "s" ||
        (target.size() > 2 && edit_distance(plain, target) <= 1)) {
      return known;
    }
  }
  return std::nullopt;
}

std::string comment_on(const ReadLine& line, LineIssue issue) {
  switch (issue) {
    case LineIssue::None:
      return "";
    case LineIssue::Blank:
      return "blank: RFC 8461 has no blank lines, though most senders skip them";
    case LineIssue::Duplicate:
      return line.value == line.first_value ? "a repetition: the first one counts"
                                            : "ignored: the first one counts, with another value";
    case LineIssue::RepeatedMx:
      return "listed before";
    case LineIssue::UnmatchableMx:
      return "ignored: no MX host can have that name";
    case LineIssue::FinalDotMx:
      return "the grammar has no final dot: other senders may refuse the policy";
    case LineIssue::MaxAgeOverLimit:
      return "above the limit: counts as " + std::to_string(kMaxMaxAge.count());
    case LineIssue::UnknownField:
      return "ignored: unknown field";
    case LineIssue::MisspeltField:
      return "ignored: unknown field; did you mean \"" + std::string(*probably_meant(line.name)) +
             "\"?";
    case LineIssue::NotAField:
    case LineIssue::BadVersion:
    case LineIssue::BadMode:
    case LineIssue::BadMaxAge:
    case LineIssue::BadMx:
    case LineIssue::BadValue:
      break;
  }
  return explain_error(line);
}

LineEnd end_of(std::string_view body, std::size_t after_text) {
  if (after_text >= body.size()) {
    return LineEnd::None;
  }
  return body[after_text] == '\r' ? LineEnd::CrLf : LineEnd::Lf;
}

}  // namespace

AnnotatedPolicy annotate_policy(std::string_view body) {
  AnnotatedPolicy annotated;
  if (body.size() > kMaxPolicyBytes) {
    annotated.too_long = true;
    return annotated;
  }
  PolicyReader reader(body);
  std::set<std::string> seen;
  std::size_t patterns = 0;
  while (const auto read = reader.next()) {
    LineIssue issue = read->issue;
    if (issue == LineIssue::UnknownField && probably_meant(read->name)) {
      issue = LineIssue::MisspeltField;
    } else if (reader.patterns().size() > patterns) {
      ++patterns;
      if (!seen.insert(reader.patterns().back().str()).second) {
        issue = LineIssue::RepeatedMx;
      }
    }
    annotated.lines.push_back({annotated.lines.size() + 1, read->offset, read->text,
                               end_of(body, read->offset + read->text.size()), verdict_of(issue),
                               issue, comment_on(*read, issue)});
  }
  annotated.byte_order_mark = reader.byte_order_mark();
  annotated.max_age = reader.max_age();
  annotated.missing = reader.missing();
  annotated.policy = reader.take_policy();
  return annotated;
}

}  // namespace mtastsd::mtasts
