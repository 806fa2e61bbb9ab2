#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"

namespace mtastsd::web {

inline constexpr std::string_view kHtml = "text/html; charset=utf-8";
inline constexpr std::string_view kPlainText = "text/plain; charset=utf-8";

struct Response {
  int status = 200;
  std::string_view type = kHtml;  // of a text that lives as long as the program
  std::string body;
  std::string location;  // where a redirection leads: a path of ours
  // How long it may be kept by a browser; 0: not at all.
  Seconds keep{0};
};

// A sentence as plain text.
Response plain(int status, std::string_view sentence);

// The status line and the fields, with the empty line, for a body of `size` bytes. Nullopt: it is
// not known, and the body ends with the connection. Every response has the fields that keep a
// browser from doing more with it than showing it, and says that the connection ends with it. Pure.
std::string head_of(const Response& response, std::optional<std::size_t> size);

}  // namespace mtastsd::web
