#include "mtastsd/socketmap/netstring.h"

#include <array>
#include <charconv>

#include "mtastsd/base/ascii.h"

namespace mtastsd::socketmap {
namespace {

Netstring without_payload(NetstringStatus status, std::size_t total = 0) {
  return {status, {}, 0, total};
}

}  // namespace

Netstring read_netstring(std::string_view input, std::size_t max_payload) {
  std::size_t size = 0;
  std::size_t at = 0;
  for (; at < input.size() && is_digit(input[at]); ++at) {
    const auto digit = static_cast<std::size_t>(input[at] - '0');
    if (at > 0 && size == 0) {
      return without_payload(NetstringStatus::Malformed);  // a leading zero
    }
    // The same as size * 10 + digit > max_payload, but cannot overflow.
    if (digit > max_payload || size > (max_payload - digit) / 10) {
      return without_payload(NetstringStatus::TooLong);
    }
    size = size * 10 + digit;
  }
  if (at == input.size()) {
    return without_payload(NetstringStatus::Incomplete);
  }
  if (at == 0 || input[at] != ':') {
    return without_payload(NetstringStatus::Malformed);
  }
  const std::string_view rest = input.substr(at + 1);
  const std::size_t total = at + 1 + size + 1;
  if (rest.size() <= size) {
    return without_payload(NetstringStatus::Incomplete, total);
  }
  if (rest[size] != ',') {
    return without_payload(NetstringStatus::Malformed);
  }
  return {NetstringStatus::Complete, rest.substr(0, size), total, total};
}

void append_netstring(std::string& out, std::string_view payload) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), payload.size()).ptr;
  out.append(digits.data(), end);
  out += ':';
  out += payload;
  out += ',';
}

}  // namespace mtastsd::socketmap
