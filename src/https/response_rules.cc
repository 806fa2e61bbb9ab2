#include "mtastsd/https/response_rules.h"

#include <algorithm>
#include <utility>

#include "mtastsd/base/ascii.h"

namespace mtastsd::https {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// RFC 9112 section 6.3: a list of equal lengths counts as one, anything else is an error. An
// error too is what two readers could read differently ("+5").
bool lengths_agree(const std::vector<std::string>& values) {
  std::string_view first;
  for (const std::string_view value : values) {
    for (std::size_t at = 0; at <= value.size();) {
      const std::size_t comma = std::min(value.find(',', at), value.size());
      const std::string_view length = trimmed(value.substr(at, comma - at));
      if (length.empty() || !std::all_of(length.begin(), length.end(), is_digit)) {
        return false;
      }
      if (first.empty()) {
        first = length;
      }
      if (length != first) {
        return false;
      }
      at = comma + 1;
    }
  }
  return true;
}

}  // namespace

std::optional<int> parse_status_line(std::string_view line) {
  line = line.substr(0, line.find_last_not_of("\r\n") + 1);
  if (!line.starts_with("HTTP/")) {
    return std::nullopt;
  }
  line.remove_prefix(5);
  const std::string_view version = line.substr(0, line.find(' '));
  if (version != "1.0" && version != "1.1") {
    return std::nullopt;
  }
  line.remove_prefix(version.size());
  // RFC 9112 section 4: three digits; the reason after them means nothing.
  if (line.size() < 4 || line[0] != ' ' || line[1] < '1' || !is_digit(line[1]) ||
      !is_digit(line[2]) || !is_digit(line[3]) || (line.size() > 4 && line[4] != ' ')) {
    return std::nullopt;
  }
  return (line[1] - '0') * 100 + (line[2] - '0') * 10 + (line[3] - '0');
}

bool is_text_plain(std::string_view content_type) {
  // RFC 8461 section 3.2: parameters are of no interest; the policy grammar decides about the
  // bytes of the body.
  return equal_ignoring_case(trimmed(content_type.substr(0, content_type.find(';'))), "text/plain");
}

bool is_interim(int status) {
  return status < 200 && status != 101;
}

bool ResponseHead::body_ends_with_connection() const {
  return transfer_codings.empty() && content_lengths.empty();
}

std::optional<Error> refusal(const ResponseHead& head) {
  // RFC 8461 section 3.3: only 200 counts, and redirects must not be followed.
  if (head.status != 200) {
    return Error{ErrorKind::Status,
                 "status " + std::to_string(head.status) +
                     (head.location.empty() ? "" : ", a redirect to " + head.location)};
  }
  if (!lengths_agree(head.content_lengths)) {
    return Error{ErrorKind::Protocol, "contradictory or bad Content-Length"};
  }
  // RFC 8461 section 3.3: the media type keeps out hosts that let others store pictures or
  // web pages.
  if (head.content_types.empty()) {
    return Error{ErrorKind::MediaType, "no media type"};
  }
  for (const auto& type : head.content_types) {
    if (!is_text_plain(type)) {
      return Error{ErrorKind::MediaType, "media type " + type};
    }
  }
  for (const auto& coding : head.content_codings) {
    if (!coding.empty() && !equal_ignoring_case(coding, "identity")) {
      return Error{ErrorKind::Protocol, "content coding " + coding + ", which was not asked for"};
    }
  }
  // RFC 9112 section 7: no other coding was asked for (section 10.1.4 of RFC 9110).
  if (head.transfer_codings.size() > 1 ||
      (head.transfer_codings.size() == 1 &&
       !equal_ignoring_case(head.transfer_codings.front(), "chunked"))) {
    return Error{ErrorKind::Protocol, "transfer coding " + head.transfer_codings.front()};
  }
  return std::nullopt;
}

std::string_view result_type(ErrorKind kind) {
  return kind == ErrorKind::Certificate ? "sts-webpki-invalid" : "sts-policy-fetch-error";
}

}  // namespace mtastsd::https
