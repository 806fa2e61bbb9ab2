#include "listener_owner.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace mtastsd::doctor {
namespace {

constexpr char kHead[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n";
constexpr char kAny[] =
    "   0: 00000000:210D 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0\n";
constexpr char kLoopback[] =
    "   1: 0100007F:210D 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0\n";
constexpr char kConnected[] =
    "   2: 0100007F:210D 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1002        0\n";

std::optional<uid_t> owner(const std::string& lines, std::uint16_t port = 8461) {
  return owner_in(kHead + lines, *IpAddress::parse("127.0.0.1"), port);
}

TEST(ListenerOwner, IsWhoListensAtTheAddressOrElseEverywhere) {
  EXPECT_EQ(owner(std::string(kConnected) + kLoopback), uid_t{105});
  EXPECT_EQ(owner(std::string(kAny) + kLoopback), uid_t{105});
  EXPECT_EQ(owner(kAny), uid_t{1001});
  EXPECT_EQ(owner(kConnected), std::nullopt);
  EXPECT_EQ(owner(kLoopback, 8462), std::nullopt);
  EXPECT_EQ(owner("rubbish\n"), std::nullopt);
}

TEST(ListenerOwner, OfAnIpv6Address) {
  const std::string line =
      "   0: 00000000000000000000000001000000:210D 00000000000000000000000000000000:0000 0A "
      "00000000:00000000 00:00000000 00000000   106        0\n";
  EXPECT_EQ(owner_in(kHead + line, *IpAddress::parse("::1"), 8461), uid_t{106});
}

}  // namespace
}  // namespace mtastsd::doctor
