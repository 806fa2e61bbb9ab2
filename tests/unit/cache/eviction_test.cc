#include "eviction.h"

#include <gtest/gtest.h>

#include <string>

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

TEST(Victims, TheLeastValuableGoFirstAndEnforcedPoliciesInUseLast) {
  Victims victims(100);
  const auto consider = [&](const char* name, const EntryFacts& facts) {
    victims.consider(*DomainName::parse(name), facts, kNow);
  };
  consider("in-use.example", policy(mtasts::Mode::Enforce, Seconds(1000), Seconds(0)));
  consider("unused.example", policy(mtasts::Mode::Enforce, Seconds(9000), Seconds(900000)));
  consider("none.example", policy(mtasts::Mode::None, Seconds(1000), Seconds(0)));
  consider("testing.example", policy(mtasts::Mode::Testing, Seconds(1000), Seconds(5)));
  consider("expired.example", policy(mtasts::Mode::Enforce, Seconds(0), Seconds(0)));
  consider("long.example", no_policy(Seconds(3000)));
  consider("short.example", no_policy(Seconds(10)));
  std::string order;
  for (const auto& victim : victims.take()) {
    order += victim.domain.str() + " ";
  }
  EXPECT_EQ(order,
            "short.example long.example expired.example testing.example none.example "
            "unused.example in-use.example ");
}

TEST(Victims, ABoundedNumberIsTheLeastValuableOfAll) {
  Victims victims(3);
  for (int i = 0; i < 1000; ++i) {
    const int shuffled = i * 7919 % 1000;
    victims.consider(*DomainName::parse("d" + std::to_string(shuffled) + ".example"),
                     policy(mtasts::Mode::Enforce, Seconds(1000), Seconds(shuffled)), kNow);
  }
  std::string order;
  for (const auto& victim : victims.take()) {
    order += victim.domain.str() + " ";
  }
  EXPECT_EQ(order, "d999.example d998.example d997.example ");
}

}  // namespace
}  // namespace mtastsd::cache
