#include "log_line.h"

#include <array>
#include <charconv>
#include <cstdint>

#include "mtastsd/base/text.h"
#include "mtastsd/base/utf8.h"

namespace mtastsd::log_line {
namespace {

constexpr std::string_view kCutMark = "…";

// The inside of a quoted value. In JSON a backslash is itself escaped, so that after decoding
// both formats show the same text.
void append_escaped(std::string& out, LogFormat format, std::string_view text) {
  const bool json = format == LogFormat::Json;
  while (!text.empty()) {
    const auto [bytes, is_printable] = take_character(text);
    const char first = bytes.front();
    if (first == '"' || first == '\\') {
      out += '\\';
      out += first;
    } else if (is_printable) {
      out += bytes;
    } else {
      const bool in_json = json && is_ascii(bytes);
      for (const char byte : bytes) {
        out += in_json ? "\\u00" : json ? "\\\\x" : "\\x";
        append_hex(out, byte);
      }
    }
  }
}

bool is_plain(std::string_view text) {
  if (text.empty() || text.find_first_of(" =\"\\") != std::string_view::npos) {
    return false;
  }
  while (!text.empty()) {
    if (!take_character(text).printable) {
      return false;
    }
  }
  return true;
}

void append_text(std::string& out, LogFormat format, std::string_view text) {
  const std::string_view kept = cut_bytes(text, kMaxValueBytes);
  const bool quoted = format == LogFormat::Json || !is_plain(kept);
  if (quoted) {
    out += '"';
  }
  append_escaped(out, format, kept);
  if (kept.size() < text.size()) {
    out += kCutMark;
  }
  if (quoted) {
    out += '"';
  }
}

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 24> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), result.ptr);
}

// Keys are our own, so they need no escaping.
void append_key(std::string& out, LogFormat format, std::string_view key) {
  const bool json = format == LogFormat::Json;
  if (json) {
    out += '"';
  }
  out += key;
  out += json ? "\":" : "=";
}

}  // namespace

std::string_view level_name(LogLevel level) {
  constexpr std::array<std::string_view, 6> kNames = {"trace", "debug", "info",
                                                      "warn",  "error", "off"};
  return kNames.at(static_cast<std::size_t>(level));
}

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
  if (format == LogFormat::Json) {
    out += '}';
  }
  return out;
}

bool has_fields_of(const EventRow& row, Log::Fields fields) {
  return joined(fields, " ", [](const LogField& field) { return field.key; }) == row.fields;
}

}  // namespace mtastsd::log_line
