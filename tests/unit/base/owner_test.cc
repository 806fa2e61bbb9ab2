#include "mtastsd/base/owner.h"

#include <gtest/gtest.h>

namespace mtastsd {
namespace {

std::string owner(const char* domain) {
  return owner_of(*DomainName::parse(domain));
}

TEST(Owner, IsTheRegistrableDomain) {
  EXPECT_EQ(owner("example.com"), "example.com");
  EXPECT_EQ(owner("a.b.example.com"), "example.com");
  EXPECT_EQ(owner("mail.example.co.uk"), "example.co.uk");
}

TEST(Owner, APublicSuffixOwnsItself) {
  EXPECT_EQ(owner("co.uk"), "co.uk");
  EXPECT_EQ(owner("com"), "com");
}

// People who are given names below a suffix of that kind do not answer for one another.
TEST(Owner, PrivateSuffixesCount) {
  EXPECT_EQ(owner("a.somebody.github.io"), "somebody.github.io");
}

TEST(Owner, AnUnknownTopLevelDomainIsASuffix) {
  EXPECT_EQ(owner("a.example.invalid-tld-of-a-test"), "example.invalid-tld-of-a-test");
}

TEST(Owner, ALabelsAreLookedUpAsTheyAre) {
  EXPECT_EQ(owner("a.xn--bcher-kva.xn--55qx5d.cn"), "xn--bcher-kva.xn--55qx5d.cn");
}

}  // namespace
}  // namespace mtastsd
