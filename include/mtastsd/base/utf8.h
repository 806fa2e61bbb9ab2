#pragma once

#include <cstddef>
#include <string_view>

namespace mtastsd {

// The size of the UTF-8 character that a text begins with: 1 to 4 bytes, or 0 if the text is empty
// or begins with no valid character. RFC 3629 section 4: no overlong forms, no surrogates, nothing
// above U+10FFFF.
std::size_t character_size(std::string_view text);

bool is_utf8(std::string_view text);
bool is_ascii(std::string_view text);

// True for a byte that continues a UTF-8 character and does not begin one.
constexpr bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace mtastsd
