// The policy body of RFC 8461 section 3.2. There is no HTTP here: the status, the media type and
// the transfer are checked before the body gets to this parser.
//
// Choices where the RFC is silent, and differences from its grammar:
// - One UTF-8 byte order mark at the beginning is skipped. Some editors write it, and it cannot
//   change the meaning of what follows.
// - Blank lines are skipped. Many published files end in one, and an empty line has no other
//   meaning. A line of white space is not blank.
// - A line ends with LF, and one CR before that LF belongs to the end. No other character ends a
//   line. A CR elsewhere, FF or U+0085 is part of a value, where control characters are errors.
// - White space is SP and TAB. It is allowed after ":" and at the end of a line, and nowhere else.
// - Every line must be a well-formed field, known or not. So a web page or a half-filled template
// is
//   not searched for lines that look right.
// - Extension values are UTF-8 (RFC 3629) without control characters below U+0020 and without DEL.
// The
//   C1 controls (U+0080 to U+009F) are UTF8-2 by the grammar and allowed.
// - Of each known field other than "mx", the first one counts, even if it is wrong and a later one
// is
//   right. Later ones only have to be well-formed fields.
// - "max_age" can have ten digits (erratum 7282) and is capped at the maximum that the RFC's text
//   gives. A policy that means "long" is more useful than none.
// - An "mx" with one final dot is accepted without it, because it can only mean that name.
// - An "mx" that ends in a number ("192.0.2.1") fits the grammar, which has no rule for the last
//   label, but no MX host can have that name. It is ignored, and if no other is listed, the policy
//   has no mx. The same is true of "hostname", "nexthop" and "dot-nexthop", which Postfix gives
//   another meaning. Any other invalid "mx" makes the policy invalid, in mode none too.
// - A body of more than kMaxPolicyBytes is an error, because half a policy is another policy.

#include "policy_reader.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <numeric>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/utf8.h"

namespace mtastsd::mtasts {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kWildcard = "*.";
constexpr std::size_t kMaxNameSize = 32;
constexpr std::size_t kMaxAgeDigits = 10;

bool is_name_char(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

// RFC 8461 section 3.2: sts-policy-term = LF / CRLF; the last line may lack it. Takes one line off.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) {
    return std::exchange(rest, {});
  }
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

// RFC 8461 section 3.2: sts-policy-ext-name ":", which takes in the known names, then *WSP value
// *WSP. The value may still be empty. False if the line is no field.
bool split_field(ReadLine& line) {
  const std::string_view text = line.text;
  const std::size_t name_size =
      std::find_if_not(text.begin(), text.end(), is_name_char) - text.begin();
  if (name_size == 0 || name_size > kMaxNameSize || !is_alnum(text.front()) ||
      name_size == text.size() || text[name_size] != ':') {
    return false;
  }
  line.name = text.substr(0, name_size);
  line.value = text.substr(name_size + 1);
  while (!line.value.empty() && is_wsp(line.value.front())) {
    line.value.remove_prefix(1);
  }
  while (!line.value.empty() && is_wsp(line.value.back())) {
    line.value.remove_suffix(1);
  }
  return true;
}

// RFC 8461 section 3.2: sts-policy-ext-value.
bool is_extension_value(std::string_view value) {
  return !value.empty() &&
         std::none_of(value.begin(), value.end(), [](char c) { return is_control(c); }) &&
         is_utf8(value);
}

std::optional<Mode> parse_mode(std::string_view text) {
  for (const Mode mode : {Mode::Enforce, Mode::Testing, Mode::None}) {
    if (text == to_string(mode)) {
      return mode;
    }
  }
  return std::nullopt;
}

// RFC 8461 section 3.2: 1*10(DIGIT).
std::optional<Seconds> parse_max_age(std::string_view text) {
  if (!all_digits(text) || text.size() > kMaxAgeDigits) {
    return std::nullopt;
  }
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return Seconds{value};
}

std::string_view without_wildcard(std::string_view text) {
  return text.substr(text.starts_with(kWildcard) ? kWildcard.size() : 0);
}

// True for a domain by RFC 5321's grammar whose last label is a number: with a letter for the last
// digit it would be an ordinary name.
bool ends_in_number(std::string_view text) {
  std::string_view domain = without_wildcard(text);
  if (domain.ends_with('.')) {
    domain.remove_suffix(1);
  }
  if (domain.size() > DomainName::kMaxSize || !all_digits(domain.substr(domain.rfind('.') + 1))) {
    return false;
  }
  std::string name(domain);
  name.back() = 'a';
  return DomainName::parse(name).has_value();
}

// In a match list of Postfix these stand for "whatever the MX host is called" and the like. A
// policy must not be able to say that.
bool is_keyword_of_postfix(const MxPattern& pattern) {
  const std::string_view name = pattern.domain.view();
  return !pattern.wildcard && (name == "hostname" || name == "nexthop" || name == "dot-nexthop");
}

// Takes repeats out and keeps the order of the first ones. Sorting bounds the work whatever names
// the domain chose, which hashing would not.
void drop_repeats(std::vector<MxPattern>& patterns) {
  std::vector<std::uint32_t> order(patterns.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](std::uint32_t i) {
    return std::pair(patterns[i].domain.view(), patterns[i].wildcard);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); });
  std::vector<bool> repeated(patterns.size());
  for (std::size_t i = 1; i < order.size(); ++i) {
    repeated[order[i]] = patterns[order[i]] == patterns[order[i - 1]];
  }
  std::size_t at = 0;
  std::erase_if(patterns, [&](const MxPattern&) { return repeated[at++]; });
}

