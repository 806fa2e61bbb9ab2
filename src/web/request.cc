#include "mtastsd/web/request.h"

#include <algorithm>
#include <optional>

#include "mtastsd/base/ascii.h"

namespace mtastsd::web {
namespace {

constexpr int kBadRequest = 400;
constexpr int kMethodNotAllowed = 405;
constexpr int kContentTooLarge = 413;
constexpr int kVersionNotSupported = 505;
constexpr std::size_t kMaxPrefixBytes = 128;
constexpr std::size_t kMaxAddressBytes = 64;  // of forwarded_for

// Lines end with CR LF, or with LF alone (RFC 9112 section 2.2).
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_wsp(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_wsp(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

// Up to the separator, which is taken too.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

int hex_digit(char c) {
  if (is_digit(c)) {
    return c - '0';
  }
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Nullopt for a "%" that two digits do not follow.
std::optional<std::string> decoded(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += plus_is_space && text[at] == '+' ? ' ' : text[at];
      continue;
    }
    const int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
    const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    out += static_cast<char>(high * 16 + low);
    at += 2;
  }
  return out;
}

bool parse_target(std::string_view target, Request& request) {
  const bool plain =
      std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || !target.starts_with('/')) {
    return false;
  }
  auto path = decoded(take_until(target, '?'), false);
  if (!path) {
    return false;
  }
  request.path = std::move(*path);
  while (!target.empty() && request.query.size() < kMaxParameters) {
    std::string_view pair = take_until(target, '&');
    auto name = decoded(take_until(pair, '='), true);
    auto value = decoded(pair, true);
    if (!name || !value) {
      return false;
    }
    request.query.emplace_back(std::move(*name), std::move(*value));
  }
  return true;
}

// 0, or the status of a refusal.
int parse_request_line(std::string_view line, Request& request) {
  const std::string_view method = take_until(line, ' ');
  const std::string_view target = take_until(line, ' ');
  if (!line.starts_with("HTTP/") || method.empty() ||
      !std::all_of(method.begin(), method.end(), is_alpha)) {
    return kBadRequest;
  }
  if (line != "HTTP/1.1" && line != "HTTP/1.0") {
    return kVersionNotSupported;
  }
  if (method != "GET" && method != "HEAD") {
    return kMethodNotAllowed;
  }
  request.head = method == "HEAD";
  return parse_target(target, request) ? 0 : kBadRequest;
}

int take_field(std::string_view line, Request& request) {
  const std::size_t colon = line.find(':');
  // RFC 9112 section 5: a line that continues the one before is obsolete.
  if (colon == std::string_view::npos || colon == 0 || is_wsp(line.front())) {
    return kBadRequest;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (equal_ignoring_case(name, "transfer-encoding") ||
      (equal_ignoring_case(name, "content-length") && value != "0")) {
    return kContentTooLarge;
  }
  if (equal_ignoring_case(name, "x-forwarded-prefix")) {
    request.prefix = check_prefix(value);
  } else if (equal_ignoring_case(name, "x-forwarded-for")) {
    // Each proxy adds the address that it was asked from.
    request.forwarded_for = trimmed(value.substr(value.rfind(',') + 1)).substr(0, kMaxAddressBytes);
  }
  return 0;
}

}  // namespace

std::string_view Request::parameter(std::string_view name) const {
  const auto it = std::find_if(query.begin(), query.end(),
                               [&](const auto& pair) { return pair.first == name; });
  return it == query.end() ? std::string_view() : it->second;
}

Result<Request, int> parse_request(std::string_view head) {
  Request request;
  if (const int status = parse_request_line(take_line(head), request); status != 0) {
    return failure(status);
  }
  while (!head.empty()) {
    const std::string_view line = take_line(head);
    if (const int status = line.empty() ? 0 : take_field(line, request); status != 0) {
      return failure(status);
    }
  }
  return request;
}

std::string check_prefix(std::string_view text) {
  while (text.ends_with('/')) {
    text.remove_suffix(1);
  }
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return is_alnum(c) || c == '/' || c == '-' || c == '_' || c == '.' || c == '~';
  });
  // Two slashes begin the name of another host.
  const bool good = plain && text.starts_with('/') && text.size() <= kMaxPrefixBytes &&
                    text.find("//") == std::string_view::npos &&
                    text.find("/.") == std::string_view::npos;
  return good ? std::string(text) : std::string();
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte / 16];
      out += kDigits[byte % 16];
    }
  }
  return out;
}

}  // namespace mtastsd::web
