#include <string_view>

#include "mtastsd/dns/dns_client.h"

namespace mtastsd::dns {
namespace {

std::string_view name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Timeout:
      return "no answer in time";
    case ErrorKind::ServFail:
      return "SERVFAIL";
    case ErrorKind::Refused:
      return "refused";
    case ErrorKind::Malformed:
      return "malformed answer";
    case ErrorKind::NoServer:
      return "no server reachable";
    case ErrorKind::TooMany:
      return "too many questions at once";
  }
  return "failed";
}

}  // namespace

std::string describe(const Error& error) {
  std::string text(name_of(error.kind));
  return error.detail.empty() ? text : text + ": " + error.detail;
}

}  // namespace mtastsd::dns
