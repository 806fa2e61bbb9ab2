#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "mtastsd/log/log.h"

// The text of a log line, as pure functions. Whatever bytes a value has, a line stays one line of
// valid UTF-8, and a JSON line stays one valid JSON object.
namespace mtastsd::log_line {

// Longer values are cut here, on a character boundary, and marked with "…".
inline constexpr std::size_t kMaxValueBytes = 200;

// A line from its level on: `level=info event=policy_stored domain=example.com message="…"`, or
// the rest of a JSON object, without its opening brace.
std::string make_body(LogFormat format, const EventRow& row, Log::Fields fields);

// True if `fields` are the fields of the row, in its order.
bool has_fields_of(const EventRow& row, Log::Fields fields);

// "trace", "debug", "info", "warn", "error" or "off", as after level= in a line.
std::string_view level_name(LogLevel level);

}  // namespace mtastsd::log_line
