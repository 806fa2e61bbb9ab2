#include "handshake_limits.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <memory>
#include <string_view>

namespace mtastsd::https {
namespace {

// The first list is for OpenSSL 3.5, and as its own but for what is left out; the second one is for
// versions that do not understand it. Each group costs the client less than 2 ms, but for P-384
// with OpenSSL 3.0 (4 ms): guides to web servers had it as the only group for years. P-521 costs 3
// ms and is nobody's only group.
constexpr std::array<const char*, 2> kGroups = {
    "?*X25519MLKEM768 / ?*X25519:?secp256r1 / ?X448:?secp384r1", "X25519:P-256:X448:P-384"};

struct NumberFree {
  void operator()(BIGNUM* number) const { BN_free(number); }
};

bool set_groups(SSL_CTX* context) {
  for (const char* groups : kGroups) {
    if (SSL_CTX_set1_groups_list(context, groups) == 1) {
      ERR_clear_error();
      return true;
    }
  }
  return false;
}

// Those of TLS 1.3 are a list of its own, and have no key exchange.
bool set_ciphers(SSL_CTX* context) {
  std::string kept;
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    const int exchange = SSL_CIPHER_get_kx_nid(cipher);
    if (exchange == NID_kx_ecdhe || exchange == NID_kx_rsa) {
      kept += (kept.empty() ? "" : ":") + std::string(SSL_CIPHER_get_name(cipher));
    }
  }
  return SSL_CTX_set_cipher_list(context, kept.c_str()) == 1;
}

std::string refusal_of_rsa(const EVP_PKEY* key) {
  if (EVP_PKEY_get_bits(key) > kMaxRsaBits) {
    return "an RSA key of " + std::to_string(EVP_PKEY_get_bits(key)) + " bits; at most " +
           std::to_string(kMaxRsaBits) + " are accepted";
  }
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &number) != 1) {
    return "an RSA key without an exponent";
  }
  const std::unique_ptr<BIGNUM, NumberFree> exponent(number);
  return BN_num_bits(exponent.get()) > kMaxRsaExponentBits
             ? "an RSA key with an exponent of " + std::to_string(BN_num_bits(exponent.get())) +
                   " bits; at most " + std::to_string(kMaxRsaExponentBits) + " are accepted"
             : "";
}

std::string refusal_of_curve(const EVP_PKEY* key) {
  int explicit_curve = 0;
  if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                             &explicit_curve) == 1 &&
      explicit_curve != 0) {
    return "a key on a curve of its own; only named curves are accepted";
  }
  return EVP_PKEY_get_bits(key) > kMaxCurveBits
             ? "a key on a curve of " + std::to_string(EVP_PKEY_get_bits(key)) + " bits; at most " +
                   std::to_string(kMaxCurveBits) + " are accepted"
             : "";
}

std::string refusal_of_key(const EVP_PKEY* key) {
  if (key == nullptr) {
    return "a public key that cannot be read";
  }
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return refusal_of_rsa(key);
    case EVP_PKEY_EC:
      return refusal_of_curve(key);
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
      return "";
    default:
      break;
  }
  const char* name = EVP_PKEY_get0_type_name(key);
  const std::string_view type = name != nullptr ? name : "unknown";
  return type.starts_with("ML-DSA-") ? "" : "a key of the type " + std::string(type);
}

}  // namespace

bool bound_handshakes(SSL_CTX* context) {
  SSL_CTX_set_max_cert_list(context, kMaxCertificateBytes);
  SSL_CTX_set_verify_depth(context, kMaxCertificates);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  return set_groups(context) && set_ciphers(context);
}

std::string refusal_of_chain(const X509_STORE_CTX* presented) {
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(presented);
  const int count = sk_X509_num(chain);
  if (count > kMaxCertificates) {
    return "it came with " + std::to_string(count) + " certificates; at most " +
           std::to_string(kMaxCertificates) + " are accepted";
  }
  for (int i = 0; i < count; ++i) {
    if (std::string refusal = refusal_of_key(X509_get0_pubkey(sk_X509_value(chain, i)));
        !refusal.empty()) {
      return "certificate " + std::to_string(i + 1) + " of its chain has " + std::move(refusal);
    }
  }
  return "";
}

}  // namespace mtastsd::https
