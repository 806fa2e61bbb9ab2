#include "mtastsd/base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/utf8.h"

namespace mtastsd {
namespace {

constexpr std::string_view kCut = "...";
// Longer words are no mistyped names; this also bounds the work for one.
constexpr std::size_t kMaxMistyped = 64;

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// Beyond ASCII: C1 controls, and what Unicode calls format characters (general category Cf) and
// separators of lines and paragraphs, with the noncharacters and unassigned code points between
// them.
constexpr std::array kUnprintable = {
    Range{0x80, 0x9f},        // C1 controls
    Range{0xad, 0xad},        // soft hyphen
    Range{0x61c, 0x61c},      // Arabic letter mark
    Range{0x180e, 0x180e},    // Mongolian vowel separator
    Range{0x200b, 0x200f},    // zero-width characters, direction marks
    Range{0x2028, 0x202e},    // separators, embeddings and overrides of direction
    Range{0x2060, 0x206f},    // invisible operators, isolates
    Range{0xfeff, 0xfeff},    // byte order mark
    Range{0xfff0, 0xfffb},    // interlinear annotation
    Range{0x1d173, 0x1d17a},  // musical format controls
    Range{0xe0000, 0xe0fff},  // tags
};

std::uint32_t code_point(std::string_view character) {
  constexpr std::array<unsigned char, 5> kLeadBits = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t code = static_cast<unsigned char>(character[0]) & kLeadBits[character.size()];
  for (const char c : character.substr(1)) {
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  }
  return code;
}

bool is_printable(std::string_view character) {
  if (character.size() == 1) {
    return !is_control(character[0]);
  }
  const std::uint32_t code = code_point(character);
  return std::none_of(kUnprintable.begin(), kUnprintable.end(), [code](const Range& range) {
    return code >= range.first && code <= range.last;
  });
}

// The length of the beginning that needs no closer look, which is all of most texts.
std::size_t plain_size(std::string_view text) {
  const auto* end = std::find_if_not(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
  });
  return static_cast<std::size_t>(end - text.begin());
}

std::string escaped(std::string_view text, std::size_t limit, bool quoted) {
  std::string out;
  while (!text.empty()) {
    const std::size_t plain = std::min(plain_size(text), limit - out.size());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) {
      break;
    }
    const auto [bytes, printable] = take_character(text);
    const std::size_t before = out.size();
    if (!printable) {
      for (const char byte : bytes) {
        out += "\\x";
        append_hex(out, byte);
      }
    } else {
      if (quoted && (bytes == "\"" || bytes == "\\")) {
        out += '\\';
      }
      out += bytes;
    }
    if (out.size() > limit) {
      out.resize(before);
      return out += kCut;
    }
  }
  return out;
}

}  // namespace

Character take_character(std::string_view& text) {
  const std::size_t size = character_size(text);
  const std::string_view bytes = text.substr(0, std::max<std::size_t>(size, 1));
  text.remove_prefix(bytes.size());
  return {bytes, size > 0 && is_printable(bytes)};
}

std::string printable(std::string_view text, std::size_t limit) {
  return escaped(text, limit, false);
}

std::string in_quotes(std::string_view text, std::size_t limit) {
  return "\"" + escaped(text, limit, true) + "\"";
}

std::string_view cut_bytes(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) {
    return text;
  }
  constexpr std::size_t kLongestCharacter = 4;
  std::size_t start = limit;
  while (start > 0 && limit - start < kLongestCharacter && is_continuation(text[start])) {
    --start;
  }
  const std::size_t size = character_size(text.substr(start));
  return text.substr(0, start + size > limit ? start : limit);
}

void append_hex(std::string& out, char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += kDigits[static_cast<unsigned char>(byte) >> 4];
  out += kDigits[static_cast<unsigned char>(byte) & 0xf];
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    append_hex(out, byte);
  }
  return out;
}

std::string counted(std::size_t number, std::string_view singular, std::string_view plural) {
  return std::to_string(number) + " " + std::string(number == 1 ? singular : plural);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({replace, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.size() > kMaxMistyped) {
    return std::nullopt;
  }
  // A third of the letters may be wrong, but one always and more than three never.
  std::size_t best = std::clamp<std::size_t>(word.size() / 3, 1, 3) + 1;
  std::optional<std::string> found;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

}  // namespace mtastsd
