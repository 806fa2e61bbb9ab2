#include "mtastsd/discovery/host_tries.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mtastsd::discovery {
namespace {

using Kind = PolicyFailure::Kind;

HostAddresses hosts(int number) {
  HostAddresses addresses;
  for (int i = 1; i <= number; ++i) {
    addresses.usable.push_back(*IpAddress::parse("192.0.2." + std::to_string(i)));
  }
  return addresses;
}

// Connects to the first address that is left, and fails to get a policy there.
bool fail(HostTries& tries, Kind kind, bool in_time = true) {
  tries.connected(tries.next().usable.front());
  return tries.fetch_failed({kind, "scripted"}, in_time);
}

TEST(HostTries, ThreeAddressesAreTriedEachOnce) {
  HostTries tries(hosts(4));
  EXPECT_TRUE(fail(tries, Kind::Certificate));
  EXPECT_TRUE(fail(tries, Kind::Fetch));
  EXPECT_FALSE(fail(tries, Kind::Fetch));
  ASSERT_EQ(tries.failures().size(), kMaxHostsTried);
  for (std::size_t i = 0; i < kMaxHostsTried; ++i) {
    const std::string address = "192.0.2." + std::to_string(i + 1);
    EXPECT_EQ(tries.failures()[i].address, IpAddress::parse(address));
    EXPECT_EQ(tries.failures()[i].why.detail, "scripted (at " + address + ")");
  }
}

TEST(HostTries, TheAddressThatHasAnsweredIsConnectedToUntilItFails) {
  HostTries tries(hosts(2));
  tries.connected(IpAddress::parse("192.0.2.2"));
  EXPECT_EQ(tries.next().usable, std::vector{*IpAddress::parse("192.0.2.2")});
  tries.connected(IpAddress::parse("192.0.2.2"));
  EXPECT_TRUE(tries.fetch_failed({Kind::Fetch, "scripted"}, true));
  EXPECT_FALSE(tries.address());
  EXPECT_EQ(tries.next().usable, std::vector{*IpAddress::parse("192.0.2.1")});
}

TEST(HostTries, NothingIsTriedAfterTheTimeOrAfterAnInvalidPolicy) {
  HostTries late(hosts(2));
  EXPECT_FALSE(fail(late, Kind::Fetch, false));
  HostTries invalid(hosts(2));
  EXPECT_FALSE(fail(invalid, Kind::Syntax));
  EXPECT_EQ(invalid.failures()[0].why.detail, "scripted") << "there is only one";
  HostTries by_proxy({.by_proxy = true});
  by_proxy.connected(std::nullopt);
  EXPECT_FALSE(by_proxy.fetch_failed({Kind::Fetch, "scripted"}, true));
  EXPECT_FALSE(by_proxy.failures()[0].address);
}

TEST(HostTries, TheMostTellingFailureIsNamed) {
  HostTries tries(hosts(4));
  fail(tries, Kind::Fetch);
  EXPECT_EQ(tries.most_telling(), 0U);
  fail(tries, Kind::Certificate);
  EXPECT_EQ(tries.most_telling(), 1U);
  fail(tries, Kind::Fetch);
  EXPECT_EQ(tries.most_telling(), 1U);

  HostTries unreachable(hosts(2));
  fail(unreachable, Kind::Fetch);
  unreachable.connect_failed({Kind::Fetch, "no route"});
  EXPECT_EQ(unreachable.most_telling(), 0U) << "the host that answered tells more";
}

}  // namespace
}  // namespace mtastsd::discovery
