#include "mtastsd/dane/usable.h"

#include <openssl/x509.h>

#include <memory>
#include <string>

namespace mtastsd::dane {
namespace {

constexpr std::uint8_t kTrustAnchor = 2;  // DANE-TA
constexpr std::uint8_t kEndEntity = 3;    // DANE-EE
constexpr std::size_t kSha256Bytes = 32;
constexpr std::size_t kSha512Bytes = 64;

// Nothing may follow the certificate or the key.
bool is_certificate(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  const std::unique_ptr<X509, decltype(&X509_free)> read(
      d2i_X509(nullptr, &at, static_cast<long>(der.size())), &X509_free);
  return read != nullptr && at == end && X509_get0_pubkey(read.get()) != nullptr;
}

bool is_public_key(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> read(
      d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())), &EVP_PKEY_free);
  return read != nullptr && at == end;
}

}  // namespace

bool is_usable(const dns::Tlsa& record) {
  // RFC 7672 section 3.1.3: usages 0 and 1 are not for SMTP.
  if ((record.usage != kTrustAnchor && record.usage != kEndEntity) || record.selector > 1) {
    return false;
  }
  switch (record.matching) {
    case 0:
      return record.selector == 0 ? is_certificate(record.data) : is_public_key(record.data);
    case 1:
      return record.data.size() == kSha256Bytes;
    case 2:
      return record.data.size() == kSha512Bytes;
    default:
      return false;
  }
}

}  // namespace mtastsd::dane
