#include "tls_strength.h"

#include <gtest/gtest.h>

namespace mtastsd::doctor {
namespace {

struct ProtocolCase {
  const char* text;
  bool valid, tls1_2, tls1_3;
};

TEST(DoctorTls, ProtocolsAreReadAsPostfixDoes) {
  const ProtocolCase cases[] = {
      {"", true, true, true},
      {"!SSLv2, !SSLv3", true, true, true},
      {">=TLSv1.2", true, true, true},
      {">=tlsv1.3", true, false, true},
      {"<=TLSv1.2", true, true, false},
      {"!TLSv1.2 !TLSv1.3", true, false, false},
      {"!TLSv1.2:!TLSv1.3", true, false, false},
      {"TLSv1.2", true, true, false},
      {"TLSv1.2, !TLSv1.2", true, false, false},
      {"TLSv1, TLSv1.1", true, false, false},
      {"TLSv1.4", false, false, false},
      {"=TLSv1.2", false, false, false},
      {"!", false, false, false},
  };
  for (const ProtocolCase& one : cases) {
    const auto read = read_protocols(one.text);
    ASSERT_EQ(read.has_value(), one.valid) << one.text;
    if (read) {
      EXPECT_EQ(read->tls1_2, one.tls1_2) << one.text;
      EXPECT_EQ(read->tls1_3, one.tls1_3) << one.text;
    }
  }
}

TEST(DoctorTls, ExcludedCiphersCanLeaveNoneThatServersHave) {
  const std::string medium = "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH";
  EXPECT_TRUE(leaves_usual_ciphers(medium, ""));
  EXPECT_TRUE(leaves_usual_ciphers(medium, "aNULL, RC4, MD5, DES"));
  EXPECT_TRUE(leaves_usual_ciphers(medium, "AES128"));
  EXPECT_FALSE(leaves_usual_ciphers(medium, "ALL"));
  EXPECT_FALSE(leaves_usual_ciphers(medium, "ECDHE"));
  EXPECT_FALSE(leaves_usual_ciphers(medium, "AES, CHACHA20"));
  EXPECT_FALSE(leaves_usual_ciphers("no such list", ""));
  EXPECT_FALSE(leaves_usual_ciphers("eNULL:!aNULL", ""));
}

}  // namespace
}  // namespace mtastsd::doctor
