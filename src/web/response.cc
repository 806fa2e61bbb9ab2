#include "mtastsd/web/response.h"

namespace mtastsd::web {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 303:
      return "See Other";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

// Styles and scripts are files of ours. Nothing is loaded from elsewhere, nothing in a page is
// evaluated, no other site can frame the pages, and forms lead to us.
constexpr std::string_view kSecurity =
    "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

}  // namespace

Response plain(int status, std::string_view sentence) {
  return {.status = status, .type = kPlainText, .body = std::string(sentence) + "\n"};
}

std::string head_of(const Response& response, std::optional<std::size_t> size) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head += reason_of(response.status);
  head += "\r\nContent-Type: ";
  head += response.type;
  if (size) {
    head += "\r\nContent-Length: " + std::to_string(*size);
  } else {
    head += "\r\nX-Accel-Buffering: no";  // a proxy passes on what comes, as it comes
  }
  if (!response.location.empty()) {
    head += "\r\nLocation: " + response.location;
  }
  if (response.status == 405) {
    head += "\r\nAllow: GET, HEAD";
  }
  head += response.keep.count() > 0
              ? "\r\nCache-Control: max-age=" + std::to_string(response.keep.count())
              : "\r\nCache-Control: no-store";
  head += "\r\nConnection: close\r\n";
  head += kSecurity;
  head += "\r\n";
  return head;
}

}  // namespace mtastsd::web
