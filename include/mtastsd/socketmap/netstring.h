#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mtastsd::socketmap {

// Netstring framing, "<length>:<bytes>,". Lengths are decimal without leading zeros.
enum class NetstringStatus { Complete, Incomplete, Malformed, TooLong };

struct Netstring {
  NetstringStatus status = NetstringStatus::Incomplete;
  std::string_view payload;  // when Complete; points into the input
  std::size_t consumed = 0;  // when Complete: bytes of input used, frame included
  std::size_t total = 0;     // when Incomplete and known: size of the whole frame, else 0
};

// Reads the first netstring of `input`, which may hold any part of one or several.
// TooLong as soon as the length is known to be above max_payload.
Netstring read_netstring(std::string_view input, std::size_t max_payload);

// Appends the netstring of `payload` to out.
void append_netstring(std::string& out, std::string_view payload);

}  // namespace mtastsd::socketmap
