#include "mtastsd/resolver/decide.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace mtastsd::resolver {
namespace {

using cache::Entry;
using cache::FailureType;
using cache::NoPolicyReason;
using discovery::Record;
using mtasts::Mode;

const WallTime kNow{Seconds(1'700'000'000)};
const Limits kLimits;

mtasts::Policy policy(Mode mode, Seconds max_age) {
  return {mode, max_age, {*mtasts::MxPattern::parse("mail.example.com")}};
}

Entry cached(const std::string& id, Seconds age, Seconds max_age = Seconds(604800),
             Mode mode = Mode::Enforce) {
  Entry entry;
  entry.policy = cache::StoredPolicy{id, policy(mode, max_age), kNow - age};
  entry.txt_checked_at = kNow - age;
  entry.recheck_at = kNow - age + Seconds(60);
  entry.first_used_at = kNow - age;
  entry.last_used_at = kNow - age;
  return entry;
}

Record found(const std::string& id, Seconds ttl = Seconds(300)) {
  return {.status = Record::Status::Found, .id = id, .ttl = ttl};
}
Record no_record(Seconds ttl = Seconds(300)) {
  return {.status = Record::Status::None, .ttl = ttl};
}
Record unusable(const std::string& detail = "more than one") {
  return {.status = Record::Status::Unusable, .ttl = Seconds(300), .detail = detail};
}
Record dns_failed() {
  return {.status = Record::Status::DnsFailed, .detail = "DNS: SERVFAIL"};
}

AfterRecord after_record(const std::optional<Entry>& known, const Record& record, bool refresh,
                         WallTime now, const Limits& limits) {
  return resolver::after_record(known ? &*known : nullptr, record,
                                refresh ? Purpose::Refresh : Purpose::Check, now, limits);
}

Result<Fetched, FetchFailure> good(Mode mode = Mode::Enforce, Seconds max_age = Seconds(604800)) {
  return Fetched{policy(mode, max_age)};
}
Result<Fetched, FetchFailure> bad(FailureType type = FailureType::FetchError) {
  return failure(FetchFailure{type, "scripted"});
}

// Touches the entry, and says whether there was anything to note.
bool use(Entry& entry) {
  auto touched = touch(entry, kNow, kLimits);
  if (touched) {
    entry = *std::move(touched);
  }
  return touched.has_value();
}

Standing standing(const Entry& entry, WallTime now = kNow) {
  return judge(facts_of(entry), now).standing;
}

// --- judge ------------------------------------------------------------------------------------

// RFC 8461 section 3.2: max_age seconds from the fetch, not one more.
TEST(Judge, APolicyLivesUntilMaxAgeIsOver) {
  const Entry entry = cached("a", Seconds(0), Seconds(100));
  EXPECT_EQ(standing(entry, kNow + Seconds(99)), Standing::Enforced);
  EXPECT_EQ(standing(entry, kNow + Seconds(100)), Standing::Unknown);
}

// Whatever judge() says without needs_touch, it says at every moment until then.
TEST(Judge, SaysForHowLongItStaysLikeThis) {
  Entry absent;
  absent.txt_checked_at = kNow;
  absent.recheck_at = kNow + Seconds(700);
  Entry lasting = cached("a", Seconds(30));
  lasting.recheck_at = kNow + Seconds(1'000'000);  // the note of use comes first
  Entry short_lived = lasting;
  short_lived.policy->policy.max_age = Seconds(400);  // its end does
  for (const Entry& entry : {cached("a", Seconds(30)), absent, lasting, short_lived}) {
    const Verdict now = judge(facts_of(entry), kNow);
    ASSERT_FALSE(now.needs_touch);
    ASSERT_GT(now.until, kNow);
    const Verdict last = judge(facts_of(entry), now.until - Seconds(1));
    EXPECT_EQ(last.standing, now.standing);
    EXPECT_FALSE(last.needs_touch);
    const Verdict after = judge(facts_of(entry), now.until);
    EXPECT_TRUE(after.needs_touch || after.standing != now.standing);
  }
}

// RFC 8461 section 5.
TEST(Judge, TestingAndNoneAreNotEnforced) {
  EXPECT_EQ(standing(cached("a", Seconds(0), Seconds(100), Mode::Testing)), Standing::NotEnforced);
  EXPECT_EQ(standing(cached("a", Seconds(0), Seconds(100), Mode::None)), Standing::NotEnforced);
}

TEST(Judge, NoPolicyHoldsUntilItsRecheck) {
  Entry entry;
  entry.txt_checked_at = kNow;
  entry.recheck_at = kNow + Seconds(60);
  EXPECT_EQ(standing(entry, kNow + Seconds(59)), Standing::NoPolicy);
  EXPECT_EQ(standing(entry, kNow + Seconds(60)), Standing::Unknown);
}

TEST(Judge, ASetBackClockNeitherDropsAPolicyNorKeepsAnAbsence) {
  const Entry policy_of_tomorrow = cached("a", Seconds(-86400));
  EXPECT_EQ(standing(policy_of_tomorrow), Standing::Enforced);
  EXPECT_TRUE(judge(facts_of(policy_of_tomorrow), kNow).needs_touch);
  Entry absence;
  absence.txt_checked_at = kNow + Seconds(86400);
  absence.recheck_at = kNow + Seconds(86460);
  EXPECT_EQ(standing(absence), Standing::Unknown);
}

TEST(Judge, WantsATouchWhenTheRecordIsDueOrTheUseIsOld) {
  Entry entry = cached("a", Seconds(10));
  EXPECT_FALSE(judge(facts_of(entry), kNow).needs_touch);
  EXPECT_TRUE(judge(facts_of(entry), kNow + Seconds(50)).needs_touch);
  entry.recheck_at = kNow + Seconds(200000);
  EXPECT_FALSE(judge(facts_of(entry), kNow + Seconds(80000)).needs_touch);
  EXPECT_TRUE(judge(facts_of(entry), kNow + Seconds(86400)).needs_touch);
}

// --- after_record -----------------------------------------------------------------------------

TEST(AfterRecord, TheFirstRecordOfADomainIsFetched) {
  EXPECT_TRUE(after_record(std::nullopt, found("a"), false, kNow, kLimits).fetch);
}

// RFC 8461 section 5.1.
TEST(AfterRecord, AnUnchangedIdIsNotFetchedAndLengthensNoLife) {
  const Entry before = cached("a", Seconds(500));
  const AfterRecord after = after_record(before, found("a"), false, kNow, kLimits);
  EXPECT_FALSE(after.fetch);
  EXPECT_EQ(after.entry.policy->fetched_at, before.policy->fetched_at);
  EXPECT_EQ(after.entry.txt_checked_at, kNow);
  EXPECT_EQ(after.entry.recheck_at, kNow + Seconds(300));
}

TEST(AfterRecord, AChangedIdIsFetchedAtOnce) {
  EXPECT_TRUE(after_record(cached("a", Seconds(5)), found("b"), false, kNow, kLimits).fetch);
}

TEST(AfterRecord, TheTtlIsTakenWithinTheRecheckBounds) {
  const auto recheck = [](Seconds ttl) {
    const Entry before = cached("a", Seconds(500));
    return after_record(before, found("a", ttl), false, kNow, kLimits).entry.recheck_at - kNow;
  };
  EXPECT_EQ(recheck(Seconds(1)), kLimits.recheck_min);
  EXPECT_EQ(recheck(Seconds(120)), Seconds(120));
  EXPECT_EQ(recheck(Seconds(86400)), kLimits.recheck_max);
}

// RFC 8461 section 3.3: neither absence nor failure of the record removes a policy.
TEST(AfterRecord, AValidPolicySurvivesWhateverDnsSays) {
  for (const Record& record : {no_record(), unusable(), dns_failed()}) {
    const AfterRecord after = after_record(cached("a", Seconds(500)), record, false, kNow, kLimits);
    EXPECT_FALSE(after.fetch);
    EXPECT_EQ(standing(after.entry), Standing::Enforced);
  }
}

TEST(AfterRecord, AnExpiredPolicyIsNotServedWithoutARecord) {
  for (const Record& record : {no_record(), unusable(), dns_failed()}) {
    const Entry expired = cached("a", Seconds(200), Seconds(100));
    const AfterRecord after = after_record(expired, record, false, kNow, kLimits);
    EXPECT_FALSE(after.fetch);
    EXPECT_FALSE(after.entry.holds_policy());
    EXPECT_EQ(standing(after.entry), Standing::NoPolicy);
  }
}

TEST(AfterRecord, WhyThereIsNoPolicyIsKept) {
  const auto after = [](const Record& record) {
    return after_record(std::nullopt, record, false, kNow, kLimits).entry;
  };
  EXPECT_EQ(after(no_record()).no_policy_reason, NoPolicyReason::NoRecord);
  EXPECT_EQ(after(no_record()).no_policy_detail, "");
  EXPECT_EQ(after(unusable()).no_policy_reason, NoPolicyReason::UnusableRecord);
  EXPECT_EQ(after(unusable()).no_policy_detail, "more than one");
  EXPECT_EQ(after(unusable(std::string(5000, 'x'))).no_policy_detail.size(),
            cache::kMaxNoPolicyDetail);
  EXPECT_EQ(after(dns_failed()).no_policy_reason, NoPolicyReason::DnsFailed);
  EXPECT_EQ(after(dns_failed()).no_policy_detail, "DNS: SERVFAIL");

  Entry failed = after_fetch(after(no_record()), "a", bad(), kNow, kLimits, 0.0).entry;
  EXPECT_EQ(failed.no_policy_reason, NoPolicyReason::FetchFailed);
  failed = after_record(failed, found("a"), false, kNow + Seconds(60), kLimits).entry;
  EXPECT_EQ(failed.no_policy_reason, NoPolicyReason::FetchFailed) << "the id is held back";
  const Entry good_now = after_fetch(failed, "b", good(), kNow, kLimits, 0.0).entry;
  EXPECT_EQ(good_now.no_policy_reason, NoPolicyReason::None);
}

TEST(AfterRecord, AValidPolicyHasNoReasonForItsAbsence) {
  for (const Record& record : {found("a"), no_record(), unusable(), dns_failed()}) {
    const Entry entry = after_record(cached("a", Seconds(9)), record, false, kNow, kLimits).entry;
    EXPECT_EQ(entry.no_policy_reason, NoPolicyReason::None);
    EXPECT_EQ(entry.no_policy_detail, "");
  }
}

TEST(AfterRecord, AnAbsenceHoldsForItsNegativeTtlWithinBounds) {
  const auto holds = [](const Record& record) {
    return after_record(std::nullopt, record, false, kNow, kLimits).entry.recheck_at - kNow;
  };
  EXPECT_EQ(holds(no_record(Seconds(300))), Seconds(300));
  EXPECT_EQ(holds(no_record(Seconds(0))), kLimits.negative_min);
  EXPECT_EQ(holds(no_record(Seconds(999999))), kLimits.negative_max);
}

// A failed lookup is no absence: it holds for seconds.
TEST(AfterRecord, AFailedLookUpIsForgottenInSeconds) {
  const AfterRecord after = after_record(std::nullopt, dns_failed(), false, kNow, kLimits);
  EXPECT_EQ(after.entry.recheck_at, kNow + kDnsFailureHold);
}

// RFC 8461 section 3.3.
TEST(AfterRecord, AFailedFetchIsNotRepeatedForTheSameIdWithinFiveMinutes) {
  const AfterFetch failed = after_fetch(Entry{}, "a", bad(), kNow, kLimits, 0.0);
  const auto later = [&](const std::string& id, Seconds after) {
    return after_record(failed.entry, found(id), false, kNow + after, kLimits).fetch;
  };
  EXPECT_FALSE(later("a", Seconds(299)));
  EXPECT_TRUE(later("a", Seconds(300)));
  EXPECT_TRUE(later("b", Seconds(1)));  // a new id may go at once
}

TEST(AfterRecord, NoPolicyHoldsNoLongerThanUntilTheNextAttempt) {
  const AfterFetch failed = after_fetch(Entry{}, "a", bad(), kNow, kLimits, 0.0);
  const AfterRecord after =
      after_record(failed.entry, found("a"), false, kNow + Seconds(60), kLimits);
  EXPECT_EQ(after.entry.recheck_at, failed.entry.failure->retry_at);
}

// RFC 8461 section 10.2: a refresh fetches whatever the record says.
TEST(AfterRecord, ARefreshFetchesAnUnchangedIdAMissingRecordAndOnDnsFailure) {
  const Entry before = cached("a", Seconds(80000));
  for (const Record& record : {found("a"), no_record(), unusable(), dns_failed()}) {
    EXPECT_TRUE(after_record(before, record, true, kNow, kLimits).fetch);
  }
}

TEST(AfterRecord, ARefreshWithoutAValidPolicyNeedsARecord) {
  const Entry expired = cached("a", Seconds(200), Seconds(100));
  EXPECT_FALSE(after_record(expired, no_record(), true, kNow, kLimits).fetch);
  EXPECT_TRUE(after_record(expired, found("a"), true, kNow, kLimits).fetch);
}

TEST(AfterRecord, APolicyFromTheFutureIsFetchedAnew) {
  EXPECT_TRUE(after_record(cached("a", Seconds(-5000)), found("a"), false, kNow, kLimits).fetch);
}

TEST(Judge, AMaxAgeOfZeroIsGoodForTheDeliveryAtHandAndNoFetchPerQuery) {
  const Entry entry = cached("a", Seconds(0), Seconds(0));
  EXPECT_EQ(standing(entry), Standing::Enforced);
  EXPECT_EQ(standing(entry, kNow + kMinLife - Seconds(1)), Standing::Enforced);
  EXPECT_EQ(standing(entry, kNow + kMinLife), Standing::Unknown);
}

// --- after_fetch ------------------------------------------------------------------------------

TEST(AfterFetch, AGoodFetchIsStoredUnderTheIdAndCountsFromNow) {
  const AfterFetch after = after_fetch(Entry{}, "a", good(), kNow, kLimits, 0.5);
  EXPECT_EQ(after.change, Change::New);
  EXPECT_EQ(after.entry.policy->id, "a");
  EXPECT_EQ(after.entry.policy->fetched_at, kNow);
  EXPECT_FALSE(after.entry.failure);
}

// RFC 8461 section 3.3.
TEST(AfterFetch, AFailedFetchKeepsAValidPolicy) {
  for (const FailureType type :
       {FailureType::FetchError, FailureType::PolicyInvalid, FailureType::WebpkiInvalid}) {
    const Entry before = cached("a", Seconds(500));
    const AfterFetch after = after_fetch(before, "b", bad(type), kNow, kLimits, 0.0);
    EXPECT_EQ(standing(after.entry), Standing::Enforced);
    EXPECT_EQ(after.entry.policy->id, "a");
    EXPECT_EQ(after.entry.policy->fetched_at, before.policy->fetched_at);
    EXPECT_EQ(after.entry.failure->type, type);
  }
}

// RFC 8461 section 5.1.
TEST(AfterFetch, AFailedFetchWithoutAValidPolicyIsAsIfThereWereNone) {
  const Entry expired = cached("a", Seconds(200), Seconds(100));
  Entry before = after_record(expired, found("a"), false, kNow, kLimits).entry;
  const AfterFetch after = after_fetch(before, "a", bad(), kNow, kLimits, 0.0);
  EXPECT_FALSE(after.entry.holds_policy());
  EXPECT_EQ(standing(after.entry), Standing::NoPolicy);
}

// RFC 8461 section 8.3.
TEST(AfterFetch, AFetchedNoneReplacesAnEnforcedPolicy) {
  const AfterFetch after =
      after_fetch(cached("a", Seconds(500)), "b", good(Mode::None), kNow, kLimits, 0.0);
  EXPECT_EQ(standing(after.entry), Standing::NotEnforced);
  EXPECT_EQ(after.change, Change::Replaced);
  EXPECT_TRUE(after.weaker);
}

TEST(AfterFetch, AShorterNewMaxAgeRules) {
  const AfterFetch after = after_fetch(cached("a", Seconds(500)), "b",
                                       good(Mode::Enforce, Seconds(3600)), kNow, kLimits, 0.0);
  EXPECT_EQ(after.entry.policy->expires_at(), kNow + Seconds(3600));
}

TEST(AfterFetch, AnotherPolicyUnderTheSameIdIsTakenAsDrift) {
  const AfterFetch after = after_fetch(cached("a", Seconds(500)), "a",
                                       good(Mode::Enforce, Seconds(1000)), kNow, kLimits, 0.0);
  EXPECT_EQ(after.change, Change::Drifted);
  EXPECT_EQ(after.entry.policy->policy.max_age, Seconds(1000));
}

TEST(AfterFetch, ARefreshWithoutARecordKeepsTheId) {
  const AfterFetch after = after_fetch(cached("a", Seconds(500)), "", good(), kNow, kLimits, 0.0);
  EXPECT_EQ(after.entry.policy->id, "a");
  EXPECT_EQ(after.change, Change::None);
}

// A failed fetch holds for its five minutes, not for the hour that a long TTL would allow.
TEST(AfterFetch, WithoutAPolicyTheRecordIsLookedAtAgainWhenTheSameIdMayBeFetched) {
  const Entry before =
      after_record(std::nullopt, found("a", Seconds(86400)), false, kNow, kLimits).entry;
  const AfterFetch after = after_fetch(before, "a", bad(), kNow, kLimits, 0.0);
  EXPECT_EQ(after.entry.recheck_at, kNow + kLimits.retry_interval);
}

// The clock was in the past while the machine started: nothing can be fetched then.
TEST(AfterFetch, APolicyFromTheFutureIsNotForgottenOnceTheClockIsRight) {
  const Entry before = cached("a", Seconds(-1'000'000), Seconds(1000));
  const AfterFetch after = after_fetch(before, "a", bad(), kNow, kLimits, 0.0);
  EXPECT_EQ(standing(after.entry, kNow + Seconds(1'000'500)), Standing::Enforced);
  // Nor is it asked for again and again meanwhile.
  EXPECT_FALSE(after_record(after.entry, found("a"), false, kNow + Seconds(60), kLimits).fetch);
  EXPECT_TRUE(after_record(after.entry, found("a"), false, kNow + Seconds(300), kLimits).fetch);
}

TEST(AfterFetch, FailuresBackOffToAnHourForTheSameId) {
  Entry entry;
  Seconds last{0};
  for (int i = 0; i < 40; ++i) {
    entry = after_fetch(entry, "a", bad(), kNow, kLimits, 0.0).entry;
    const Seconds wait = entry.failure->retry_at - kNow;
    EXPECT_GE(wait, last);
    last = wait;
  }
  EXPECT_EQ(last, kRetryMax);
  entry = after_fetch(entry, "b", bad(), kNow, kLimits, 0.0).entry;
  EXPECT_EQ(entry.failure->retry_at, kNow + kLimits.retry_interval);
}

// RFC 8461 section 10.2: daily, and well before the end of a short life.
TEST(AfterFetch, TheNextRefreshIsDailyOrByHalfOfTheLife) {
  const auto refresh_after = [](Seconds max_age) {
    const auto outcome = good(Mode::Enforce, max_age);
    return after_fetch(Entry{}, "a", outcome, kNow, kLimits, 1.0).entry.due_at - kNow;
  };
  EXPECT_EQ(refresh_after(Seconds(604800)), Seconds(86400));
  EXPECT_EQ(refresh_after(Seconds(86400)), Seconds(43200));
  EXPECT_EQ(refresh_after(Seconds(600)), Seconds(300));
  EXPECT_EQ(refresh_after(Seconds(30)), Seconds(30));  // renewed by the query that needs it
}

// RFC 8461 section 10.2.
TEST(AfterFetch, TheOperatorIsWarnedAtFirstAtHalfLifeAndDaily) {
  Entry entry = cached("a", Seconds(0), Seconds(1'000'000));
  const auto alarm_at = [&](std::int64_t seconds) {
    const AfterFetch after = after_fetch(entry, "a", bad(), kNow + Seconds(seconds), kLimits, 0.0);
    entry = after.entry;
    return after.alarm;
  };
  EXPECT_TRUE(alarm_at(100));
  EXPECT_FALSE(alarm_at(1000));
  EXPECT_TRUE(alarm_at(100 + 86400));
  EXPECT_FALSE(alarm_at(100000));
  EXPECT_TRUE(alarm_at(499999));
  EXPECT_FALSE(alarm_at(499999));
  EXPECT_TRUE(alarm_at(500000));
}

TEST(AfterFetch, NobodyIsWarnedOfModeNone) {
  const Entry none = cached("a", Seconds(0), Seconds(1'000'000), Mode::None);
  EXPECT_FALSE(after_fetch(none, "a", bad(), kNow + Seconds(10), kLimits, 0.0).alarm);
}

// --- when_due ---------------------------------------------------------------------------------

TEST(WhenDue, RefreshesWhatIsInUse) {
  Entry entry = cached("a", Seconds(80000));
  entry.due_at = kNow;
  EXPECT_EQ(when_due(entry, kNow - Seconds(1), kLimits, false).action, DueAction::Nothing);
  EXPECT_EQ(when_due(entry, kNow, kLimits, false).action, DueAction::Refresh);
}

TEST(WhenDue, LetsWhatIsNotUsedGoToItsEnd) {
  Entry entry = cached("a", Seconds(40 * 86400), mtasts::kMaxMaxAge);
  entry.due_at = kNow;
  const AfterDue after = when_due(entry, kNow, kLimits, false);
  EXPECT_EQ(after.action, DueAction::Store);
  EXPECT_EQ(after.entry.due_at, kNow + kIdleRecheck);
  EXPECT_EQ(standing(after.entry), Standing::Enforced);
  entry.policy->policy.max_age = Seconds(41 * 86400);
  EXPECT_EQ(when_due(entry, kNow, kLimits, false).entry.due_at, entry.policy->expires_at());
}

TEST(WhenDue, NeverPutsOffFurtherThanItSays) {
  Entry idle = cached("a", Seconds(40 * 86400), mtasts::kMaxMaxAge);
  idle.due_at = kNow;
  EXPECT_LE(when_due(idle, kNow, kLimits, false).entry.due_at, farthest_due(kNow, kLimits));
  const AfterFetch fetched =
      after_fetch(idle, "b", good(Mode::Enforce, mtasts::kMaxMaxAge), kNow, kLimits, 0.99);
  EXPECT_LE(fetched.entry.due_at, farthest_due(kNow, kLimits));
  const AfterFetch failed = after_fetch(idle, "b", bad(), kNow, kLimits, 0.99);
  EXPECT_LE(failed.entry.due_at, farthest_due(kNow, kLimits));
}

TEST(WhenDue, DoesNotBelieveWhatAClockAheadOfTimeSet) {
  Entry entry = cached("a", Seconds(3600), mtasts::kMaxMaxAge);
  entry.due_at = kNow + Seconds(40 * 86400);
  EXPECT_EQ(when_due(entry, kNow, kLimits, false).action, DueAction::Refresh);
}

// --- touch ------------------------------------------------------------------------------------

TEST(Touch, KeepsTheDay) {
  Entry entry = cached("a", Seconds(3600));
  entry.due_at = kNow + Seconds(80000);
  entry.last_used_at = kNow - Seconds(86399);
  EXPECT_FALSE(use(entry));
  entry.last_used_at = kNow - Seconds(86400);
  EXPECT_TRUE(use(entry));
  EXPECT_EQ(entry.last_used_at, kNow);
  EXPECT_EQ(entry.due_at, kNow + Seconds(80000));
  entry.last_used_at = kNow + Seconds(5);  // the clock was set back
  EXPECT_TRUE(use(entry));
  EXPECT_EQ(entry.last_used_at, kNow);
}

TEST(Touch, BringsBackWhatWasLetGo) {
  Entry entry = cached("a", Seconds(40 * 86400), mtasts::kMaxMaxAge);
  entry.due_at = kNow + kIdleRecheck;
  EXPECT_TRUE(use(entry));
  EXPECT_EQ(entry.due_at, kNow);
}

TEST(Touch, AFailingOneKeepsItsBackOffUnlessTheClockWasSetBack) {
  Entry entry = cached("a", Seconds(3600));
  entry.last_used_at = kNow;
  entry.failure = cache::Failure{"a", FailureType::FetchError, "", kNow, kNow + Seconds(3000)};
  entry.due_at = kNow + Seconds(3000);
  EXPECT_FALSE(use(entry));
  entry.due_at = kNow + kIdleRecheck;  // let go
  EXPECT_TRUE(use(entry));
  EXPECT_EQ(entry.due_at, kNow + Seconds(3000));
  entry.failure->retry_at = kNow + Seconds(2 * 86400);
  entry.due_at = kNow + Seconds(2 * 86400);
  EXPECT_TRUE(use(entry));
  EXPECT_EQ(entry.due_at, kNow);
}

// --- a clock that is ahead ----------------------------------------------------------------------

const WallTime kAhead = kNow + Seconds(8 * 86400);

// RFC 8461 section 3.3. A max_age of 0 lives a moment longer than it says, so at its expires_at a
// policy from the future was refreshed although its last fetch had failed a minute before.
TEST(WhenDue, APolicyWhoseRefreshFailsIsDueAtTheEndOfItsLifeAndNotBefore) {
  const Entry from_future = cached("a", Seconds(-100), Seconds(0));
  const Entry failing = after_fetch(from_future, "a", bad(), kNow, kLimits, 0.0).entry;
  EXPECT_EQ(failing.due_at, kNow + Seconds(100) + kMinLife);
  EXPECT_EQ(when_due(failing, failing.due_at, kLimits, false).action, DueAction::SetAside);
}

TEST(WhenDue, AnExpiredPolicyIsSetAsideAndDroppedAWeekLater) {
  Entry entry = cached("a", Seconds(200), Seconds(100));
  entry.due_at = kNow - Seconds(100);
  entry.failure = cache::Failure{"a", FailureType::FetchError, "", kNow, kNow + Seconds(50)};
  AfterDue after = when_due(entry, kNow, kLimits, false);
  EXPECT_EQ(after.action, DueAction::SetAside);
  EXPECT_TRUE(after.entry.policy && !after.entry.holds_policy());
  EXPECT_TRUE(after.entry.failure) << "its back-off counts";
  EXPECT_EQ(judge(facts_of(after.entry), kNow).standing, Standing::Unknown) << "never served";
  const Entry aside = after.entry;
  EXPECT_EQ(aside.due_at, kNow + kGrace);
  EXPECT_EQ(when_due(aside, kNow + kGrace - Seconds(1), kLimits, false).action, DueAction::Nothing);
  EXPECT_EQ(when_due(aside, kNow + kGrace, kLimits, false).action, DueAction::Drop);
}

// RFC 8461 section 3.3: mail may have come for the domain, and the fetch may have failed again.
TEST(WhenDue, AnExpiredPolicyIsNotDroppedBeforeTheEndOfABackOff) {
  Entry aside = when_due(cached("a", Seconds(200), Seconds(100)), kNow, kLimits, false).entry;
  ASSERT_FALSE(aside.holds_policy());
  const WallTime retry_at = kNow + kGrace + Seconds(290);
  aside.failure = cache::Failure{"a", FailureType::FetchError, "", kNow, retry_at};
  const AfterDue after = when_due(aside, kNow + kGrace, kLimits, false);
  EXPECT_EQ(after.action, DueAction::Store);
  EXPECT_EQ(after.entry.due_at, retry_at);
  EXPECT_EQ(when_due(after.entry, retry_at, kLimits, false).action, DueAction::Drop);
}

TEST(WhenDue, WhateverTheJumpTheFirstLookDropsNothing) {
  Entry entry = cached("a", Seconds(3600));
  entry.due_at = kNow;
  const AfterDue after = when_due(entry, kNow + Seconds(400 * 86400), kLimits, false);
  ASSERT_EQ(after.action, DueAction::SetAside);
  EXPECT_EQ(judge(facts_of(after.entry), kNow).standing, Standing::Enforced)
      << "once the clock is right again";
  EXPECT_EQ(when_due(after.entry, kNow, kLimits, false).action, DueAction::Refresh);
}

// A policy of a few minutes is over when the clock is right again. Its domain may have published
// another one, and must not count as one without until the day to which the clock had jumped.
TEST(WhenDue, WhatAClockAheadSetAsideIsLookedUpByTheNextQuery) {
  Entry entry = cached("a", Seconds(60), Seconds(300));
  entry.due_at = kNow;
  const AfterDue after = when_due(entry, kNow + Seconds(40 * 86400), kLimits, false);
  ASSERT_EQ(after.action, DueAction::SetAside);
  for (const WallTime when : {kNow + Seconds(40 * 86400), kNow + Seconds(3600)}) {
    EXPECT_EQ(standing(after.entry, when), Standing::Unknown);
  }
}

TEST(WhenDue, ADoubtedClockDropsNothing) {
  Entry entry = cached("a", Seconds(3600));
  entry.due_at = kNow;
  WallTime now = kAhead;
  AfterDue after = when_due(entry, now, kLimits, true);
  ASSERT_EQ(after.action, DueAction::SetAside);
  for (int jumps = 0; jumps < 3; ++jumps) {
    now += Seconds(8 * 86400);
    after = when_due(after.entry, now, kLimits, true);
    ASSERT_EQ(after.action, DueAction::Store);
    EXPECT_EQ(after.entry.due_at, now + kGrace) << "and it does not stand in the way of others";
  }
  EXPECT_EQ(when_due(after.entry, kNow, kLimits, true).action, DueAction::Refresh);
  EXPECT_EQ(when_due(after.entry, now + kGrace, kLimits, false).action, DueAction::Drop);
}

TEST(AfterRecord, AClockThatIsAheadLosesNoPolicy) {
  const Entry entry = cached("a", Seconds(3600));
  for (const Record& record : {no_record(), unusable(), dns_failed()}) {
    const AfterRecord after = after_record(entry, record, false, kAhead, kLimits);
    EXPECT_FALSE(after.fetch);
    EXPECT_EQ(judge(facts_of(after.entry), kAhead).standing, Standing::NoPolicy);
    EXPECT_EQ(judge(facts_of(after.entry), kNow).standing, Standing::Enforced);
    const AfterRecord right = after_record(after.entry, found("a"), false, kNow, kLimits);
    EXPECT_TRUE(right.entry.holds_policy());
  }
}

TEST(AfterFetch, AClockThatIsAheadLosesNoPolicyByAFailedFetch) {
  const Entry entry = cached("a", Seconds(3600));
  const AfterRecord record = after_record(entry, found("a"), false, kAhead, kLimits);
  ASSERT_TRUE(record.fetch);
  const AfterFetch after = after_fetch(record.entry, "a", bad(), kAhead, kLimits, 0);
  EXPECT_EQ(judge(facts_of(after.entry), kAhead).standing, Standing::NoPolicy);
  EXPECT_EQ(judge(facts_of(after.entry), kNow).standing, Standing::Enforced);
  EXPECT_EQ(after.entry.due_at, kAhead + kGrace);
  const AfterFetch again = after_fetch(after.entry, "a", bad(), kAhead + Seconds(600), kLimits, 0);
  EXPECT_EQ(again.entry.due_at, kAhead + kGrace) << "the grace begins once";
}

TEST(Touch, TheSecondQueryIsWhereRegularUseBegins) {
  Entry entry = cached("a", Seconds(3600));
  entry.due_at = kNow + Seconds(3600);
  entry.first_used_at = {};
  EXPECT_TRUE(use(entry));
  EXPECT_EQ(entry.first_used_at, kNow);
  EXPECT_FALSE(use(entry));
}

}  // namespace
}  // namespace mtastsd::resolver
