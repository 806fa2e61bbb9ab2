#include "eviction.h"

#include <gtest/gtest.h>

#include <string>

#include "lowest.h"

namespace mtastsd::cache {
namespace {

const WallTime kNow{Seconds(1'700'000'000)};

EntryFacts policy(mtasts::Mode mode, Seconds left, Seconds unused) {
  EntryFacts facts;
  facts.has_policy = true;
  facts.mode = mode;
  facts.max_age = Seconds(604800);
  facts.fetched_at = kNow + left - facts.max_age;
  facts.last_used_at = kNow - unused;
  return facts;
}

EntryFacts no_policy(Seconds left) {
  EntryFacts facts;
  facts.recheck_at = kNow + left;
  return facts;
}

using Victims = Lowest<Value, DomainName>;

void consider(Victims& victims, const std::string& name, const EntryFacts& facts) {
  if (const Value value = value_of(facts, 0, kNow); victims.wants(value)) {
    victims.add(value, *DomainName::parse(name));
  }
}

TEST(Victims, TheLeastValuableGoFirstAndEnforcedPoliciesInUseLast) {
  Victims victims(100);
  consider(victims, "in-use.example", policy(mtasts::Mode::Enforce, Seconds(1000), Seconds(0)));
  consider(victims, "unused.example",
           policy(mtasts::Mode::Enforce, Seconds(9000), Seconds(900000)));
  consider(victims, "none.example", policy(mtasts::Mode::None, Seconds(1000), Seconds(0)));
  consider(victims, "testing.example", policy(mtasts::Mode::Testing, Seconds(1000), Seconds(5)));
  consider(victims, "expired.example", policy(mtasts::Mode::Enforce, Seconds(0), Seconds(0)));
  consider(victims, "long.example", no_policy(Seconds(3000)));
  consider(victims, "short.example", no_policy(Seconds(10)));
  std::string order;
  for (const auto& [value, domain] : victims.take()) {
    order += domain.str() + " ";
  }
  EXPECT_EQ(order,
            "short.example long.example expired.example testing.example none.example "
            "unused.example in-use.example ");
}

TEST(Victims, ABoundedNumberIsTheLeastValuableOfAll) {
  Victims victims(3);
  for (int i = 0; i < 1000; ++i) {
    const int shuffled = i * 7919 % 1000;
    consider(victims, "d" + std::to_string(shuffled) + ".example",
             policy(mtasts::Mode::Enforce, Seconds(1000), Seconds(shuffled)));
  }
  std::string order;
  for (const auto& [value, domain] : victims.take()) {
    order += domain.str() + " ";
  }
  EXPECT_EQ(order, "d999.example d998.example d997.example ");
}

EntryFacts in_regular_use(Seconds since, Seconds unused) {
  EntryFacts facts = policy(mtasts::Mode::Enforce, Seconds(1000), unused);
  facts.first_used_at = kNow - since;
  return facts;
}

TEST(WorthOf, APolicyIsInRegularUseWhenMailComesAgainAfterADay) {
  constexpr Seconds kDay{86400};
  EXPECT_EQ(worth_of(in_regular_use(kDay, Seconds(0)), kNow), Worth::InUse);
  EXPECT_EQ(worth_of(in_regular_use(kDay - Seconds(1), Seconds(0)), kNow), Worth::Enforced);
  EXPECT_EQ(worth_of(in_regular_use(40 * kDay, 14 * kDay - Seconds(1)), kNow), Worth::InUse);
  EXPECT_EQ(worth_of(in_regular_use(40 * kDay, 14 * kDay), kNow), Worth::Enforced);
  EntryFacts testing = in_regular_use(kDay, Seconds(0));
  testing.mode = mtasts::Mode::Testing;
  EXPECT_EQ(worth_of(testing, kNow), Worth::NotEnforced);
  EntryFacts aside = in_regular_use(kDay, Seconds(0));
  aside.set_aside = true;
  EXPECT_EQ(worth_of(aside, kNow), Worth::Expired);
}

TEST(ValueOf, TheOwnerWithMostGivesUpFirstButForWhatIsInRegularUse) {
  const EntryFacts once = policy(mtasts::Mode::Enforce, Seconds(1000), Seconds(0));
  const EntryFacts testing = policy(mtasts::Mode::Testing, Seconds(1000), Seconds(0));
  const EntryFacts in_use = in_regular_use(Seconds(90000), Seconds(0));
  constexpr std::uint64_t kMuch = 1 << 20;
  EXPECT_LT(value_of(once, kMuch, kNow), value_of(testing, 500, kNow));
  EXPECT_LT(value_of(testing, 500, kNow), value_of(once, 500, kNow));
  EXPECT_EQ(value_of(once, 500, kNow), value_of(once, 4000, kNow)) << "both use little";
  EXPECT_LT(value_of(once, 1, kNow), value_of(in_use, kMuch, kNow));
  EXPECT_LT(value_of(in_use, kMuch, kNow), value_of(in_use, 1, kNow));
  EXPECT_LT(value_of(no_policy(Seconds(10)), 1, kNow), value_of(once, kMuch, kNow));
}

TEST(OwnerBytes, AreNeverLessThanWhatWasAdded) {
  OwnerBytes owners;
  const auto hash = [](std::uint64_t number) { return number * 0x9e3779b97f4a7c15; };
  for (std::uint64_t i = 1; i <= 10000; ++i) {
    owners.add(hash(i), i);
  }
  owners.add(hash(7), 1000000);
  std::uint64_t too_much = 0;
  for (std::uint64_t i = 1; i <= 10000; ++i) {
    ASSERT_GE(owners.of(hash(i)), i);
    too_much += i != 7 && owners.of(hash(i)) > 2 * i + 100000 ? 1 : 0;
  }
  EXPECT_EQ(too_much, 0U);
  owners.subtract(hash(7), 1000000);
  EXPECT_LT(owners.of(hash(7)), 100000U);
}

}  // namespace
}  // namespace mtastsd::cache
