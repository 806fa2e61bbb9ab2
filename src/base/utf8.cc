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
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xc2) return {0, 0, 0};
  if (lead < 0xe0) return {2, 0x80, 0xbf};
  if (lead == 0xe0) return {3, 0xa0, 0xbf};
  if (lead == 0xed) return {3, 0x80, 0x9f};
  if (lead < 0xf0) return {3, 0x80, 0xbf};
  if (lead == 0xf0) return {4, 0x90, 0xbf};
  if (lead < 0xf4) return {4, 0x80, 0xbf};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

std::size_t character_size(std::string_view text) {
  if (text.empty()) return 0;
  const Sequence sequence = sequence_for(static_cast<unsigned char>(text.front()));
  if (text.size() < sequence.size) return 0;
  if (sequence.size > 1) {
    const auto second = static_cast<unsigned char>(text[1]);
    const std::string_view rest = text.substr(2, sequence.size - 2);
    if (second < sequence.low || second > sequence.high ||
        !std::all_of(rest.begin(), rest.end(), is_continuation)) {
      return 0;
    }
  }
  return sequence.size;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace mtastsd
