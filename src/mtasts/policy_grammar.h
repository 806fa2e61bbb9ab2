#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "mtastsd/mtasts/policy.h"

namespace mtastsd::mtasts {

// The productions of RFC 8461 section 3.2, for what reads a policy and what explains one. The
// head of policy.cc says where they are more or less strict than the RFC.

inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
inline constexpr std::string_view kWildcard = "*.";

// "name:" *WSP value *WSP with the white space taken off. `value` may be empty.
struct Field {
  std::string_view name;
  std::string_view value;
};

std::optional<Field> split_field(std::string_view line);
bool is_extension_value(std::string_view value);
std::optional<Mode> parse_mode(std::string_view text);
// As written, kMaxMaxAge or not.
std::optional<Seconds> parse_max_age(std::string_view text);

struct WildcardSplit {
  bool wildcard;
  std::string_view domain;
};
WildcardSplit split_wildcard(std::string_view text);

// Patterns that fit the grammar, are left out and do not make the policy invalid.
bool ends_in_number(std::string_view text);
bool is_keyword_of_postfix(const MxPattern& pattern);

// Takes one line off, without its end.
std::string_view next_line(std::string_view& rest);

}  // namespace mtastsd::mtasts
