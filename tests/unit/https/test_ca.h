#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace mtastsd::https::test {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, Freer<X509_free>>;

struct CertSpec {
  std::optional<std::string> cn;
  std::vector<std::string> dns_names;
  long not_before = -3600;  // seconds from now
  long not_after = 86400;
  std::string extended_usage = "serverAuth";
  bool is_ca = false;
  std::string basic_constraints = "critical,CA:TRUE";  // of a CA
  std::string name_constraints;
  bool sha1 = false;
  EVP_PKEY* key = nullptr;  // instead of a new one on P-256; stays the caller's
  int comment_bytes = 0;    // makes the certificate larger
};

struct Identity {
  KeyPtr key;
  CertPtr cert;
};

inline void check(bool good, const char* what) {
  if (!good) {
    throw std::runtime_error(what);
  }
}

inline void add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  check(extension != nullptr, value.c_str());
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// The names as they are, zero bytes and all.
inline void add_dns_names(X509* cert, const std::vector<std::string>& names) {
  GENERAL_NAMES* list = GENERAL_NAMES_new();
  for (const auto& text : names) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
    GENERAL_NAME_set0_value(name, GEN_DNS, value);
    sk_GENERAL_NAME_push(list, name);
  }
  X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT);
  GENERAL_NAMES_free(list);
}

inline Identity make_identity(const CertSpec& spec, const Identity* issuer) {
  static long serial = 1;
  Identity made{KeyPtr(spec.key != nullptr ? spec.key : EVP_EC_gen("P-256")), CertPtr(X509_new())};
  if (spec.key != nullptr) {
    EVP_PKEY_up_ref(spec.key);
  }
  X509* cert = made.cert.get();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(cert), spec.not_before);
  X509_gmtime_adj(X509_getm_notAfter(cert), spec.not_after);
  X509_set_pubkey(cert, made.key.get());
  if (spec.cn) {
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(spec.cn->c_str()), -1, -1, 0);
  }
  X509* issuing = issuer != nullptr ? issuer->cert.get() : cert;
  X509_set_issuer_name(cert, X509_get_subject_name(issuing));
  if (spec.is_ca) {
    add_extension(cert, issuing, NID_basic_constraints, spec.basic_constraints);
    add_extension(cert, issuing, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else if (!spec.extended_usage.empty()) {
    add_extension(cert, issuing, NID_ext_key_usage, spec.extended_usage);
  }
  if (spec.comment_bytes > 0) {
    add_extension(cert, issuing, NID_netscape_comment,
                  std::string(static_cast<std::size_t>(spec.comment_bytes), 'x'));
  }
  if (!spec.name_constraints.empty()) {
    add_extension(cert, issuing, NID_name_constraints, spec.name_constraints);
  }
  if (!spec.dns_names.empty()) {
    add_dns_names(cert, spec.dns_names);
  }
  EVP_PKEY* signer = issuer != nullptr ? issuer->key.get() : made.key.get();
  check(X509_sign(cert, signer, spec.sha1 ? EVP_sha1() : EVP_sha256()) > 0, "X509_sign");
  return made;
}

// Of as many primes as OpenSSL allows, because it is made in no time then.
inline KeyPtr make_rsa_key(int bits) {
  EVP_PKEY* key = nullptr;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  const int primes = bits >= 8192 ? 5 : 2;
  check(EVP_PKEY_keygen_init(context) == 1 &&
            EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1 &&
            EVP_PKEY_CTX_set_rsa_keygen_primes(context, primes) == 1 &&
            EVP_PKEY_generate(context, &key) == 1,
        "an RSA key");
  EVP_PKEY_CTX_free(context);
  return KeyPtr(key);
}

// With random numbers in the place of a modulus and an exponent: nothing can be signed with it.
inline KeyPtr make_rsa_public_key(int bits, int exponent_bits) {
  BIGNUM* modulus = BN_new();
  BIGNUM* exponent = BN_new();
  BN_rand(modulus, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
  BN_rand(exponent, exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus);
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent);
  OSSL_PARAM* parameters = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  EVP_PKEY* key = nullptr;
  check(EVP_PKEY_fromdata_init(context) == 1 &&
            EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1,
        "a public RSA key");
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(parameters);
  OSSL_PARAM_BLD_free(builder);
  BN_free(modulus);
  BN_free(exponent);
  return KeyPtr(key);
}

inline KeyPtr make_ec_key(const char* curve, bool named = true) {
  EVP_PKEY* key = nullptr;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  check(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_group_name(context, curve) == 1 &&
            EVP_PKEY_CTX_set_ec_param_enc(
                context, named ? OPENSSL_EC_NAMED_CURVE : OPENSSL_EC_EXPLICIT_CURVE) == 1 &&
            EVP_PKEY_generate(context, &key) == 1,
        curve);
  EVP_PKEY_CTX_free(context);
  return KeyPtr(key);
}

inline Identity make_root(const std::string& name) {
  return make_identity({.cn = name, .not_after = 864000, .is_ca = true}, nullptr);
}

inline void write_pem(const std::string& path, X509* cert) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  check(file != nullptr, "fopen");
  PEM_write_X509(file, cert);
  std::fclose(file);
}

}  // namespace mtastsd::https::test
