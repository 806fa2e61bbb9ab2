#pragma once

#include <string_view>

namespace mtastsd {

// Whether `text` is UTF-8 as RFC 3629 section 4 has it: no overlong forms, no surrogates,
// nothing above U+10FFFF.
bool is_utf8(std::string_view text);

bool is_ascii(std::string_view text);

}  // namespace mtastsd
