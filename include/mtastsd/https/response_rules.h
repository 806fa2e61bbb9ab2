#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/https/policy_fetcher.h"

namespace mtastsd::https {

// Bound of RFC 8461 section 3.3 on the body, and ours on the header bytes of all responses of
// one fetch together.
inline constexpr std::size_t kMaxBodyBytes = 64 * 1024;
inline constexpr std::size_t kMaxHeaderBytes = 64 * 1024;

// "HTTP/1.1 200 OK" -> 200; nullopt for what is no status line.
std::optional<int> parse_status_line(std::string_view line);

// True for 1xx: the final response is still to come (RFC 9110 section 15.2). 101 would be final.
bool is_interim(int status);

// Whether the value of a Content-Type field names text/plain, whatever its parameters.
bool is_text_plain(std::string_view content_type);

// What counts of the header section of the final response. A field that came more than once has a
// value for each time.
struct ResponseHead {
  int status = 0;  // 0: there is no final response so far
  std::vector<std::string> content_types;
  std::vector<std::string> content_lengths;
  std::vector<std::string> content_codings;
  std::vector<std::string> transfer_codings;
  std::string location;

  // RFC 9112 section 6.3: only the end of the connection tells where the body ends.
  bool body_ends_with_connection() const;
};

// Why a policy cannot be taken from the response, nullopt if it can.
std::optional<Error> refusal(const ResponseHead& head);

}  // namespace mtastsd::https
