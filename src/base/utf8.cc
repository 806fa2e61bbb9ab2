#include "mtastsd/base/utf8.h"

#include <algorithm>

namespace mtastsd {
namespace {

// The length of a character in bytes by its lead byte, and the range of its second byte. The
// narrowed ranges keep out overlong forms, surrogates and values that are too large.
struct Sequence {
  std::size_t size;
  unsigned char low;
  unsigned char high;
};

// RFC 3629 section 4; size 0 for a byte that begins no character.
constexpr Sequence sequence_for(unsigned char lead) {
  if (lead < 0xc2) {
    return {0, 0, 0};
  }
  if (lead < 0xe0) {
    return {2, 0x80, 0xbf};
  }
  if (lead == 0xe0) {
    return {3, 0xa0, 0xbf};
  }
  if (lead == 0xed) {
    return {3, 0x80, 0x9f};
  }
  if (lead < 0xf0) {
    return {3, 0x80, 0xbf};
  }
  if (lead == 0xf0) {
    return {4, 0x90, 0xbf};
  }
  if (lead < 0xf4) {
    return {4, 0x80, 0xbf};
  }
  if (lead == 0xf4) {
    return {4, 0x80, 0x8f};
  }
  return {0, 0, 0};
}

// An object rather than a function, so that the algorithms inline it.
constexpr auto is_ascii_byte = [](char c) { return static_cast<unsigned char>(c) < 0x80; };

}  // namespace

std::size_t character_size(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) {
    return 1;
  }
  const Sequence sequence = sequence_for(lead);
  if (sequence.size == 0 || text.size() < sequence.size) {
    return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const std::string_view rest = text.substr(2, sequence.size - 2);
  const bool valid = second >= sequence.low && second <= sequence.high &&
                     std::all_of(rest.begin(), rest.end(), is_continuation);
  return valid ? sequence.size : 0;
}

bool is_utf8(std::string_view text) {
  while (true) {
    const auto* beyond_ascii = std::find_if_not(text.begin(), text.end(), is_ascii_byte);
    text.remove_prefix(static_cast<std::size_t>(beyond_ascii - text.begin()));
    if (text.empty()) {
      return true;
    }
    const std::size_t size = character_size(text);
    if (size == 0) {
      return false;
    }
    text.remove_prefix(size);
  }
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_ascii_byte);
}

}  // namespace mtastsd
