#include "mtastsd/base/checksum.h"

#include <gtest/gtest.h>

#include <string>

#include "exact_copy.h"

namespace mtastsd {
namespace {

// RFC 3720 appendix B.4, and the usual check value.
TEST(Checksum, IsCrc32c) {
  std::string ascending;
  for (char byte = 0; byte < 32; ++byte) {
    ascending.push_back(byte);
  }
  const struct {
    std::string bytes;
    std::uint32_t crc;
  } cases[] = {
      {"", 0},
      {"123456789", 0xe3069283},
      {std::string(32, '\0'), 0x8a9136aa},
      {std::string(32, '\xff'), 0x62a8ab43},
      {ascending, 0x46dd794e},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(crc32c(each.bytes), each.crc);
    EXPECT_EQ(crc32c_by_table(each.bytes), each.crc);
  }
}

TEST(Checksum, IsTheSameOnAnyProcessor) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    const ExactCopy copy(bytes);
    EXPECT_EQ(crc32c(copy.view()), crc32c_by_table(copy.view())) << bytes.size();
    bytes.push_back(static_cast<char>(i * 37));
  }
}

}  // namespace
}  // namespace mtastsd
