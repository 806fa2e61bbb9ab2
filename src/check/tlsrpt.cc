// The TXT record of RFC 8460 section 3. "rua" is required by its prose, and its grammar allows
// several, all of which are read.

#include "tlsrpt.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/text.h"

namespace mtastsd::check {
namespace {

constexpr std::string_view kVersion = "v=TLSRPTv1";
constexpr std::size_t kMaxName = 32;
constexpr std::string_view kMailto = "mailto:";
constexpr std::string_view kHttps = "https://";

// RFC 3986 section 3.1: schemes have no case.
bool has_scheme(std::string_view uri, std::string_view scheme) {
  return equal_ignoring_case(uri.substr(0, scheme.size()), scheme);
}

bool is_name_char(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

// RFC 8460 section 3: %x21-3A / %x3C / %x3E-7E; a URI may have "=" too.
bool is_value_char(char c) {
  return c > ' ' && c < 0x7f && c != ';';
}

void skip_blanks(std::string_view text, std::size_t& at) {
  while (at < text.size() && is_wsp(text[at])) {
    ++at;
  }
}

auto error_at(std::size_t offset, std::string detail) {
  return failure(mtasts::ParseError{offset, std::move(detail)});
}

// RFC 8460 section 3: tlsrpt-uri *( *WSP "," *WSP tlsrpt-uri). "," and "!" are no part of one.
Result<std::vector<std::string>, mtasts::ParseError> parse_uris(std::string_view text,
                                                                std::size_t begin,
                                                                std::size_t end) {
  std::vector<std::string> uris;
  std::size_t at = begin;
  for (;;) {
    skip_blanks(text, at);
    const std::size_t uri_at = at;
    while (at < end && is_value_char(text[at]) && text[at] != ',' && text[at] != '!') {
      ++at;
    }
    const std::string_view uri = text.substr(uri_at, at - uri_at);
    const std::size_t scheme = uri.find(':');
    if (scheme == std::string_view::npos || scheme == 0 || scheme + 1 == uri.size()) {
      return error_at(uri_at, "not a URI: " + in_quotes(text.substr(uri_at, end - uri_at)));
    }
    uris.emplace_back(uri);
    skip_blanks(text, at);
    if (at >= end) {
      return uris;
    }
    if (text[at] != ',') {
      return error_at(at, "expected \",\" before " + in_quotes(text.substr(at, end - at)));
    }
    ++at;
  }
}

}  // namespace

bool claims_tlsrpt(std::string_view text) {
  std::size_t at = kVersion.size();
  if (!text.starts_with(kVersion)) {
    return false;
  }
  skip_blanks(text, at);
  return at < text.size() && text[at] == ';';
}

Result<TlsRptRecord, mtasts::ParseError> parse_tlsrpt(std::string_view text) {
  if (!claims_tlsrpt(text)) {
    return error_at(0, "does not begin with v=TLSRPTv1;");
  }
  TlsRptRecord record;
  std::size_t at = kVersion.size();
  for (;;) {
    skip_blanks(text, at);
    if (at == text.size()) {
      break;
    }
    if (text[at] != ';') {
      return error_at(at, "expected \";\" before " + in_quotes(text.substr(at)));
    }
    ++at;
    skip_blanks(text, at);
    if (at == text.size()) {
      break;
    }
    const std::size_t name_at = at;
    while (at < text.size() && is_name_char(text[at])) {
      ++at;
    }
    const std::string_view name = text.substr(name_at, at - name_at);
    if (name.empty() || !is_alnum(name.front()) || name.size() > kMaxName || at == text.size() ||
        text[at] != '=') {
      return error_at(name_at, "not a field: " + in_quotes(text.substr(name_at)));
    }
    const std::size_t value_at = ++at;
    if (name == "rua") {
      at = std::min(text.find(';', at), text.size());
      auto uris = parse_uris(text, value_at, at);
      if (!uris) {
        return failure(std::move(uris.error()));
      }
      record.destinations.insert(record.destinations.end(), uris->begin(), uris->end());
      continue;
    }
    // RFC 8460 section 3: tlsrpt-ext-value.
    while (at < text.size() && is_value_char(text[at]) && text[at] != '=') {
      ++at;
    }
    if (value_at == at) {
      return error_at(value_at, "no value for " + in_quotes(name));
    }
  }
  if (record.destinations.empty()) {
    return error_at(text.size(), "no rua");
  }
  return record;
}

bool usable_destination(std::string_view uri) {
  if (has_scheme(uri, kMailto)) {
    uri.remove_prefix(kMailto.size());
    const std::string_view address = uri.substr(0, uri.find('?'));
    const std::size_t at = address.rfind('@');
    return at != std::string_view::npos && at > 0 &&
           DomainName::parse(address.substr(at + 1)).has_value();
  }
  if (has_scheme(uri, kHttps)) {
    uri.remove_prefix(kHttps.size());
    const std::string_view host = uri.substr(0, uri.find_first_of(":/?#"));
    return DomainName::parse(host).has_value();
  }
  return false;
}

}  // namespace mtastsd::check
