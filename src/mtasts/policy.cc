// The policy body of RFC 8461 section 3.2. No HTTP here: status, media type and transfer are
// judged before the body comes to this parser.
//
// Where the RFC is silent, or we differ from its grammar:
// - One UTF-8 byte order mark at the very beginning is skipped: some editors write it, and it
//   cannot change the meaning of what follows.
// - Blank lines are skipped wherever they stand: many published files end in one, and an
//   empty line can be nothing else. A line of white space only is not blank.
// - A line ends at LF, with one CR before that LF belonging to the end. No other character
//   ends a line: a CR elsewhere, FF or U+0085 is part of a value, where controls are errors.
// - White space is SP and TAB. It may stand after ":" and at the end of a line, nowhere else.
// - Every line must be a well-formed field, known or not: what is no field is no policy, and
//   a web page or a half-filled template must not be mined for lines that look right.
// - Extension values are UTF-8 (RFC 3629) without controls below U+0020 and without DEL; the
//   C1 controls (U+0080 to U+009F) are UTF8-2 by the grammar and allowed.
// - Of a known field other than "mx" the first counts, even if it is wrong and a later one
//   right; later ones only have to be well-formed fields.
// - "max_age" may have ten digits (erratum 7282) and is capped at the maximum of the prose:
//   a policy that means "long" is of more use than none.
// - An "mx" with one final dot is taken without it: it can only mean that name.
// - An "mx" that ends in a number ("192.0.2.1") fits the grammar, which has no rule about the
//   last label, but no MX host can have that name. It is left out; if nothing else is
//   listed, the policy has no mx. So are "hostname", "nexthop" and "dot-nexthop", which mean
//   something else to Postfix. Any other wrong "mx" makes the policy invalid, in mode none
//   too.
// - More than kMaxPolicyBytes is an error: half a policy is another policy.

#include "mtastsd/mtasts/policy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <numeric>
#include <utility>

#include "mtasts/quote.h"
#include "mtastsd/base/ascii.h"
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

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// "name:" *WSP value *WSP with the white space taken off. `value` may be empty.
struct Field {
  std::string_view name;
  std::string_view value;
};

// RFC 8461 section 3.2: sts-policy-ext-name ":", which takes in the known names.
std::optional<Field> split_field(std::string_view line) {
  const std::size_t name_size =
      std::find_if_not(line.begin(), line.end(), is_name_char) - line.begin();
  if (name_size == 0 || name_size > kMaxNameSize || !is_alnum(line.front()) ||
      name_size == line.size() || line[name_size] != ':') {
    return std::nullopt;
  }
  Field field{line.substr(0, name_size), line.substr(name_size + 1)};
  while (!field.value.empty() && is_wsp(field.value.front())) {
    field.value.remove_prefix(1);
  }
  while (!field.value.empty() && is_wsp(field.value.back())) {
    field.value.remove_suffix(1);
  }
  return field;
}

// RFC 8461 section 3.2: sts-policy-ext-value.
bool is_extension_value(std::string_view value) {
  return !value.empty() && std::none_of(value.begin(), value.end(), is_control) && is_utf8(value);
}

std::optional<Mode> parse_mode(std::string_view text) {
  for (const Mode mode : {Mode::Enforce, Mode::Testing, Mode::None}) {
    if (text == to_string(mode)) {
      return mode;
    }
  }
  return std::nullopt;
}

std::optional<Seconds> parse_max_age(std::string_view text) {
  // RFC 8461 section 3.2: 1*10(DIGIT).
  if (!all_digits(text) || text.size() > kMaxAgeDigits) {
    return std::nullopt;
  }
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::min(Seconds{value}, kMaxMaxAge);
}

struct WildcardSplit {
  bool wildcard;
  std::string_view domain;
};

WildcardSplit split_wildcard(std::string_view text) {
  const bool wildcard = text.starts_with(kWildcard);
  return {wildcard, text.substr(wildcard ? kWildcard.size() : 0)};
}

