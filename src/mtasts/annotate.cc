#include "mtastsd/mtasts/annotate.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"
#include "policy_grammar.h"

namespace mtastsd::mtasts {
namespace {

constexpr std::array<std::string_view, 4> kKnownFields = {"version", "mode", "max_age", "mx"};
constexpr std::size_t kLongestKnownField = 7;

// "Max-Age" and "maxage" come to the same.
std::string folded(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (is_alnum(c)) {
      result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return result;
}

// Whether one insertion, one deletion, one change or one swap of neighbours makes `a` into `b`.
bool one_slip_apart(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) {
    std::swap(a, b);
  }
  if (b.size() - a.size() > 1) {
    return false;
  }
  std::size_t same = 0;
  while (same < a.size() && a[same] == b[same]) {
    ++same;
  }
  std::string_view rest_a = a.substr(same);
  std::string_view rest_b = b.substr(same);
  if (rest_a.size() < rest_b.size()) {
    return rest_b.substr(1) == rest_a;
  }
  if (rest_a.empty() || rest_a.substr(1) == rest_b.substr(1)) {
    return true;
  }
  return rest_a.size() >= 2 && rest_a[0] == rest_b[1] && rest_a[1] == rest_b[0] &&
         rest_a.substr(2) == rest_b.substr(2);
}

// The known field that an unknown name was probably meant for.
std::optional<std::string_view> probably_meant(std::string_view name) {
  const std::string plain = folded(name);
  if (plain.size() > kLongestKnownField + 1) {
    return std::nullopt;
  }
  for (const std::string_view known : kKnownFields) {
    const std::string target = folded(known);
    // One letter more or less is another word where there are only two.
    if (plain == target || plain == target + "s" ||
        (target.size() > 2 && one_slip_apart(plain, target))) {
      return known;
    }
  }
  return std::nullopt;
}

class Annotator {
 public:
  explicit Annotator(AnnotatedPolicy& policy) : policy_(policy) {}

  void add(PolicyLine& line) {
    if (line.text.empty()) {
      say(line, LineVerdict::Note, LineIssue::Blank,
          "blank: RFC 8461 knows no blank lines, though most senders skip them");
      return;
    }
    const auto field = split_field(line.text);
    if (!field) {
      say(line, LineVerdict::Error, LineIssue::NotAField, why_no_field(line.text));
    } else if (field->name == "mx") {
      add_mx(line, field->value);
    } else if (!is_extension_value(field->value)) {
      say(line, LineVerdict::Error, LineIssue::BadValue,
          field->value.empty() ? "no value" : "not a value: " + in_quotes(field->value));
    } else if (field->name == "version") {
      add_known(line, version_, *field, LineIssue::BadVersion, field->value == "STSv1",
                "must be STSv1");
    } else if (field->name == "mode") {
      add_known(line, mode_, *field, LineIssue::BadMode, parse_mode(field->value).has_value(),
                "must be enforce, testing or none, in lower case");
    } else if (field->name == "max_age") {
      add_max_age(line, *field);
    } else {
      add_unknown(line, field->name);
    }
  }

  void finish() {
    if (!version_) policy_.missing.emplace_back("version");
    if (!mode_) policy_.missing.emplace_back("mode");
    if (!max_age_) policy_.missing.emplace_back("max_age");
    if (patterns_ == 0 && mode_ != "none") policy_.missing.emplace_back("mx");
  }

 private:
  using First = std::optional<std::string>;  // the value that counts

  static void say(PolicyLine& line, LineVerdict verdict, LineIssue issue, std::string comment) {
    line.verdict = verdict;
    line.issue = issue;
    line.comment = std::move(comment);
  }

  static std::string why_no_field(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (is_wsp(line.front())) {
      return "white space at the beginning";
    }
    if (colon == std::string_view::npos) {
      return "no \":\"";
    }
    if (colon > 0 && is_wsp(line[colon - 1])) {
      return "white space before the \":\"";
    }
    return "not a field name: " + in_quotes(line.substr(0, colon));
  }

