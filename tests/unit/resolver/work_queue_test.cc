#include "work_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mtastsd::resolver {
namespace {

using Stage = WorkQueue::Stage;

// name() gives each domain an owner of its own; those of sub() have one owner.
DomainName name(const std::string& text) {
  return *DomainName::parse(text + ".example");
}
DomainName sub(const std::string& text) {
  return name(text + ".one");
}

const IpAddress kHost = *IpAddress::parse("192.0.2.1");
const IpAddress kOtherHost = *IpAddress::parse("192.0.2.2");

void add(WorkQueue& queue, const DomainName& domain, Lane lane = Lane::Waited) {
  ASSERT_TRUE(queue.add(domain, lane)) << domain.view();
}

// Takes from the stage until it gives nothing more: "a b c".
std::string take(WorkQueue& queue, Stage stage) {
  std::string taken;
  while (const auto domain = queue.next(stage)) {
    taken += (taken.empty() ? "" : " ") +
             std::string(domain->view().substr(0, domain->view().find('.')));
  }
  return taken;
}

// Brings what is in the queue into the line for a slot of Stage::Policy.
void bring_to_policy(WorkQueue& queue) {
  for (const Stage stage : {Stage::Record, Stage::Addresses}) {
    while (const auto domain = queue.next(stage)) {
      queue.advance(*domain);
    }
  }
}

void bring_to_policy(WorkQueue& queue, const std::string& names) {
  for (const char one : names) {
    add(queue, name(std::string(1, one)));
  }
  bring_to_policy(queue);
}

// --- slots and lanes --------------------------------------------------------------------------

TEST(WorkQueue, AStageHasABoundedNumberOfSlots) {
  WorkQueue queue({.record = 2, .addresses = 3, .policy = 1});
  for (const char* one : {"a", "b", "c"}) {
    add(queue, name(one));
  }
  EXPECT_EQ(take(queue, Stage::Record), "a b");
  EXPECT_EQ(take(queue, Stage::Addresses), "");
  queue.advance(name("b"));
  EXPECT_EQ(take(queue, Stage::Record), "c");
  queue.advance(name("c"));
  EXPECT_EQ(take(queue, Stage::Addresses), "b c");
  queue.advance(name("b"));
  queue.advance(name("c"));
  EXPECT_EQ(take(queue, Stage::Policy), "b");
  queue.finish(name("b"));
  EXPECT_EQ(take(queue, Stage::Policy), "c");
  queue.finish(name("c"));
  queue.finish(name("a"));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(WorkQueue, WhatSomebodyWaitsForGoesFirstAtEachStage) {
  WorkQueue queue({.record = 1, .policy = 10});
  for (const char* one : {"a", "b", "c", "d"}) {
    add(queue, name(one), Lane::Idle);
  }
  queue.move(name("d"), Lane::Waited);
  queue.move(name("b"), Lane::Waited);
  queue.move(name("d"), Lane::Waited);  // once is enough
  std::string order;
  while (const auto domain = queue.next(Stage::Record)) {
    order += domain->view().substr(0, 1);
    queue.advance(*domain);
  }
  EXPECT_EQ(order, "dbac");
  queue.move(name("c"), Lane::Waited);
  queue.move(name("b"), Lane::Idle);  // nobody waits for it any more
  EXPECT_EQ(take(queue, Stage::Addresses), "d c a b");
  queue.move(name("a"), Lane::Waited);  // it has a slot already
  queue.advance(name("b"));
  queue.advance(name("a"));
  EXPECT_EQ(take(queue, Stage::Policy), "a b");
}

TEST(WorkQueue, UpkeepHasSlotsOfItsOwn) {
  WorkQueue queue({.record = 4, .policy = 4});
  for (const char one : std::string("abcdef")) {
    add(queue, name(std::string(1, one)));
  }
  add(queue, name("u"), Lane::Upkeep);
  add(queue, name("v"), Lane::Upkeep);
  EXPECT_EQ(take(queue, Stage::Record), "a b c d u") << "a quarter as many";
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Record), "e") << "v does not take a slot of the others";
  queue.finish(name("u"));
  EXPECT_EQ(take(queue, Stage::Record), "v");
}