// Whether `text` is a domain by RFC 5321's grammar whose last label is a number. With a
// letter for the last digit it would be an ordinary name.
bool ends_in_number(std::string_view text) {
  std::string_view domain = split_wildcard(text).domain;
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

// Takes repeats out and keeps the order of the first ones. Sorting bounds the work whatever
// names the domain chose, which hashing would not.
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

// Words that Postfix takes in a match list for "whatever the MX host is called" and the like: a
// policy must not be able to say that.
bool is_keyword_of_postfix(const MxPattern& pattern) {
  const std::string_view name = pattern.domain.view();
  return !pattern.wildcard && (name == "hostname" || name == "nexthop" || name == "dot-nexthop");
}

// The policy as far as its lines have been read. The functions return what is wrong, or
// nothing.
class Builder {
 public:
  std::optional<std::string> add(const Field& field) {
    if (field.name == "mx") {
      return add_mx(field.value);
    }
    if (!is_extension_value(field.value)) {
      return "not a value: " + quoted(field.value);
    }
    // RFC 8461 section 3.2: of fields that come twice the first counts, except "mx". Fields
    // with other names are ignored; names are case-sensitive.
    if (field.name == "version" && !std::exchange(version_seen_, true)) {
      return field.value == "STSv1" ? std::nullopt : wrong(field);
    }
    if (field.name == "mode" && !mode_) {
      mode_ = parse_mode(field.value);
      return mode_ ? std::nullopt : wrong(field);
    }
    if (field.name == "max_age" && !max_age_) {
      max_age_ = parse_max_age(field.value);
      return max_age_ ? std::nullopt : wrong(field);
    }
    return std::nullopt;
  }

  // RFC 8461 section 3.2: version, mode and max_age are required, and mx but for mode none.
  std::optional<std::string> missing() const {
    if (!version_seen_) return "no version";
    if (!mode_) return "no mode";
    if (!max_age_) return "no max_age";
    if (mx_.empty() && *mode_ != Mode::None) return "no mx that a host name could match";
    return std::nullopt;
  }

  Policy finish() && {
    drop_repeats(mx_);
    return {*mode_, *max_age_, std::move(mx_)};
  }

 private:
  static std::optional<std::string> wrong(const Field& field) {
    return "not a " + std::string(field.name) + ": " + quoted(field.value);
  }

  std::optional<std::string> add_mx(std::string_view value) {
    if (const auto pattern = MxPattern::parse(value)) {
      if (!is_keyword_of_postfix(*pattern)) {
        mx_.push_back(*pattern);
      }
      return std::nullopt;
    }
    if (ends_in_number(value)) {
      return std::nullopt;
    }
    return "not an mx pattern: " + quoted(value);
  }

  bool version_seen_ = false;
  std::optional<Mode> mode_;
  std::optional<Seconds> max_age_;
  std::vector<MxPattern> mx_;
};

// RFC 8461 section 3.2: sts-policy-term = LF / CRLF; the last line may lack it.
std::string_view next_line(std::string_view& rest) {
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

}  // namespace

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::None:
      return "none";
    case Mode::Testing:
      return "testing";
    case Mode::Enforce:
      return "enforce";
  }
  return "none";
}

std::optional<MxPattern> MxPattern::parse(std::string_view text) {
  const auto [wildcard, rest] = split_wildcard(text);
  const auto domain = DomainName::parse(rest);
  if (!domain) {
    return std::nullopt;
  }
  return MxPattern{wildcard, *domain};
}

std::string MxPattern::str() const {
  std::string text(wildcard ? kWildcard : "");
  text += domain.view();
  return text;
}

Result<Policy, ParseError> parse_policy(std::string_view body) {
  if (body.size() > kMaxPolicyBytes) {
    return failure(ParseError{kMaxPolicyBytes, "longer than 65536 bytes"});
  }
  std::string_view rest = body;
  if (rest.starts_with(kByteOrderMark)) {
    rest.remove_prefix(kByteOrderMark.size());
  }
  Builder builder;
  while (!rest.empty()) {
    const std::size_t offset = body.size() - rest.size();
    const std::string_view line = next_line(rest);
    if (line.empty()) {
      continue;
    }
    const auto field = split_field(line);
    if (!field) {
      return failure(ParseError{offset, "not a field: " + quoted(line)});
    }
    if (auto fault = builder.add(*field)) {
      return failure(ParseError{offset, *std::move(fault)});
    }
  }
  if (auto fault = builder.missing()) {
    return failure(ParseError{body.size(), *std::move(fault)});
  }
  return std::move(builder).finish();
}

}  // namespace mtastsd::mtasts
