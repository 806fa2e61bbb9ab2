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

// Whether the value of a Content-Type field names text/plain, whatever its parameters.
bool is_text_plain(std::string_view content_type);

// The header section of the final response, put together line by line. Interim responses
// (1xx) before it leave no trace but their size; nor do trailer fields after it.
class ResponseHead {
 public:
  enum class State { Reading, Complete, Refused };

  // One line as it arrived, line end included. Complete with the empty line that ends the
  // final response's header section; Refused as soon as the response cannot be used.
  State add_line(std::string_view line);

  const Error& error() const { return error_; }  // when Refused
  bool complete() const { return state_ == State::Complete; }
  // Of the final response, refused or not; 0 and empty as long as there is none.
  int status() const { return status_; }
  std::string media_type() const { return content_types_.empty() ? "" : content_types_.front(); }
  const std::string& location() const { return location_; }
  // Once complete: whether only the end of the connection tells where the body ends.
  bool body_ends_with_connection() const;

 private:
  State refuse(ErrorKind kind, std::string detail);
  State begin(std::string_view line);
  State end();
  std::string* remember(std::string_view name, std::string_view value);

  State state_ = State::Reading;
  Error error_;
  std::size_t bytes_ = 0;
  int status_ = 0;
  std::vector<std::string> content_types_;
  std::vector<std::string> content_lengths_;
  std::vector<std::string> content_codings_;
  std::vector<std::string> transfer_codings_;
  std::string location_;
  std::string* last_value_ = nullptr;  // of a field that a folded line would continue
};

}  // namespace mtastsd::https