// RFC 8461 section 3.2: of a field that comes twice the first counts.
bool is_first(std::optional<std::string_view>& first, ReadLine& line) {
  if (first) {
    line.first_value = *first;
    return false;
  }
  first = line.value;
  return true;
}

std::string explain_no_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (is_wsp(line.front())) {
    return "white space at the beginning of the line";
  }
  if (colon == std::string_view::npos) {
    return "no \":\" in " + in_quotes(line);
  }
  if (colon > 0 && is_wsp(line[colon - 1])) {
    return "white space before the \":\"";
  }
  return "not a field name: " + in_quotes(line.substr(0, colon));
}

std::string explain_bad_mx(std::string_view value) {
  if (value.empty()) {
    return "mx has no host name";
  }
  if (value.starts_with('.')) {
    return "mx " + in_quotes(value) + " needs a \"*\" in front";
  }
  if (value.find('*') != std::string_view::npos) {
    return "in mx " + in_quotes(value) + " the \"*\" is not the whole first label";
  }
  return "mx is not a host name or \"*.\" and a domain: " + in_quotes(value);
}

}  // namespace

std::optional<MxPattern> MxPattern::parse(std::string_view text) {
  const auto domain = DomainName::parse(without_wildcard(text));
  if (!domain) {
    return std::nullopt;
  }
  return MxPattern{text.starts_with(kWildcard), *domain};
}

std::string MxPattern::str() const {
  std::string text(wildcard ? kWildcard : "");
  text += domain.view();
  return text;
}

std::string text_of(const Policy& policy) {
  std::string text = "version: STSv1\nmode: ";
  text += to_string(policy.mode);
  for (const MxPattern& pattern : policy.mx) {
    text += "\nmx: " + pattern.str();
  }
  return text + "\nmax_age: " + std::to_string(policy.max_age.count()) + "\n";
}

PolicyReader::PolicyReader(std::string_view body) : body_(body), rest_(body) {
  byte_order_mark_ = rest_.starts_with(kByteOrderMark);
  if (byte_order_mark_) {
    rest_.remove_prefix(kByteOrderMark.size());
  }
}

std::optional<ReadLine> PolicyReader::next() {
  if (rest_.empty()) {
    return std::nullopt;
  }
  ReadLine line;
  line.offset = body_.size() - rest_.size();
  line.text = take_line(rest_);
  line.issue = judge(line);
  failed_ = failed_ || verdict_of(line.issue) == LineVerdict::Error;
  return line;
}

