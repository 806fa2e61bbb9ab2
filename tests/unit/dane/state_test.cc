#include "mtastsd/dane/state.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mtastsd::dane {
namespace {

const WallTime kNow{Seconds(1'800'000'000)};

// What a survey found of hosts "a", "b" and so on.
Found found(const std::vector<HostStatus>& hosts, Seconds ttl = Seconds(300)) {
  Found it{.mail = Mail::Secure, .ttl = ttl};
  char name = 'a';
  for (const HostStatus status : hosts) {
    it.hosts.push_back({std::string(1, name++), status, ttl, ""});
  }
  return it;
}

Ruling ruling(const std::vector<HostStatus>& hosts) {
  return after_survey(nullptr, {}, found(hosts), kNow).facts.ruling;
}

constexpr auto kUnknown = HostStatus::Unknown;
constexpr auto kNone = HostStatus::None;
constexpr auto kUnusable = HostStatus::Unusable;
constexpr auto kUsable = HostStatus::Usable;

TEST(AfterSurvey, AppliesWhereOneHostHasUsableRecords) {  // RFC 7672 section 2.2
  EXPECT_EQ(ruling({kUsable}), Ruling::Applies);
  EXPECT_EQ(ruling({kNone, kUsable}), Ruling::Applies);
  EXPECT_EQ(ruling({kUnusable, kUsable}), Ruling::Applies);
  EXPECT_EQ(ruling({kUsable, kUnknown}), Ruling::Applies);
  EXPECT_EQ(ruling({kNone}), Ruling::DoesNotApply);
  EXPECT_EQ(ruling({kUnusable}), Ruling::DoesNotApply);
  EXPECT_EQ(ruling({}), Ruling::DoesNotApply);
  EXPECT_EQ(ruling({kUnknown}), Ruling::Unknown);
  EXPECT_EQ(ruling({kNone, kUnknown}), Ruling::Unknown);
}

TEST(AfterSurvey, DoesNotApplyWithoutSecureMxRecords) {
  for (const Mail mail : {Mail::Insecure, Mail::Null, Mail::NoDomain}) {
    const State state = after_survey(nullptr, {}, {.mail = mail, .ttl = Seconds(300)}, kNow);
    EXPECT_EQ(state.facts.ruling, Ruling::DoesNotApply) << to_string(mail);
    EXPECT_EQ(state.mail, mail);
  }
  EXPECT_EQ(after_survey(nullptr, {}, {}, kNow).facts.ruling, Ruling::Unknown);
}

TEST(AfterSurvey, WhatCouldNotBeAskedStandsAsBefore) {
  const State before = after_survey(nullptr, {}, found({kUsable, kNone}), kNow);
  const WallTime later = kNow + kHold - Seconds(1);
  // The MX records.
  State after = after_survey(&before, {}, {}, later);
  EXPECT_EQ(after.facts.ruling, Ruling::Applies);
  EXPECT_EQ(after.facts.known_at, kNow);
  EXPECT_EQ(after.hosts, before.hosts);
  EXPECT_EQ(judge(after.facts, later).ruling, Ruling::Applies);
  EXPECT_EQ(judge(after.facts, later + Seconds(1)).ruling, Ruling::Unknown);
  // One host.
  after = after_survey(&before, {}, found({kUnknown, kNone}), later);
  EXPECT_EQ(after.facts.ruling, Ruling::Applies);
  EXPECT_EQ(judge(after.facts, later + Seconds(1)).ruling, Ruling::Unknown);
  // Failing on and on makes it no younger.
  after = after_survey(&after, {}, found({kUnknown, kNone}), later + Seconds(1));
  EXPECT_EQ(after.facts.ruling, Ruling::Unknown);
}

TEST(AfterSurvey, AHostThatIsDeadChangesNothingForTheOthers) {
  // It never gave an answer; the other one withdraws its records.
  const State before = after_survey(nullptr, {}, found({kUsable, kUnknown}), kNow);
  EXPECT_EQ(before.facts.ruling, Ruling::Applies);
  const State after = after_survey(&before, {}, found({kNone, kUnknown}), kNow + Seconds(300));
  EXPECT_EQ(after.facts.ruling, Ruling::Unknown);
}

TEST(AfterSurvey, AHostThatIsNoMxAnyMoreIsForgotten) {
  const State before = after_survey(nullptr, {}, found({kNone, kUsable}), kNow);
  const State after = after_survey(&before, {}, found({kNone}), kNow + Seconds(300));
  EXPECT_EQ(after.facts.ruling, Ruling::DoesNotApply);
  EXPECT_EQ(after.hosts.size(), 1U);
}

TEST(AfterSurvey, LivesByTheSmallestTtl) {
  const auto life = [](const Found& it) {
    const State state = after_survey(nullptr, {}, it, kNow);
    EXPECT_EQ(state.facts.checked_at, kNow);
    return state.facts.renew_at - kNow;
  };
  EXPECT_EQ(life(found({kUsable, kNone})), Seconds(300));
  EXPECT_EQ(life(found({kUsable}, Seconds(0))), kMinLife);
  EXPECT_EQ(life(found({kUsable}, Seconds(86400))), kMaxLife);
  Found mixed = found({kUsable, kNone}, Seconds(900));
  mixed.hosts[1].ttl = Seconds(120);
  EXPECT_EQ(life(mixed), Seconds(120));
  EXPECT_EQ(life(found({kUsable, kUnknown}, Seconds(900))), kRetry);
  EXPECT_EQ(life({}), kRetry);
  EXPECT_EQ(life({.without_dnssec_at = "192.0.2.53:53"}), kWithoutDnssec);
}

TEST(JudgeDane, TheFirstSurveyIsWaitedFor) {
  const Verdict verdict = judge({}, kNow);
  EXPECT_EQ(verdict.ruling, Ruling::Unknown);
  EXPECT_EQ(verdict.survey, Survey::First);
}

TEST(JudgeDane, RenewsInTheBackgroundAndWaitsWhenItIsTooOld) {
  const Facts facts = after_survey(nullptr, {}, found({kUsable}), kNow).facts;
  const auto at = [&](Seconds later) { return judge(facts, kNow + later); };
  EXPECT_EQ(at(Seconds(299)).survey, Survey::NotNeeded);
  EXPECT_EQ(at(Seconds(299)).until, kNow + Seconds(300));
  EXPECT_EQ(at(Seconds(300)).survey, Survey::InBackground);
  EXPECT_EQ(at(Seconds(300) + kStale - Seconds(1)).survey, Survey::InBackground);
  EXPECT_EQ(at(Seconds(300) + kStale).survey, Survey::First);
  EXPECT_EQ(at(Seconds(300) + kStale).ruling, Ruling::Applies);  // if the survey fails
  EXPECT_EQ(at(kHold).ruling, Ruling::Unknown);
}

TEST(JudgeDane, AClockThatIsSetBackDropsNothing) {
  const Facts facts = after_survey(nullptr, {}, found({kUsable}), kNow).facts;
  const Verdict verdict = judge(facts, kNow - Seconds(86400 * 365));
  EXPECT_EQ(verdict.ruling, Ruling::Applies);
  EXPECT_EQ(verdict.survey, Survey::First);
}

TEST(JudgeDane, AFailedSurveyIsNotRepeatedAtOnce) {
  const Facts facts = after_survey(nullptr, {}, {}, kNow).facts;
  EXPECT_EQ(judge(facts, kNow + Seconds(59)).survey, Survey::NotNeeded);
  EXPECT_EQ(judge(facts, kNow + Seconds(59)).ruling, Ruling::Unknown);
  EXPECT_EQ(judge(facts, kNow + Seconds(60)).survey, Survey::InBackground);
}

}  // namespace
}  // namespace mtastsd::dane
