#include "repeats.h"

#include <gtest/gtest.h>

#include <string>

namespace mtastsd::resolver {
namespace {

constexpr SteadyTime kStart{std::chrono::hours(5)};

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

TEST(Repeats, OnlyTheFirstTimeIsNew) {
  Repeats repeats;
  EXPECT_FALSE(repeats.again(name("a.example"), kStart));
  EXPECT_TRUE(repeats.again(name("a.example"), kStart));
  EXPECT_FALSE(repeats.again(name("b.example"), kStart));
  repeats.is_well(name("a.example"));
  EXPECT_FALSE(repeats.again(name("a.example"), kStart));
}

TEST(Repeats, AfterAnHourItIsNewAgain) {
  Repeats repeats;
  EXPECT_FALSE(repeats.again(name("a.example"), kStart));
  EXPECT_TRUE(repeats.again(name("a.example"), kStart + Repeats::kFor - Seconds(1)));
  EXPECT_FALSE(repeats.again(name("a.example"), kStart + Repeats::kFor));
}

TEST(Repeats, BeyondTheBoundEveryTimeIsTheFirst) {
  Repeats repeats;
  for (std::size_t i = 0; i < Repeats::kMost; ++i) {
    EXPECT_FALSE(repeats.again(name("d" + std::to_string(i) + ".example"), kStart));
  }
  EXPECT_FALSE(repeats.again(name("more.example"), kStart));
  EXPECT_FALSE(repeats.again(name("more.example"), kStart));
  EXPECT_TRUE(repeats.again(name("d1.example"), kStart));
}

}  // namespace
}  // namespace mtastsd::resolver
