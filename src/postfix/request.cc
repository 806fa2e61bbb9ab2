// Lookup keys as Postfix's smtp(8) sends them: the next-hop exactly as it was configured, or the
// recipient's domain exactly as it was typed, in any case, with brackets and port.
//
// A key that must not lead to a DNS query gives nullopt. Its answer is NOTFOUND, which does not
// hold up mail. Names under .onion are such keys (RFC 7686 section 2). Other special-use names are
// looked up like any other name, because a private resolver may know them.

#include "mtastsd/postfix/request.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include "mtastsd/base/ascii.h"

namespace mtastsd::postfix {
namespace {

constexpr std::string_view kRecordLabel = "_mta-sts";
constexpr std::size_t kMaxServiceName = 15;  // RFC 6335 section 5.1
constexpr unsigned kMaxPort = 65535;

bool is_port_number(std::string_view text) {
  unsigned port = 0;
  for (const char c : text) {
    if (!is_digit(c)) {
      return false;
    }
    port = port * 10 + static_cast<unsigned>(c - '0');
    if (port > kMaxPort) {
      return false;
    }
  }
  return !text.empty();
}

bool is_service_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxServiceName && is_alpha(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_port(std::string_view text) {
  return is_port_number(text) || is_service_name(text);
}

// The parts of "host", "host:port", "[host]" and "[host]:port".
struct NextHop {
  std::string_view host;
  std::string_view port;  // empty: none
};

// Nullopt if the key has another form. An IPv6 address without brackets has several colons.
std::optional<NextHop> next_hop_of(std::string_view key) {
  std::string_view host = key;
  std::string_view rest;
  if (key.starts_with('[')) {
    const std::size_t close = key.find(']');
    if (close == std::string_view::npos) {
      return std::nullopt;
    }
    host = key.substr(1, close - 1);
    rest = key.substr(close + 1);
  } else if (const std::size_t colon = key.find(':'); colon != std::string_view::npos) {
    host = key.substr(0, colon);
    rest = key.substr(colon);
  }
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) {
    return std::nullopt;
  }
  return NextHop{host, rest.empty() ? rest : rest.substr(1)};
}

// The services of mail by their names in /etc/services, in any case of letters.
std::uint16_t port_of(std::string_view text) {
  constexpr std::uint16_t kSmtp = 25;
  constexpr std::uint16_t kSubmissions = 465;
  constexpr std::uint16_t kSubmission = 587;
  if (is_port_number(text)) {
    std::uint16_t port = 0;
    std::from_chars(text.data(), text.data() + text.size(), port);
    return port;
  }
  for (const std::string_view name : {"submissions", "smtps", "ssmtp", "urd"}) {
    if (equal_ignoring_case(text, name)) {
      return kSubmissions;
    }
  }
  return equal_ignoring_case(text, "submission") ? kSubmission : kSmtp;
}

// Some address parsers accept "192.0.2.0x1" as an IPv4 address. No top-level domain begins like
// that.
bool is_hex_number(std::string_view label) {
  return label.starts_with("0x") && std::all_of(label.begin() + 2, label.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

Request split_request(std::string_view payload) {
  const std::size_t space = payload.find(' ');
  if (space == std::string_view::npos) {
    return {payload, {}};
  }
  return {payload.substr(0, space), payload.substr(space + 1)};
}

std::optional<DomainName> policy_domain_of(std::string_view key) {
  const auto next_hop = next_hop_of(key);
  if (!next_hop) {
    return std::nullopt;
  }
  // RFC 8461 section 3.4: the policy domain is the next-hop itself and never a parent of it, and an
  // address has no policy. This parser rejects addresses and ".parent" keys.
  const auto domain = DomainName::parse_utf8(next_hop->host);
  if (!domain) {
    return std::nullopt;
  }
  const std::size_t last_dot = domain->view().rfind('.');
  if (last_dot == std::string_view::npos) {
    return std::nullopt;  // a single label
  }
  const std::string_view top = domain->view().substr(last_dot + 1);
  if (top == "onion" || is_hex_number(top)) {
    return std::nullopt;
  }
  if (kRecordLabel.size() + 1 + domain->size() > DomainName::kMaxSize) {
    return std::nullopt;
  }
  return domain;
}

dane::Target target_of(std::string_view key) {
  const auto next_hop = next_hop_of(key);
  return {.by_mx = !key.starts_with('['), .port = port_of(next_hop ? next_hop->port : "")};
}

}  // namespace mtastsd::postfix
