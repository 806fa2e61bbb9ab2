#include "log_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "mtastsd/base/utf8.h"

namespace mtastsd::log_line {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kCutMark = "…";

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// The size of the UTF-8 character that `text` begins with, or 0 if it begins with none.
std::size_t character_size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return text.size() >= size && is_utf8(text.substr(0, size)) ? size : 0;
}

// What a terminal or a log viewer could act on: C0 and C1 controls, DEL, the line and
// paragraph separators, and the marks that reorder text.
bool is_control(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;
  if (character.size() != 3 || byte(0) != 0xe2) return false;
  return (byte(1) == 0x80 && byte(2) >= 0xa8 && byte(2) <= 0xae) ||  // U+2028 to U+202E
         (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9);    // U+2066 to U+2069
}

// The longest beginning of `text` within the limit that splits no character.
std::string_view cut(std::string_view text) {
  if (text.size() <= kMaxValueBytes) return text;
  std::size_t start = kMaxValueBytes;
  while (start > kMaxValueBytes - 4 && is_continuation(text[start])) --start;
  const std::size_t size = character_size(text.substr(start));
  return text.substr(0, start + size > kMaxValueBytes ? start : kMaxValueBytes);
}

void append_hex_bytes(std::string& out, std::string_view bytes, std::string_view prefix) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += prefix;
    out += kHex[byte >> 4];
    out += kHex[byte & 0xf];
  }
}

// The inside of a quoted value. In JSON a backslash is itself escaped, so that after decoding
// both formats show the same text.
void append_escaped(std::string& out, LogFormat format, std::string_view text) {
  const std::string_view hex = format == LogFormat::Json ? "\\\\x" : "\\x";
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(size, 1));
    text.remove_prefix(character.size());
    const char first = character.front();
    if (first == '"' || first == '\\') {
      out += '\\';
      out += first;
    } else if (format == LogFormat::Json && size == 1 && is_control(character)) {
      append_hex_bytes(out, character, "\\u00");
    } else if (size == 0 || is_control(character)) {
      append_hex_bytes(out, character, hex);
    } else {
      out += character;
    }
  }
}

bool is_plain(std::string_view text) {
  if (text.empty() || text.find_first_of(" =\"\\") != std::string_view::npos) return false;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (size == 0 || is_control(text.substr(0, size))) return false;
    text.remove_prefix(size);
  }
  return true;
}

void append_text(std::string& out, LogFormat format, std::string_view text) {
  const std::string_view kept = cut(text);
  const bool quoted = format == LogFormat::Json || !is_plain(kept);
  if (quoted) out += '"';
  append_escaped(out, format, kept);
  if (kept.size() < text.size()) out += kCutMark;
  if (quoted) out += '"';
}

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 24> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), result.ptr);
}

// Keys are our own, so they need no escaping.
void append_key(std::string& out, LogFormat format, std::string_view key) {
  const bool json = format == LogFormat::Json;
  if (json) out += '"';
  out += key;
  out += json ? "\":" : "=";
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warn:
      return "warn";
    case LogLevel::Error:
      return "error";
    case LogLevel::Off:
      break;
  }
  return "off";
}

}  // namespace

std::string make_body(LogFormat format, const EventRow& row, Log::Fields fields) {
  const char separator = format == LogFormat::Json ? ',' : ' ';
  std::string out;
  out.reserve(128 + row.message.size() + 32 * fields.size());
  append_key(out, format, "level");
  append_text(out, format, level_name(row.level));
  out += separator;
  append_key(out, format, "event");
  append_text(out, format, row.key);
  for (const LogField& field : fields) {
    out += separator;
    append_key(out, format, field.key);
    if (field.is_number) {
      append_number(out, field.number);
    } else {
      append_text(out, format, field.text);
    }
  }
  out += separator;
  append_key(out, format, "message");
  append_text(out, format, row.message);
  if (format == LogFormat::Json) out += '}';
  return out;
}

bool has_fields_of(const EventRow& row, Log::Fields fields) {
  std::string names;
  for (const LogField& field : fields) {
    if (!names.empty()) names += ' ';
    names += field.key;
  }
  return names == row.fields;
}

}  // namespace mtastsd::log_line
