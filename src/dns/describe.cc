#include <string_view>

#include "mtastsd/dns/dns_client.h"

namespace mtastsd::dns {
namespace {

std::string_view name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Timeout:
      return "timeout";
    case ErrorKind::ServFail:
      return "SERVFAIL";
    case ErrorKind::Refused:
      return "refused";
    case ErrorKind::NotUnderstood:
      return "not understood by the server";
    case ErrorKind::Malformed:
      return "malformed answer";
    case ErrorKind::NoServer:
      return "no server can be reached";
    case ErrorKind::TooMany:
      return "too many lookups at once";
  }
  return "failed";
}

}  // namespace

std::string describe(const Error& error) {
  std::string text(name_of(error.kind));
  return error.detail.empty() ? text : text + ": " + error.detail;
}

std::string describe_dead_end(const Provenance& provenance, std::string_view type) {
  if (provenance.chain.empty()) {
    return {};
  }
  return ": the CNAME leads to " + provenance.chain.back() + ", which " +
         (provenance.no_such_name ? std::string("does not exist")
                                  : "has no " + std::string(type) + " record");
}

}  // namespace mtastsd::dns
