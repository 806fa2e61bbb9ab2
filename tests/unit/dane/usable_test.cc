#include "mtastsd/dane/usable.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace mtastsd::dane {
namespace {

std::string der(int (*encode)(const void*, unsigned char**), const void* object) {
  unsigned char* bytes = nullptr;
  const int size = encode(object, &bytes);
  std::string text(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return text;
}

struct Sample {
  std::string certificate;
  std::string key;
};

Sample sample() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), &X509_free);
  X509_set_version(x509.get(), 2);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
  X509_set_pubkey(x509.get(), key.get());
  X509_sign(x509.get(), key.get(), EVP_sha256());
  return {der([](const void* it,
                 unsigned char** out) { return i2d_X509(static_cast<const X509*>(it), out); },
              x509.get()),
          der([](const void* it,
                 unsigned char** out) { return i2d_PUBKEY(static_cast<const EVP_PKEY*>(it), out); },
              key.get())};
}

TEST(IsUsable, TakesWhatOpenSslTakes) {
  const Sample it = sample();
  const std::string sha256(32, 'x');
  const std::string sha512(64, 'x');
  struct Row {
    dns::Tlsa record;
    bool usable;
    const char* why;
  };
  const Row rows[] = {
      {{3, 1, 1, sha256}, true, "the usual one"},
      {{2, 0, 1, sha256}, true, "a trust anchor"},
      {{3, 0, 2, sha512}, true, "SHA-512"},
      {{0, 1, 1, sha256}, false, "RFC 7672 section 3.1.3: PKIX-TA"},
      {{1, 1, 1, sha256}, false, "RFC 7672 section 3.1.3: PKIX-EE"},
      {{4, 1, 1, sha256}, false, "an unknown usage"},
      {{255, 1, 1, sha256}, false, "a private usage"},
      {{3, 2, 1, sha256}, false, "an unknown selector"},
      {{3, 1, 3, sha256}, false, "an unknown matching type"},
      {{3, 1, 1, sha512}, false, "the wrong length"},
      {{3, 1, 2, sha256}, false, "the wrong length"},
      {{3, 1, 1, sha256.substr(1)}, false, "one byte short"},
      {{3, 1, 1, ""}, false, "nothing"},
      {{3, 0, 0, it.certificate}, true, "a whole certificate"},
      {{2, 0, 0, it.certificate}, true, "a whole certificate"},
      {{3, 1, 0, it.key}, true, "a whole key"},
      {{3, 0, 0, it.key}, false, "a key where a certificate belongs"},
      {{3, 1, 0, it.certificate}, false, "a certificate where a key belongs"},
      {{3, 0, 0, it.certificate + "x"}, false, "something behind it"},
      {{3, 1, 0, it.key.substr(0, it.key.size() - 1)}, false, "cut off"},
      {{3, 0, 0, ""}, false, "nothing"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(is_usable(row.record), row.usable) << row.why;
  }
}

}  // namespace
}  // namespace mtastsd::dane