LineIssue PolicyReader::judge(ReadLine& line) {
  if (line.text.empty()) {
    return LineIssue::Blank;
  }
  if (!split_field(line)) {
    return LineIssue::NotAField;
  }
  if (line.name == "mx") {
    return judge_mx(line);
  }
  if (!is_extension_value(line.value)) {
    return LineIssue::BadValue;
  }
  // RFC 8461 section 3.2: names are case-sensitive, and unknown fields are ignored.
  if (line.name == "version") {
    if (!is_first(first_version_, line)) {
      return LineIssue::Duplicate;
    }
    return line.value == "STSv1" ? LineIssue::None : LineIssue::BadVersion;
  }
  if (line.name == "mode") {
    if (!is_first(first_mode_, line)) {
      return LineIssue::Duplicate;
    }
    mode_ = parse_mode(line.value);
    return mode_ ? LineIssue::None : LineIssue::BadMode;
  }
  if (line.name == "max_age") {
    if (!is_first(first_max_age_, line)) {
      return LineIssue::Duplicate;
    }
    max_age_ = parse_max_age(line.value);
    if (!max_age_) {
      return LineIssue::BadMaxAge;
    }
    return *max_age_ > kMaxMaxAge ? LineIssue::MaxAgeOverLimit : LineIssue::None;
  }
  return LineIssue::UnknownField;
}

LineIssue PolicyReader::judge_mx(const ReadLine& line) {
  const auto pattern = MxPattern::parse(line.value);
  if (!pattern) {
    return ends_in_number(line.value) ? LineIssue::UnmatchableMx : LineIssue::BadMx;
  }
  if (is_keyword_of_postfix(*pattern)) {
    return LineIssue::UnmatchableMx;
  }
  mx_.push_back(*pattern);
  return line.value.ends_with('.') ? LineIssue::FinalDotMx : LineIssue::None;
}

// RFC 8461 section 3.2: version, mode and max_age are required, and mx unless the mode is none.
std::vector<std::string_view> PolicyReader::missing() const {
  std::vector<std::string_view> names;
  if (!first_version_) {
    names.emplace_back("version");
  }
  if (!first_mode_) {
    names.emplace_back("mode");
  }
  if (!first_max_age_) {
    names.emplace_back("max_age");
  }
  if (mx_.empty() && mode_ != Mode::None) {
    names.emplace_back("mx");
  }
  return names;
}

std::optional<Policy> PolicyReader::take_policy() {
  if (failed_ || !missing().empty()) {
    return std::nullopt;
  }
  drop_repeats(mx_);
  return Policy{*mode_, std::min(*max_age_, kMaxMaxAge), std::move(mx_)};
}

LineVerdict verdict_of(LineIssue issue) {
  switch (issue) {
    case LineIssue::None:
      return LineVerdict::Good;
    case LineIssue::Blank:
    case LineIssue::RepeatedMx:
    case LineIssue::UnknownField:
      return LineVerdict::Note;
    case LineIssue::Duplicate:
    case LineIssue::UnmatchableMx:
    case LineIssue::FinalDotMx:
    case LineIssue::MaxAgeOverLimit:
    case LineIssue::MisspeltField:
      return LineVerdict::Fault;
    case LineIssue::NotAField:
    case LineIssue::BadVersion:
    case LineIssue::BadMode:
    case LineIssue::BadMaxAge:
    case LineIssue::BadMx:
    case LineIssue::BadValue:
      break;
  }
  return LineVerdict::Error;
}

std::string explain_error(const ReadLine& line) {
  switch (line.issue) {
    case LineIssue::BadVersion:
      return "version must be STSv1, not " + in_quotes(line.value);
    case LineIssue::BadMode:
      return "mode must be enforce, testing or none in lower case, not " + in_quotes(line.value);
    case LineIssue::BadMaxAge:
      return "max_age must be seconds in 1 to 10 digits, not " + in_quotes(line.value);
    case LineIssue::BadMx:
      return explain_bad_mx(line.value);
    case LineIssue::BadValue:
      return std::string(line.name) + (line.value.empty()
                                           ? " has no value"
                                           : " must be plain text, not " + in_quotes(line.value));
    default:
      return explain_no_field(line.text);
  }
}

}  // namespace mtastsd::mtasts