TEST(WorkQueue, ASlotIsGivenBackToTheLaneThatItWasTakenFrom) {
  WorkQueue queue({.record = 1});
  add(queue, name("a"), Lane::Upkeep);
  EXPECT_EQ(take(queue, Stage::Record), "a");
  queue.move(name("a"), Lane::Waited);
  add(queue, name("b"));
  EXPECT_EQ(take(queue, Stage::Record), "b");
  queue.finish(name("a"));
  add(queue, name("c"), Lane::Upkeep);
  EXPECT_EQ(take(queue, Stage::Record), "c");
}

// --- owners -----------------------------------------------------------------------------------

TEST(WorkQueue, OneOwnerAloneGetsHalfOfTheSlots) {
  WorkQueue queue({.record = 8});
  for (int i = 0; i < 20; ++i) {
    add(queue, sub("s" + std::to_string(i)));
  }
  EXPECT_EQ(take(queue, Stage::Record), "s0 s1 s2 s3");
  add(queue, name("a"));
  EXPECT_EQ(take(queue, Stage::Record), "a");
  add(queue, name("b"));
  add(queue, name("c"));
  EXPECT_EQ(take(queue, Stage::Record), "b c");
  queue.finish(sub("s0"));
  EXPECT_EQ(take(queue, Stage::Record), "") << "there are four, and each may have one";
  queue.finish(sub("s1"));
  queue.finish(sub("s2"));
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Record), "s4");
}

TEST(WorkQueue, OwnersTakeTurns) {
  WorkQueue queue({.record = 100});
  for (int i = 0; i < 4; ++i) {
    add(queue, sub("s" + std::to_string(i)));
  }
  for (const char* one : {"a", "b"}) {
    add(queue, name(one));
    add(queue, name("2." + std::string(one)));
  }
  EXPECT_EQ(take(queue, Stage::Record), "s0 a b s1 2 2 s2 s3");
}

TEST(WorkQueue, AFloodOfOneOwnerLeavesRoomForOthers) {
  WorkQueue queue({.domains = 10});
  int taken = 0;
  for (int i = 0; i < 20; ++i) {
    taken += queue.add(sub("s" + std::to_string(i)), Lane::Waited) ? 1 : 0;
  }
  EXPECT_EQ(taken, 5);
  add(queue, name("a"));
  EXPECT_FALSE(queue.add(sub("s21"), Lane::Waited));
  add(queue, sub("upkeep"), Lane::Upkeep);
  take(queue, Stage::Record);
  for (const char* one : {"s0", "s1", "s2"}) {
    queue.finish(sub(one));
  }
  add(queue, sub("s22"));
}

TEST(WorkQueue, RefreshesOfOneOwnerLeaveRoomForThoseOfOthers) {
  WorkQueue queue({.policy = 16});  // four slots for upkeep, eight refreshes in all
  EXPECT_EQ(queue.room_to_refresh(), 8U);
  for (int i = 0; i < 4; ++i) {
    const DomainName domain = sub("s" + std::to_string(i));
    ASSERT_TRUE(queue.may_refresh(domain)) << i;
    add(queue, domain, Lane::Upkeep);
    queue.add_refresh(domain);
    queue.add_refresh(domain);  // once is enough
  }
  EXPECT_FALSE(queue.may_refresh(sub("s5")));
  EXPECT_TRUE(queue.may_refresh(name("a")));
  EXPECT_EQ(queue.room_to_refresh(), 4U);
  take(queue, Stage::Record);
  queue.finish(sub("s0"));
  EXPECT_TRUE(queue.may_refresh(sub("s5")));
}

