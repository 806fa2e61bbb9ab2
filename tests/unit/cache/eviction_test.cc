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
  if (const Value value = value_of(facts, kNow); victims.wants(value)) {
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

}  // namespace
}  // namespace mtastsd::cache
