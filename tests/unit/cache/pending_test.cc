#include "pending.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "unit/cache/patterns.h"

namespace mtastsd::cache {
namespace {

const WallTime kNow{Seconds(1'700'000'000)};

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

EntryPtr policy(int mx, const std::string& id = "1") {
  auto entry = std::make_shared<Entry>();
  entry->policy =
      StoredPolicy{id, {mtasts::Mode::Enforce, Seconds(604800), test::patterns(mx)}, kNow};
  entry->txt_checked_at = kNow;
  return entry;
}

EntryPtr negative() {
  return std::make_shared<const Entry>();
}

bool put(Pending& pending, const std::string& domain, EntryPtr entry,
         Origin origin = Origin::Resolver) {
  return pending.put(name(domain), std::move(entry), origin);
}

std::string id_of(const Pending& pending, const std::string& domain) {
  const auto change = pending.find(name(domain));
  return !change ? "nothing" : !change->entry ? "erased" : change->entry->policy->id;
}

TEST(Pending, NoPolicyResultsGiveWayToAnythingNewAndPoliciesToNothing) {
  Pending pending(300);
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(put(pending, "n" + std::to_string(i) + ".example", negative()));
    ASSERT_TRUE(put(pending, "p" + std::to_string(i) + ".example", policy(1)));
  }
  for (int i = 150; i < 300; ++i) {
    EXPECT_TRUE(put(pending, "p" + std::to_string(i) + ".example", policy(1))) << i;
  }
  EXPECT_EQ(pending.size(), 300U);
  EXPECT_FALSE(put(pending, "p300.example", policy(1)));
  EXPECT_FALSE(put(pending, "n150.example", negative()));
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(id_of(pending, "p" + std::to_string(i) + ".example"), "1") << i;
  }
  EXPECT_FALSE(pending.has_room_to_refresh());
}

TEST(Pending, AChangeOfWhatWaitsTakesItsPlaceAlsoWhenThereIsNoMoreRoom) {
  Pending pending(2);
  ASSERT_TRUE(put(pending, "a.example", policy(1)));
  ASSERT_TRUE(put(pending, "b.example", negative()));
  ASSERT_TRUE(put(pending, "b.example", policy(1, "2")));
  ASSERT_TRUE(put(pending, "a.example", nullptr));
  EXPECT_EQ(id_of(pending, "a.example"), "erased");
  EXPECT_EQ(id_of(pending, "b.example"), "2");
  EXPECT_EQ(pending.size(), 2U);
}

TEST(Pending, WhatChangedSinceItsBatchGoesOnWaiting) {
  Pending pending;
  ASSERT_TRUE(put(pending, "a.example", policy(1)));
  const auto batch = pending.batch(10, 1 << 20);
  ASSERT_TRUE(put(pending, "a.example", policy(1, "2")));
  pending.committed(batch[0], false);
  EXPECT_EQ(id_of(pending, "a.example"), "2");
  pending.committed(pending.batch(10, 1 << 20)[0], false);
  EXPECT_TRUE(pending.empty());
  EXPECT_EQ(pending.bytes(), 0U);
}

TEST(Pending, WhatWasSalvagedNeverReplacesWhatWaits) {
  Pending pending;
  ASSERT_TRUE(put(pending, "a.example", policy(1, "new")));
  EXPECT_TRUE(put(pending, "a.example", policy(1, "salvaged"), Origin::Salvaged));
  EXPECT_EQ(id_of(pending, "a.example"), "new");
  ASSERT_TRUE(put(pending, "b.example", policy(1, "salvaged"), Origin::Salvaged));
  ASSERT_TRUE(put(pending, "b.example", policy(1, "new")));
  EXPECT_EQ(id_of(pending, "b.example"), "new");
  EXPECT_EQ(pending.salvaged(), 0U);
}

TEST(Pending, OfTwoSalvagedRecordsOfADomainTheNewerStays) {
  Pending pending;
  Entry newer = *policy(1, "newer");
  newer.txt_checked_at += Seconds(1);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(put(pending, "a.example", policy(1, "older"), Origin::Salvaged));
    ASSERT_TRUE(put(pending, "a.example", std::make_shared<const Entry>(newer), Origin::Salvaged));
    EXPECT_EQ(id_of(pending, "a.example"), "newer");
  }
  EXPECT_EQ(pending.salvaged(), 1U);
}

TEST(Pending, NoPolicyFoundOutBlindlyLeavesAPolicyInForce) {
  Pending pending;
  Entry blind;
  blind.txt_checked_at = kNow;
  for (const Origin origin : {Origin::Salvaged, Origin::Resolver}) {
    ASSERT_TRUE(put(pending, "a.example", policy(1), origin));
    EXPECT_TRUE(put(pending, "a.example", std::make_shared<const Entry>(blind), Origin::Blind));
    EXPECT_EQ(id_of(pending, "a.example"), "1");
  }
  blind.txt_checked_at = facts_of(*policy(1)).expires_at();
  ASSERT_TRUE(put(pending, "a.example", std::make_shared<const Entry>(blind), Origin::Blind));
  EXPECT_FALSE(pending.find(name("a.example"))->entry->policy);
}

TEST(Pending, ASalvagedPolicyReplacesNoPolicyThatWaitsButNothingErased) {
  Pending pending;
  Entry none;
  none.txt_checked_at = kNow + Seconds(1000);
  ASSERT_TRUE(put(pending, "a.example", std::make_shared<const Entry>(none), Origin::Blind));
  ASSERT_TRUE(put(pending, "a.example", policy(1), Origin::Salvaged));
  EXPECT_EQ(id_of(pending, "a.example"), "1");
  ASSERT_TRUE(put(pending, "a.example", nullptr));
  ASSERT_TRUE(put(pending, "a.example", policy(1), Origin::Salvaged));
  EXPECT_EQ(id_of(pending, "a.example"), "erased");
}

TEST(Pending, AVersionChangesWithWhatAReaderSees) {
  Pending pending;
  const DomainName domain = name("a.example");
  const Versions::Slot slot = Versions::slot_of(domain);
  const Versions& versions = pending.versions();
  std::uint64_t version = versions.version(slot);
  const auto changed = [&] { return std::exchange(version, versions.version(slot)) != version; };
  EXPECT_FALSE(versions.may_wait(slot));
  ASSERT_TRUE(pending.put(domain, policy(1), Origin::Resolver));
  EXPECT_TRUE(changed());
  EXPECT_TRUE(versions.may_wait(slot));
  ASSERT_TRUE(pending.put(domain, policy(1), Origin::Resolver));
  EXPECT_TRUE(changed());
  pending.committed(pending.batch(1, 1)[0], false);
  EXPECT_FALSE(changed());
  EXPECT_FALSE(versions.may_wait(slot));
  ASSERT_TRUE(pending.put(domain, negative(), Origin::Blind));
  EXPECT_TRUE(changed());
  pending.committed(pending.batch(1, 1)[0], true);
  EXPECT_TRUE(changed());
}

TEST(Pending, GivesThoseBehindANameInTheOrderOfNames) {
  Pending pending;
  for (const char* domain : {"d.example", "b.example", "c.example", "a.example"}) {
    ASSERT_TRUE(put(pending, domain, negative()));
  }
  const auto names = [&](std::string_view after) {
    std::string text;
    for (const auto& item : pending.behind(after)) {
      text += item.domain.str()[0];
    }
    return text;
  };
  EXPECT_EQ(names(""), "abcd");
  EXPECT_EQ(names("a.example"), "bcd");
  EXPECT_EQ(names("c"), "cd");
}

TEST(Replaces, OnlyWhatIsNewerOrKnowsOfTheCommittedPolicy) {
  EntryFacts committed = facts_of(*policy(1));
  EntryFacts committed_negative;
  committed_negative.txt_checked_at = kNow;
  EXPECT_TRUE(replaces({nullptr, Origin::Resolver}, committed));
  EXPECT_TRUE(replaces({negative(), Origin::Resolver}, committed));
  EXPECT_FALSE(replaces({negative(), Origin::Blind}, committed));
  EXPECT_TRUE(replaces({negative(), Origin::Blind}, committed_negative));
  EXPECT_TRUE(replaces({policy(1), Origin::Blind}, committed));
  EXPECT_FALSE(replaces({policy(1), Origin::Salvaged}, committed));
  committed.txt_checked_at -= Seconds(1);
  EXPECT_TRUE(replaces({policy(1), Origin::Salvaged}, committed));
}

TEST(Replaces, NoPolicyFoundOutBlindlyOnlyAPolicyThatHasExpired) {
  EntryFacts committed = facts_of(*policy(1));
  Entry blind;
  for (const int after : {-1, 0}) {
    blind.txt_checked_at = committed.expires_at() + Seconds(after);
    EXPECT_EQ(replaces({std::make_shared<const Entry>(blind), Origin::Blind}, committed),
              after == 0);
  }
}

TEST(Replaces, ASalvagedPolicyNoPolicyOfAnyTime) {
  EntryFacts committed;
  committed.txt_checked_at = kNow + Seconds(1000);
  EXPECT_TRUE(replaces({policy(1), Origin::Salvaged}, committed));
  EXPECT_FALSE(replaces({negative(), Origin::Salvaged}, committed));
}

}  // namespace
}  // namespace mtastsd::cache
