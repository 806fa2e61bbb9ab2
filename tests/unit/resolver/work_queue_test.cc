#include "work_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mtastsd::resolver {
namespace {

using Claim = WorkQueue::Claim;
using Stage = WorkQueue::Stage;

DomainName name(const std::string& text) {
  return *DomainName::parse(text + ".example");
}

const IpAddress kHost = *IpAddress::parse("192.0.2.1");
const IpAddress kOtherHost = *IpAddress::parse("192.0.2.2");

// Takes from the stage until it gives nothing more: "a b c".
std::string take(WorkQueue& queue, Stage stage) {
  std::string taken;
  while (const auto domain = queue.next(stage)) {
    taken += (taken.empty() ? "" : " ") + std::string(domain->view().substr(0, 1));
  }
  return taken;
}

// Brings domains to a slot of Stage::Policy.
void bring_to_policy(WorkQueue& queue, const std::string& names) {
  for (const char one : names) {
    queue.add(name(std::string(1, one)));
  }
  while (const auto domain = queue.next(Stage::Record)) {
    queue.advance(*domain);
  }
}

TEST(WorkQueue, AStageHasABoundedNumberOfSlots) {
  WorkQueue queue({.record = 2, .policy = 1});
  for (const char* one : {"a", "b", "c"}) {
    queue.add(name(one));
  }
  EXPECT_EQ(take(queue, Stage::Record), "a b");
  EXPECT_EQ(take(queue, Stage::Policy), "");
  queue.advance(name("b"));
  EXPECT_EQ(take(queue, Stage::Record), "c");
  queue.advance(name("c"));
  EXPECT_EQ(take(queue, Stage::Policy), "b");
  queue.finish(name("b"));
  EXPECT_EQ(take(queue, Stage::Policy), "c");
  queue.finish(name("c"));
  queue.finish(name("a"));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(WorkQueue, WhatSomebodyWaitsForGoesFirstAtEachStage) {
  WorkQueue queue({.record = 1, .policy = 0});
  for (const char* one : {"a", "b", "c", "d"}) {
    queue.add(name(one));
  }
  queue.raise(name("d"));
  queue.raise(name("b"));
  queue.raise(name("d"));  // once is enough
  std::string order;
  while (const auto domain = queue.next(Stage::Record)) {
    order += domain->view().substr(0, 1);
    queue.advance(*domain);
  }
  EXPECT_EQ(order, "dbac");
  queue.raise(name("c"));
  queue.set_slots({.record = 1, .policy = 10});
  EXPECT_EQ(take(queue, Stage::Policy), "d b c a");
  queue.raise(name("a"));  // it has a slot already
  queue.finish(name("a"));
}

TEST(WorkQueue, ADomainThatHasASlotIsUrgentAtTheNextStage) {
  WorkQueue queue({.record = 2, .policy = 10});
  queue.add(name("a"));
  queue.add(name("b"));
  EXPECT_EQ(take(queue, Stage::Record), "a b");
  queue.raise(name("b"));
  queue.advance(name("a"));
  queue.advance(name("b"));
  EXPECT_EQ(take(queue, Stage::Policy), "b a");
}

TEST(WorkQueue, AHostHasABoundedNumberOfSlots) {
  WorkQueue queue({.record = 10, .policy = 3, .per_host = 2});
  bring_to_policy(queue, "abcde");
  EXPECT_EQ(take(queue, Stage::Policy), "a b c");
  EXPECT_EQ(queue.claim_host(name("a"), kHost), Claim::Granted);
  EXPECT_EQ(queue.claim_host(name("b"), kHost), Claim::Granted);
  EXPECT_EQ(queue.claim_host(name("c"), kHost), Claim::Waits);
  // It takes no slot of the stage from others while it waits.
  EXPECT_EQ(take(queue, Stage::Policy), "d");
  EXPECT_EQ(queue.claim_host(name("d"), kOtherHost), Claim::Granted);
  queue.finish(name("d"));
  EXPECT_EQ(take(queue, Stage::Policy), "e");
  EXPECT_EQ(queue.claim_host(name("e"), kHost), Claim::Waits);
  EXPECT_EQ(take(queue, Stage::Policy), "");
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Policy), "c") << "it has the slot of the host that a gave back";
  queue.finish(name("c"));
  EXPECT_EQ(take(queue, Stage::Policy), "e");
  queue.finish(name("b"));
  queue.finish(name("e"));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(WorkQueue, WhoIsWaitedForIsFirstInTheLineOfItsHost) {
  WorkQueue queue({.record = 10, .policy = 10, .per_host = 1});
  bring_to_policy(queue, "abcd");
  for (const char* one : {"a", "b", "c", "d"}) {
    ASSERT_EQ(queue.next(Stage::Policy), name(one));
    queue.claim_host(name(one), kHost);
  }
  queue.raise(name("d"));
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Policy), "d");
  queue.finish(name("d"));
  EXPECT_EQ(take(queue, Stage::Policy), "b");
}

// The addresses of one /64 are one host.
TEST(WorkQueue, AnIpv6NetworkIsOneHost) {
  WorkQueue queue({.record = 10, .policy = 10, .per_host = 1});
  bring_to_policy(queue, "abc");
  take(queue, Stage::Policy);
  EXPECT_EQ(queue.claim_host(name("a"), *IpAddress::parse("2001:db8::1")), Claim::Granted);
  EXPECT_EQ(queue.claim_host(name("b"), *IpAddress::parse("2001:db8::ffff:2")), Claim::Waits);
  EXPECT_EQ(queue.claim_host(name("c"), *IpAddress::parse("2001:db8:0:1::1")), Claim::Granted);
  queue.finish(name("a"));
  EXPECT_EQ(take(queue, Stage::Policy), "b");
}

TEST(WorkQueue, TheLineOfAHostIsBounded) {
  WorkQueue queue({.record = 1, .policy = 1, .per_host = 0});  // 0 is taken for 1
  const auto claim = [&](int number) {
    const DomainName domain = name("d" + std::to_string(number));
    queue.add(domain);
    EXPECT_EQ(queue.next(Stage::Record), domain);
    queue.advance(domain);
    queue.set_slots({.record = 1, .policy = 3, .per_host = 1});
    EXPECT_EQ(queue.next(Stage::Policy), domain);
    return queue.claim_host(domain, kHost);
  };
  EXPECT_EQ(claim(0), Claim::Granted);
  for (int i = 1; i <= 2000; ++i) {
    ASSERT_EQ(claim(i), Claim::Waits) << i;
  }
  EXPECT_EQ(claim(2001), Claim::Refused);
  queue.finish(name("d2001"));
  queue.finish(name("d0"));
  for (int i = 1; i <= 2000; ++i) {
    ASSERT_EQ(queue.next(Stage::Policy), name("d" + std::to_string(i)));
    queue.finish(name("d" + std::to_string(i)));
  }
  EXPECT_EQ(queue.size(), 0U);
}

}  // namespace
}  // namespace mtastsd::resolver