// Forty owners with ten domains each, whose work begins and ends in any order.
TEST(WorkQueue, ANewcomerFindsASlotAsLongAsThereAreFewerOwnersThanSlots) {
  WorkQueue queue({.record = 64});
  for (int i = 0; i < 400; ++i) {
    add(queue, name("s" + std::to_string(i) + ".owner" + std::to_string(i % 40)));
  }
  std::vector<DomainName> running;
  unsigned random = 7;
  for (int round = 0; round < 300; ++round) {
    while (const auto domain = queue.next(Stage::Record)) {
      running.push_back(*domain);
    }
    const DomainName newcomer = name("new" + std::to_string(round));
    add(queue, newcomer);
    ASSERT_EQ(queue.next(Stage::Record), newcomer) << round;
    queue.finish(newcomer);
    for (int ended = 0; ended < 2 && !running.empty(); ++ended) {
      random = random * 1664525 + 1013904223;
      const std::size_t at = random / 65536 % running.size();
      queue.finish(running[at]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
}

// --- hosts ------------------------------------------------------------------------------------

TEST(WorkQueue, AHostHasABoundedNumberOfSlots) {
  WorkQueue queue({.policy = 3, .per_host = 2});
  bring_to_policy(queue, "abcde");
  EXPECT_EQ(take(queue, Stage::Policy), "a b c");
  EXPECT_TRUE(queue.claim_host(name("a"), kHost));
  EXPECT_TRUE(queue.claim_host(name("b"), kHost));
  EXPECT_FALSE(queue.claim_host(name("c"), kHost));
  // It takes no slot of the stage from others while it waits.
  EXPECT_EQ(take(queue, Stage::Policy), "d");
  EXPECT_TRUE(queue.claim_host(name("d"), kOtherHost));
  queue.finish(name("d"));
  EXPECT_EQ(take(queue, Stage::Policy), "e");
  EXPECT_FALSE(queue.claim_host(name("e"), kHost));
  EXPECT_EQ(take(queue, Stage::Policy), "");
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Policy), "c");
  EXPECT_TRUE(queue.claim_host(name("c"), kHost));
  queue.finish(name("c"));
  EXPECT_EQ(take(queue, Stage::Policy), "e");
  EXPECT_TRUE(queue.claim_host(name("e"), kHost));
  queue.finish(name("b"));
  queue.finish(name("e"));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(WorkQueue, EachThatWaitsForAHostGetsThere) {
  WorkQueue queue({.policy = 10, .per_host = 1});
  bring_to_policy(queue, "abcd");
  std::string order;
  while (const auto domain = queue.next(Stage::Policy)) {
    if (queue.claim_host(*domain, kHost)) {
      order += domain->view().substr(0, 1);
    }
  }
  EXPECT_EQ(order, "a");
  for (const char* one : {"a", "b", "c", "d"}) {
    queue.finish(name(one));
    if (const auto domain = queue.next(Stage::Policy)) {
      EXPECT_TRUE(queue.claim_host(*domain, kHost));
      order += domain->view().substr(0, 1);
    }
  }
  EXPECT_EQ(order, "abcd");
  EXPECT_EQ(queue.size(), 0U);
}

TEST(WorkQueue, AnOwnerLeavesSlotsOfAHostToOthers) {
  WorkQueue queue({.policy = 100, .per_host = 8});
  for (int i = 0; i < 20; ++i) {
    add(queue, sub("s" + std::to_string(i)));
  }
  bring_to_policy(queue);
  int claimed = 0;
  while (const auto domain = queue.next(Stage::Policy)) {
    claimed += queue.claim_host(*domain, kHost) ? 1 : 0;
  }
  EXPECT_EQ(claimed, 4);
  bring_to_policy(queue, "a");
  EXPECT_EQ(take(queue, Stage::Policy), "a");
  EXPECT_TRUE(queue.claim_host(name("a"), kHost));
  EXPECT_FALSE(queue.under_pressure(kOtherHost));
  EXPECT_TRUE(queue.under_pressure(kHost));
  EXPECT_FALSE(queue.under_pressure());
}

TEST(WorkQueue, WhoIsWaitedForIsFirstInTheLineOfItsHost) {
  WorkQueue queue({.per_host = 1});
  bring_to_policy(queue, "abcd");
  for (const char* one : {"a", "b", "c", "d"}) {
    ASSERT_EQ(queue.next(Stage::Policy), name(one));
    static_cast<void>(queue.claim_host(name(one), kHost));
  }
  queue.move(name("b"), Lane::Idle);
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Policy), "c");
  EXPECT_TRUE(queue.claim_host(name("c"), kHost));
  queue.finish(name("c"));
  EXPECT_EQ(take(queue, Stage::Policy), "d");
}

