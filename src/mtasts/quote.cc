#include "quote.h"

#include <cstddef>

namespace mtastsd::mtasts {
namespace {

constexpr std::size_t kMaxShown = 60;
constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

std::string quote(std::string_view text) {
  std::string result = "\"";
  for (const char c : text.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || c == '"' || c == '\\') {
      result += "\\x";
      result += kHexDigits[byte >> 4];
      result += kHexDigits[byte & 0xf];
    } else {
      result += c;
    }
  }
  result += text.size() > kMaxShown ? "\"..." : "\"";
  return result;
}

}  // namespace mtastsd::mtasts
