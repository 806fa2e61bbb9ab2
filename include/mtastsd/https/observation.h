#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/base/clock.h"

namespace mtastsd::https {

// What a server showed of itself, and what RFC 8461 sections 3.3 and 4.2 make of it: a chain
// to a trusted root, in its time, with a DNS-ID that covers the host.
struct Certificate {
  std::string subject;             // the CN, may be empty
  std::string issuer;              // the CN of the issuer, else its organisation
  std::vector<std::string> names;  // DNS-IDs, at most kMaxNamesShown
  WallTime not_before{};
  WallTime not_after{};
  bool chain_trusted = false;  // apart from name and time
  bool in_time = false;        // the certificate and all above it
  bool name_matches = false;
  std::string problem;  // OpenSSL's word for what is wrong, empty if nothing is

  bool good() const { return chain_trusted && in_time && name_matches; }
};
inline constexpr std::size_t kMaxNamesShown = 100;

// What is known about a fetch besides its result, failed ones included.
struct Observation {
  std::string address;      // that was connected to last; empty: none
  std::string tls_version;  // "TLSv1.3"; empty: no handshake came so far
  std::optional<Certificate> certificate;
  int status = 0;  // 0: no response
  std::string media_type;
  std::string location;  // of a redirect
  std::size_t body_size = 0;
  Milliseconds took{0};
};

}  // namespace mtastsd::https
