#include "policy_grammar.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/utf8.h"

namespace mtastsd::mtasts {
namespace {

constexpr std::size_t kMaxNameSize = 32;
constexpr std::size_t kMaxAgeDigits = 10;

bool is_name_char(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

}  // namespace

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
  return Seconds{value};
}

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

// Words that Postfix takes in a match list for "whatever the MX host is called" and the like: a
// policy must not be able to say that.
bool is_keyword_of_postfix(const MxPattern& pattern) {
  const std::string_view name = pattern.domain.view();
  return !pattern.wildcard && (name == "hostname" || name == "nexthop" || name == "dot-nexthop");
}

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

}  // namespace mtastsd::mtasts
