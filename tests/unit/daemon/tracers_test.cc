#include "tracers.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fakes/fake_loop.h"
#include "mtastsd/log/log.h"

namespace mtastsd::daemon {
namespace {

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

class TracersTest : public testing::Test {
 protected:
  void ask(std::uint64_t connection, const std::string& domain) {
    got_.reset();
    ASSERT_TRUE(tracers_.follow(connection, name(domain),
                                [this](control::Traced traced) { got_ = std::move(traced); }));
  }
  void happens(const std::string& domain, int times = 1) {
    for (int i = 0; i < times; ++i) {
      log_.write(Event::QueryReceived, {{"domain", domain}, {"map", "m"}, {"key", domain}});
    }
  }

  test::FakeLoop loop_;
  Log log_ = Log::null();
  answer::Answerer::Traced traced_;
  Tracers tracers_{loop_, loop_, log_,
                   [this](answer::Answerer::Traced traced) { traced_ = std::move(traced); }};
  std::optional<control::Traced> got_;
};

TEST_F(TracersTest, EventsOfTheDomainComeAsTheyHappen) {
  ask(1, "a.example");
  EXPECT_EQ(*traced_, std::vector<DomainName>{name("a.example")});
  happens("b.example");
  happens("a.example");
  log_.write(Event::NoPolicy, {{"domain", "a.example"}, {"reason", "none"}, {"took_ms", 1}});
  loop_.advance(Milliseconds(100));
  ASSERT_TRUE(got_);
  ASSERT_EQ(got_->events.size(), 2U);
  const auto event = nlohmann::json::parse(got_->events.at(0));
  EXPECT_EQ(event.at("event"), "query_received");
  EXPECT_EQ(event.at("map"), "m");
  EXPECT_EQ(event.at("time").get<std::string>().size(), 24U);
  EXPECT_EQ(nlohmann::json::parse(got_->events.at(1)).at("event"), "no_policy");
}

TEST_F(TracersTest, AReplyMayBringTheNextRequestAndBeLogged) {
  std::vector<std::size_t> got;
  ASSERT_TRUE(tracers_.follow(1, name("a.example"), [&](const control::Traced& first) {
    got.push_back(first.events.size());
    happens("a.example");
    ASSERT_TRUE(tracers_.follow(1, name("a.example"), [&](const control::Traced& second) {
      got.push_back(second.events.size());
    }));
  }));
  happens("a.example", 2);
  loop_.advance(Milliseconds(200));
  EXPECT_EQ(got, (std::vector<std::size_t>{2, 1}));
}

TEST_F(TracersTest, WhatComesBetweenTwoRequestsIsKeptAndBounded) {
  ask(1, "a.example");
  loop_.advance(Milliseconds(1000));
  ASSERT_TRUE(got_) << "nothing has happened for a second";
  EXPECT_TRUE(got_->events.empty());
  happens("a.example", static_cast<int>(Tracers::kMaxEvents) + 7);
  ask(1, "a.example");
  loop_.advance(Milliseconds(100));
  EXPECT_EQ(got_->events.size(), Tracers::kMaxEvents);
  EXPECT_EQ(got_->lost, 7U);
}

TEST_F(TracersTest, OneThatAsksNoMoreEnds) {
  ask(1, "a.example");
  ask(2, "b.example");
  EXPECT_TRUE(log_.wanted(LogLevel::Trace));
  loop_.advance(Tracers::kPatience - Milliseconds(1000));
  ask(2, "b.example");
  loop_.advance(Milliseconds(1100));
  EXPECT_EQ(*traced_, std::vector<DomainName>{name("b.example")});
  loop_.advance(Tracers::kPatience);
  EXPECT_EQ(traced_, nullptr);
  EXPECT_FALSE(log_.wanted(LogLevel::Trace)) << "nothing is watched any more";
}

TEST_F(TracersTest, NoneGoesOnForEver) {
  bool ended = false;
  for (int second = 0; second < 3700 && !ended; ++second) {
    ask(1, "a.example");
    loop_.advance(Milliseconds(1000));
    ended = got_ && got_->ended;
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(traced_, nullptr);
}

TEST_F(TracersTest, ThereAreFewAtOnce) {
  for (std::uint64_t connection = 1; connection <= Tracers::kMost; ++connection) {
    ask(connection, "a.example");
  }
  const auto refused = tracers_.follow(99, name("a.example"), [](const control::Traced&) {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("traced already"), std::string::npos);
  ask(1, "b.example");  // another domain on a connection that traces
}

}  // namespace
}  // namespace mtastsd::daemon
