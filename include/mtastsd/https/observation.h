#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/base/clock.h"

namespace mtastsd::https {

// A server's certificate, judged by RFC 8461 sections 3.3 and 4.2: it must have a chain to a
// trusted root, be valid now, and have a DNS-ID that covers the host.
struct Certificate {
  std::string subject;             // the CN, which can be empty
  std::string issuer;              // the CN of the issuer, or otherwise its organisation
  std::vector<std::string> names;  // the DNS-IDs, at most kMaxNamesShown
  WallTime not_before{};
  WallTime not_after{};
  bool chain_trusted = false;  // regardless of name and time
  bool in_time = false;        // of the certificate and of all above it
  bool name_matches = false;
  std::string key;                 // "RSA 2048", "EC prime256v1"; empty if it was not looked at
  std::vector<std::string> chain;  // the subjects of what the server sent with it, in this order
  std::string problem;             // what is wrong, in OpenSSL's words; empty if nothing is

  bool good() const { return chain_trusted && in_time && name_matches; }
};
inline constexpr std::size_t kMaxNamesShown = 100;

// What is known about a fetch besides its result, even if it failed.
struct Observation {
  std::string address;      // the last one that accepted a connection; empty if none did
  std::string tls_version;  // "TLSv1.3"; empty if no handshake got that far
  std::optional<Certificate> certificate;
  int status = 0;  // 0: no response
  std::string media_type;
  std::string location;  // of a redirect
  std::size_t body_size = 0;
  Milliseconds took{0};
};

}  // namespace mtastsd::https
