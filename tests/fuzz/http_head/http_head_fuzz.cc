// The head of a policy host's response: the lines as a server sends them, of which libcurl makes
// fields. What is let through is checked against RFC 8461 section 3.3 by other means.

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "mtastsd/base/ascii.h"
#include "mtastsd/https/response_rules.h"

using namespace mtastsd;
using fuzz::require;

namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string value_of(std::string_view line) {
  std::string_view value = line.substr(std::min(line.find(':') + 1, line.size()));
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  return std::string(value.substr(0, value.find_last_not_of(" \t\r") + 1));
}

// Each line is a field by its first letter, so that every line says something.
https::ResponseHead head_of(int status, std::string_view lines) {
  https::ResponseHead head{.status = status};
  while (!lines.empty()) {
    const std::string_view line = take_line(lines);
    switch (line.empty() ? '\0' : line.front()) {
      case 'T':
        head.content_types.push_back(value_of(line));
        break;
      case 'L':
        head.content_lengths.push_back(value_of(line));
        break;
      case 'E':
        head.content_codings.push_back(value_of(line));
        break;
      case 'C':
        head.transfer_codings.push_back(value_of(line));
        break;
      default:
        head.location = value_of(line);
    }
  }
  return head;
}

void check_status(std::string_view line) {
  const auto status = https::parse_status_line(line);
  if (!status) {
    return;
  }
  require(*status >= 100 && *status <= 999, "a status has three digits");
  require(line.starts_with("HTTP/1.0 " + std::to_string(*status)) ||
              line.starts_with("HTTP/1.1 " + std::to_string(*status)),
          "it is the one that the line has");
}

void check_taken(const https::ResponseHead& head) {
  require(head.status == 200, "only 200 brings a policy");
  require(!head.content_types.empty(), "with a media type");
  for (const std::string& type : head.content_types) {
    std::string lower(type);
    std::transform(lower.begin(), lower.end(), lower.begin(), to_lower);
    require(lower.find("text/plain") != std::string::npos, "which is text/plain");
  }
  for (const std::string& length : head.content_lengths) {
    require(fuzz::only_from(length, "0123456789, \t\r") && !length.empty(), "a length is a number");
  }
  require(head.transfer_codings.size() <= 1, "one transfer coding at most");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::as_text(data, size);
  const std::string_view first = take_line(text);
  check_status(first);
  for (const int status : {https::parse_status_line(first).value_or(0), 200}) {
    const https::ResponseHead head = head_of(status, text);
    const auto refused = https::refusal(head);
    if (refused) {
      require(!refused->detail.empty(), "a refusal has a reason");
    } else {
      check_taken(head);
    }
  }
  return 0;
}
