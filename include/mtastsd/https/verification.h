#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mtastsd/https/observation.h"

struct ssl_ctx_st;

namespace mtastsd::https {

// RFC 8461 sections 3.3 and 4.2: has certificates judged by the DNS-IDs for `host` alone, "*"
// standing for a whole label. Needs SSL_VERIFY_PEER. False when OpenSSL will not.
bool require_dns_id(ssl_ctx_st* context, const std::string& host);

// Looks on while OpenSSL verifies the certificate of a connection, and notes all that is wrong with
// it, where OpenSSL would stop at the first. The verdict stays the same, unless `carry_on`: then
// the handshake goes on with any certificate. Outlives the handshakes of `context`, one at a time.
class CertificateWatch {
 public:
  CertificateWatch(ssl_ctx_st* context, bool carry_on);
  ~CertificateWatch();
  CertificateWatch(const CertificateWatch&) = delete;
  CertificateWatch& operator=(const CertificateWatch&) = delete;

  const std::optional<Certificate>& certificate() const;
  const std::string& tls_version() const;  // of the connection, once there was a certificate

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mtastsd::https