  // RFC 8461 section 3.2: of a field that comes twice the first counts.
  void add_known(PolicyLine& line, First& first, const Field& field, LineIssue issue, bool good,
                 const std::string& rule) {
    if (first) {
      const bool same = *first == field.value;
      say(line, LineVerdict::Fault, LineIssue::Duplicate,
          same ? "once more: the first one counts"
               : "ignored: the first one counts, with another value");
      return;
    }
    first = std::string(field.value);
    if (!good) {
      say(line, LineVerdict::Error, issue, rule + ", not " + in_quotes(field.value));
    }
  }

  void add_max_age(PolicyLine& line, const Field& field) {
    const bool is_first = !max_age_;
    const auto value = parse_max_age(field.value);
    add_known(line, max_age_, field, LineIssue::BadMaxAge, value.has_value(),
              "must be 1 to 10 digits, seconds");
    if (!is_first || !value) {
      return;
    }
    policy_.max_age = *value;
    if (*value > kMaxMaxAge) {
      say(line, LineVerdict::Fault, LineIssue::MaxAgeOverLimit,
          "above the limit: counts as " + std::to_string(kMaxMaxAge.count()));
    }
  }

  void add_mx(PolicyLine& line, std::string_view value) {
    const auto pattern = MxPattern::parse(value);
    if (!pattern && !ends_in_number(value)) {
      say(line, LineVerdict::Error, LineIssue::BadMx, why_no_mx(value));
      return;
    }
    if (!pattern || is_keyword_of_postfix(*pattern)) {
      say(line, LineVerdict::Fault, LineIssue::UnmatchableMx, "no MX host can have that name");
      return;
    }
    ++patterns_;
    if (!seen_.insert(pattern->str()).second) {
      say(line, LineVerdict::Note, LineIssue::RepeatedMx, "listed before");
    } else if (value.ends_with('.')) {
      say(line, LineVerdict::Fault, LineIssue::FinalDotMx,
          "the final dot is not in the grammar: other senders may refuse the policy");
    }
  }

  static std::string why_no_mx(std::string_view value) {
    if (value.empty()) {
      return "no host name";
    }
    if (value.starts_with('.')) {
      return in_quotes(value) + " must be written with a \"*\" in front";
    }
    if (value.find('*') != std::string_view::npos) {
      return "\"*\" may only be the whole first label: " + in_quotes(value);
    }
    return "not a host name or *.domain: " + in_quotes(value);
  }

  static void add_unknown(PolicyLine& line, std::string_view name) {
    if (const auto meant = probably_meant(name)) {
      say(line, LineVerdict::Fault, LineIssue::MisspeltField,
          "ignored: unknown field; was \"" + std::string(*meant) + "\" meant?");
    } else {
      say(line, LineVerdict::Note, LineIssue::UnknownField, "ignored: unknown field");
    }
  }

  AnnotatedPolicy& policy_;
  First version_;
  First mode_;
  First max_age_;
  std::size_t patterns_ = 0;
  std::set<std::string> seen_;
};

LineEnd end_of(std::string_view body, std::size_t after_text) {
  if (after_text >= body.size()) {
    return LineEnd::None;
  }
  return body[after_text] == '\r' ? LineEnd::CrLf : LineEnd::Lf;
}

}  // namespace

bool AnnotatedPolicy::valid() const {
  return !too_long && missing.empty() &&
         std::none_of(lines.begin(), lines.end(),
                      [](const PolicyLine& line) { return line.verdict == LineVerdict::Error; });
}

AnnotatedPolicy annotate_policy(std::string_view body) {
  AnnotatedPolicy policy;
  if (body.size() > kMaxPolicyBytes) {
    policy.too_long = true;
    return policy;
  }
  std::string_view rest = body;
  if (rest.starts_with(kByteOrderMark)) {
    policy.byte_order_mark = true;
    rest.remove_prefix(kByteOrderMark.size());
  }
  Annotator annotator(policy);
  while (!rest.empty()) {
    PolicyLine line;
    line.offset = body.size() - rest.size();
    line.number = policy.lines.size() + 1;
    line.text = next_line(rest);
    line.end = end_of(body, line.offset + line.text.size());
    annotator.add(line);
    policy.lines.push_back(std::move(line));
  }
  annotator.finish();
  return policy;
}

}  // namespace mtastsd::mtasts