// It waits for a slot of its own lane, which nobody has, and so nobody gives back.
TEST(WorkQueue, AWaitingDomainThatIsMovedToALaneWithSlotsNeedsNotWaitAnyMore) {
  WorkQueue queue({.per_host = 1});
  for (const char* one : {"a", "b"}) {
    add(queue, name(one), Lane::Upkeep);
  }
  bring_to_policy(queue);
  EXPECT_EQ(take(queue, Stage::Policy), "a b");
  EXPECT_TRUE(queue.claim_host(name("a"), kHost));
  EXPECT_FALSE(queue.claim_host(name("b"), kHost));
  queue.move(name("b"), Lane::Waited);
  EXPECT_EQ(take(queue, Stage::Policy), "b");
  EXPECT_TRUE(queue.claim_host(name("b"), kHost));
}

// The addresses of one /64 are one host.
TEST(WorkQueue, AnIpv6NetworkIsOneHost) {
  WorkQueue queue({.per_host = 1});
  bring_to_policy(queue, "abc");
  take(queue, Stage::Policy);
  EXPECT_TRUE(queue.claim_host(name("a"), *IpAddress::parse("2001:db8::1")));
  EXPECT_FALSE(queue.claim_host(name("b"), *IpAddress::parse("2001:db8::ffff:2")));
  EXPECT_TRUE(queue.claim_host(name("c"), *IpAddress::parse("2001:db8:0:1::1")));
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Policy), "b");
}

// Whatever is asked for in which order, nothing is lost and nothing waits for ever.
TEST(WorkQueue, EverythingThatIsAddedComesToItsEnd) {
  WorkQueue queue({.record = 3, .addresses = 2, .policy = 4, .per_host = 2, .domains = 500});
  std::vector<DomainName> fetching;
  std::size_t ended = 0;
  std::size_t added = 0;
  unsigned random = 1;
  const auto any = [&random](unsigned below) {
    return (random = random * 1664525 + 1013904223) / 65536 % below;
  };
  const auto step = [&] {
    for (const Stage stage : {Stage::Record, Stage::Addresses}) {
      while (const auto domain = queue.next(stage)) {
        queue.advance(*domain);
      }
    }
    while (const auto domain = queue.next(Stage::Policy)) {
      if (queue.claim_host(*domain, any(3) == 0 ? kOtherHost : kHost)) {
        fetching.push_back(*domain);
      }
    }
  };
  for (int round = 0; round < 2000; ++round) {
    const std::string number = std::to_string(round);
    const DomainName domain = any(2) == 0 ? sub("s" + number) : name("d" + number);
    if (queue.add(domain, static_cast<Lane>(any(3)))) {
      ++added;
      queue.move(domain, static_cast<Lane>(any(3)));
    }
    step();
    while (!fetching.empty() && any(3) != 0) {
      const std::size_t at = any(static_cast<unsigned>(fetching.size()));
      queue.move(fetching[at], static_cast<Lane>(any(3)));
      queue.finish(fetching[at]);
      fetching.erase(fetching.begin() + static_cast<std::ptrdiff_t>(at));
      ++ended;
    }
  }
  while (!fetching.empty()) {
    queue.finish(fetching.back());
    fetching.pop_back();
    ++ended;
    step();
  }
  EXPECT_GT(added, 1000U);
  EXPECT_EQ(ended, added);
  EXPECT_EQ(queue.size(), 0U);
}

}  // namespace
}  // namespace mtastsd::resolver
