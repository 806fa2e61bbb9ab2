#include "mtastsd/answer/explain.h"

#include <gtest/gtest.h>

namespace mtastsd::answer {
namespace {

using resolver::Standing;

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(seconds));
}

const Profiles kProfiles = {{"postfix", {}},
                            {"strict", {.servername = false, .enforce_testing = true}},
                            {"observe", {.observe = true}}};

cache::Entry policy(mtasts::Mode mode) {
  cache::Entry entry;
  entry.policy = cache::StoredPolicy{
      "1", {mode, Seconds(1000), {*mtasts::MxPattern::parse("mx.example")}}, at(1000)};
  entry.recheck_at = at(1500);
  return entry;
}

Explanation explained(const char* map, const cache::Entry& entry, std::int64_t now) {
  Explanation it = explain_key(kProfiles, nullptr, map, "a.example:25", WallTime());
  explain_entry(it, std::make_shared<const cache::Entry>(entry), false, false, at(now));
  return it;
}

TEST(Explain, AKeyWithoutADomainHasItsReply) {
  for (const char* key : {".example", "192.0.2.1", "localhost", ""}) {
    const Explanation it = explain_key(kProfiles, nullptr, "postfix", key, WallTime());
    EXPECT_FALSE(it.domain) << key;
    EXPECT_EQ(it.reply, "NOTFOUND ") << key;
  }
}

TEST(Explain, AMapThatIsNotConfiguredIsAnsweredAsTheDefault) {
  EXPECT_TRUE(explain_key(kProfiles, nullptr, "strict", "a.example", WallTime()).map_known);
  EXPECT_FALSE(
      explain_key(kProfiles, nullptr, "strict", "a.example", WallTime()).profile.servername);
  const Explanation it = explain_key(kProfiles, nullptr, "other", "a.example", WallTime());
  EXPECT_FALSE(it.map_known);
  EXPECT_EQ(it.profile, postfix::Profile{});
}

TEST(Explain, TheReplyIsThatOfTheProfile) {
  const auto testing = policy(mtasts::Mode::Testing);
  EXPECT_EQ(explained("postfix", testing, 1100).reply, "NOTFOUND ");
  EXPECT_EQ(explained("postfix", testing, 1100).standing, Standing::NotEnforced);
  EXPECT_EQ(explained("strict", testing, 1100).reply, "OK secure match=mx.example");
  EXPECT_EQ(explained("postfix", policy(mtasts::Mode::Enforce), 1100).reply,
            "OK secure match=mx.example servername=hostname");
}

TEST(Explain, AMapThatObservesSaysWhatItWouldBeTold) {
  const Explanation it = explained("observe", policy(mtasts::Mode::Enforce), 1100);
  EXPECT_EQ(it.reply, "NOTFOUND ");
  EXPECT_EQ(it.enforced, "OK secure match=mx.example servername=hostname");
  EXPECT_EQ(it.standing, Standing::Enforced) << "what the reply would come from";
  EXPECT_EQ(explained("observe", policy(mtasts::Mode::Testing), 1100).enforced, "");
}

TEST(Explain, WhatIsNotCurrentHasNoReply) {
  const Explanation it = explained("postfix", policy(mtasts::Mode::Enforce), 2000);
  EXPECT_EQ(it.standing, Standing::Unknown);
  EXPECT_EQ(it.reply, "");
  EXPECT_TRUE(it.entry);
}

}  // namespace
}  // namespace mtastsd::answer
