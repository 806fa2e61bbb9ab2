#include "mtastsd/answer/observations.h"

#include <gtest/gtest.h>

namespace mtastsd::answer {
namespace {

DomainName name(std::uint64_t number) {
  return *DomainName::parse("d" + std::to_string(number) + ".example");
}

std::uint64_t total(const ObservedSum& sum) {
  std::uint64_t mails = sum.left_out;
  for (const Observed& one : sum.domains) {
    mails += one.mails;
  }
  return mails;
}

ObservedSum ranked(const Observations& observations, std::size_t max_bytes = 1 << 30) {
  return joined({observations.sum()}, max_bytes, 10);
}

TEST(Observations, CountEachDomain) {
  Observations observations;
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    for (std::uint64_t i = 0; i < number; ++i) {
      EXPECT_EQ(observations.add(name(number)), i == 0);
    }
  }
  const ObservedSum sum = ranked(observations);
  ASSERT_EQ(sum.domains.size(), 1000U);
  EXPECT_EQ(sum.left_out, 0U);
  for (std::size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(sum.domains[i].domain, name(1000 - i).view());
    EXPECT_EQ(sum.domains[i].mails, 1000 - i);
  }
}

// A stranger with many domains, before and after those that mail goes to.
TEST(Observations, TheBusiestStayAndNoMailIsLost) {
  Observations observations;
  constexpr std::uint64_t kStrange = 100000;
  constexpr std::uint64_t kBusy = 100;
  std::uint64_t mails = 0;
  for (std::uint64_t number = 0; number < kStrange; ++number, ++mails) {
    observations.add(name(number));
  }
  for (std::uint64_t i = 0; i < 50; ++i) {
    for (std::uint64_t number = 0; number < kBusy; ++number, ++mails) {
      observations.add(name(kStrange + number));
    }
  }
  for (std::uint64_t number = 0; number < kStrange; ++number, ++mails) {
    observations.add(name(number));
  }
  const ObservedSum sum = ranked(observations);
  EXPECT_EQ(total(sum), mails);
  EXPECT_LE(sum.domains.size(), 16384U);
  EXPECT_GT(sum.left_out, 0U);
  std::size_t busy = 0;
  for (std::size_t i = 0; i < kBusy; ++i) {
    busy += sum.domains[i].mails >= 40 ? 1 : 0;
  }
  EXPECT_GE(busy, kBusy - 5);
}

TEST(Observations, AreJoinedOfThreadsAndCutAtTheirBytes) {
  Observations one;
  Observations other;
  for (int i = 0; i < 3; ++i) {
    one.add(name(1));
    other.add(name(1));
    other.add(name(2));
  }
  one.add(name(3));
  const ObservedSum all = joined({one.sum(), other.sum()}, 1000, 10);
  ASSERT_EQ(all.domains.size(), 3U);
  EXPECT_EQ(all.domains[0].mails, 6U);
  EXPECT_EQ(all.domains_known, 3U);
  const ObservedSum cut = joined({one.sum(), other.sum()}, 2 * (10 + name(1).size()), 10);
  EXPECT_EQ(cut.domains.size(), 2U);
  EXPECT_EQ(cut.domains_known, 3U);
  EXPECT_EQ(cut.left_out, 1U);
}

}  // namespace
}  // namespace mtastsd::answer
