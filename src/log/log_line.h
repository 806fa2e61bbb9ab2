#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/log/log.h"

// The text of a log line, as pure functions. Whatever bytes an event or a value has, a line
// stays one line of valid UTF-8, and a JSON line stays one valid JSON object.
namespace mtastsd::log_line {

using Time = std::chrono::sys_time<Milliseconds>;

// Longer events and values are cut here, on a character boundary, and marked with "…".
inline constexpr std::size_t kMaxValueBytes = 200;

// The event and its fields: `event="policy stored" domain=example.com`, or a whole JSON object.
std::string make_body(LogFormat format, std::string_view event, Log::Fields fields);

// Appends the line with time and level in front of a body of the same format, without a line
// end.
void append_line(std::string& out, LogFormat format, Time time, LogLevel level,
                 std::string_view body);

}  // namespace mtastsd::log_line
