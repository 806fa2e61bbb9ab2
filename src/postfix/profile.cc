#include "mtastsd/postfix/profile.h"

#include <algorithm>
#include <charconv>
#include <compare>
#include <system_error>

#include "mtastsd/base/ascii.h"

namespace mtastsd::postfix {
namespace {

// Minor numbers are numbers: 3.10 is newer than 3.9.
struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  friend auto operator<=>(const Version&, const Version&) = default;
};

constexpr Version kFirstSocketmap{2, 10};
constexpr Version kFirstServername{3, 4};
constexpr Version kFirstReportAttributes{3, 10};

// Takes a number off the front of text.
std::optional<unsigned> take_number(std::string_view& text) {
  unsigned number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc{}) {
    return std::nullopt;
  }
  text.remove_prefix(end - text.data());
  return number;
}

// ".2", "-20260821", "-RC1", ".0-debian1".
bool is_version_rest(std::string_view text) {
  if (text.empty()) {
    return true;
  }
  return (text.front() == '.' || text.front() == '-') && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '.' || c == '-'; });
}

std::optional<Version> parse_version(std::string_view text) {
  const auto major = take_number(text);
  if (!major || !text.starts_with('.')) {
    return std::nullopt;
  }
  text.remove_prefix(1);
  const auto minor = take_number(text);
  if (!minor || !is_version_rest(text)) {
    return std::nullopt;
  }
  return Version{*major, *minor};
}

}  // namespace

std::optional<Profile> profile_for_postfix(std::string_view text) {
  const auto version = parse_version(text);
  if (!version || *version < kFirstSocketmap) {
    return std::nullopt;
  }
  Profile profile;
  profile.servername = *version >= kFirstServername;
  profile.report_attributes = *version >= kFirstReportAttributes;
  return profile;
}

}  // namespace mtastsd::postfix
