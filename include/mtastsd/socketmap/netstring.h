#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mtastsd::socketmap {

// Netstring framing: "<length>:<bytes>,". The length is decimal, without leading zeros.
enum class NetstringStatus { Complete, Incomplete, Malformed, TooLong };

struct Netstring {
  NetstringStatus status = NetstringStatus::Incomplete;
  std::string_view payload;  // if Complete; points into the input
  std::size_t consumed = 0;  // if Complete: the size of the whole frame
  std::size_t total = 0;     // if Incomplete: the size of the whole frame, or 0 if unknown
};

// Reads the first netstring of `input`, which can hold any part of one, or several. The status is
// TooLong as soon as the length is known to be above `max_payload`.
Netstring read_netstring(std::string_view input, std::size_t max_payload);

// Appends the netstring of `payload` to `out`.
void append_netstring(std::string& out, std::string_view payload);

}  // namespace mtastsd::socketmap
