#pragma once

#include <string>

#include <openssl/types.h>

namespace mtastsd::https {

// What a peer can make us compute for a TLS handshake, before it has shown who it is.
inline constexpr int kMaxCertificates = 10;              // that it presents
inline constexpr long kMaxCertificateBytes = 32 * 1024;  // OpenSSL reads these before we see them
inline constexpr int kMaxRsaBits = 8192;
inline constexpr int kMaxRsaExponentBits = 64;
inline constexpr int kMaxCurveBits = 521;

// Makes handshakes with `context` cheap for the client, a few milliseconds at most. There is no
// finite-field Diffie-Hellman of any version, and no second handshake on a connection. Of what
// openssl.cnf allows in TLS 1.2, key exchange by ECDHE and by RSA stays. False if OpenSSL refuses
// that.
bool bound_handshakes(SSL_CTX* context);

// Why the certificates that a peer has presented are not worth a look at their signatures: there
// are too many, or a key that is expensive to use. Empty if they are.
std::string refusal_of_chain(const X509_STORE_CTX* presented);

}  // namespace mtastsd::https
