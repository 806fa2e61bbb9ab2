// DANE, kept by the real resolver and the real finder on virtual time.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fakes/fake_dialer.h"
#include "fakes/fake_dns.h"
#include "fakes/fake_fetcher.h"
#include "fakes/fake_loop.h"
#include "fakes/memory_store.h"
#include "fakes/networks.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/dane/finder.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/log/log.h"
#include "mtastsd/resolver/resolver.h"

namespace mtastsd::resolver {
namespace {

using dane::Ruling;
using std::chrono::hours;

constexpr dane::Target kUsual{};

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

class SurveysTest : public testing::Test {
 protected:
  SurveysTest() {
    dns_.signed_zones = {"signed.test"};
    dns_.set_a("mx.signed.test", "192.0.2.1");
    dns_.set_tlsa("mx.signed.test");
  }

  // A domain with a policy in force that mail has gone to.
  void know(const std::string& domain, mtasts::Mode mode = mtasts::Mode::Enforce) {
    cache::Entry entry;
    entry.policy = cache::StoredPolicy{
        "1",
        {mode, Seconds(30 * 86400), {*mtasts::MxPattern::parse("mx.signed.test")}},
        loop_.wall()};
    entry.recheck_at = loop_.wall() + hours(24 * 30);
    entry.due_at = loop_.wall() + hours(24 * 30);
    entry.last_used_at = loop_.wall();
    store_.put(name(domain), entry);
  }

  // Asks as an answering thread does.
  Ruling ask(const std::string& domain, const dane::Target& target = kUsual) {
    std::optional<Answer> told;
    const auto tell = [&](const Answer& answer) { told = answer; };
    tell_now_or_later(resolver_.survey(name(domain), target, tell), tell);
    for (int i = 0; i < 1000 && !told; ++i) {
      loop_.advance(Milliseconds(100));
    }
    EXPECT_TRUE(told);
    const dane::State* state =
        told && told->entry ? cache::find_dane(*told->entry, target) : nullptr;
    return state == nullptr ? Ruling::Unknown : judge(state->facts, loop_.wall()).ruling;
  }

  test::FakeLoop loop_;
  test::FakeDns dns_{loop_};
  test::FakeDialer dialer_{loop_};
  test::FakeFetcher fetcher_{loop_};
  test::MemoryStore store_;
  Log log_ = Log::null();
  discovery::Discovery discovery_{{loop_, dns_, dialer_, fetcher_},
                                  {.allow_networks = test::documentation_networks()}};
  dane::Finder finder_{loop_, loop_, dns_};
  Resolver resolver_{{loop_, loop_, discovery_, store_, log_, [] { return 0.5; }, &finder_}, {}};
};

TEST_F(SurveysTest, WhatIsFoundIsKeptWithTheEntry) {
  know("signed.test");
  dns_.set_mx("signed.test", {"mx.signed.test"});
  EXPECT_EQ(ask("signed.test"), Ruling::Applies);
  const auto entry = store_.find(name("signed.test"));
  ASSERT_EQ(entry->dane_states.size(), 1U);
  EXPECT_EQ(entry->dane_states[0].hosts.at(0).status, dane::HostStatus::Usable);
  EXPECT_TRUE(entry->holds_policy());
  EXPECT_EQ(resolver_.counters().surveys.value(), 1U);
  EXPECT_EQ(resolver_.counters().dane_unknown.value(), 0U);
}

TEST_F(SurveysTest, WithoutAPolicyNothingIsAsked) {
  EXPECT_EQ(ask("signed.test"), Ruling::Unknown);
  cache::Entry nothing;
  nothing.no_policy_reason = cache::NoPolicyReason::NoRecord;
  store_.put(name("signed.test"), nothing);
  EXPECT_EQ(ask("signed.test"), Ruling::Unknown);
  EXPECT_TRUE(dns_.asked.empty());
}

TEST_F(SurveysTest, AllWhoAskShareOneSurveyAndWhatIsCurrentCostsNothing) {
  know("signed.test");
  dns_.set_mx("signed.test", {"mx.signed.test"});
  int told = 0;
  for (int i = 0; i < 50; ++i) {
    const auto tell = [&](const Answer& answer) { told += answer.entry ? 1 : 0; };
    tell_now_or_later(resolver_.survey(name("signed.test"), kUsual, tell), tell);
  }
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(told, 50);
  EXPECT_EQ(dns_.count("MX signed.test"), 1U);
  EXPECT_EQ(ask("signed.test"), Ruling::Applies);
  EXPECT_EQ(dns_.count("MX signed.test"), 1U);
}

TEST_F(SurveysTest, TheOwnerWithdrawsTheRecords) {
  know("signed.test");
  dns_.set_mx("signed.test", {"mx.signed.test"});
  EXPECT_EQ(ask("signed.test"), Ruling::Applies);
  dns_.tlsa_records.clear();
  loop_.advance(Seconds(301));
  EXPECT_EQ(ask("signed.test"), Ruling::DoesNotApply);
}

TEST_F(SurveysTest, WhatIsKnownStandsForAWeekWhileDnsFails) {
  know("signed.test");
  dns_.set_mx("signed.test", {"mx.signed.test"});
  EXPECT_EQ(ask("signed.test"), Ruling::Applies);
  dns_.fail_tlsa("mx.signed.test");
  loop_.advance(hours(24 * 6));
  EXPECT_EQ(ask("signed.test"), Ruling::Applies);
  EXPECT_EQ(resolver_.counters().dane_unknown.value(), 0U);
  loop_.advance(hours(24));
  EXPECT_EQ(ask("signed.test"), Ruling::Unknown);
  EXPECT_EQ(resolver_.counters().dane_unknown.value(), 1U);
}

TEST_F(SurveysTest, WhereNothingWasKnownItIsCounted) {
  know("signed.test");
  dns_.silent_names = {"signed.test"};
  EXPECT_EQ(ask("signed.test"), Ruling::Unknown);
  EXPECT_EQ(resolver_.counters().survey_failures.value(), 1U);
  EXPECT_EQ(resolver_.counters().dane_unknown.value(), 1U);
}

TEST_F(SurveysTest, AFetchThatRunsMeanwhileDoesNotDropIt) {
  know("signed.test");
  dns_.set_mx("signed.test", {"mx.signed.test"});
  dns_.set_txt("signed.test", "v=STSv1; id=2;", Seconds(60));
  dns_.set_a("mta-sts.signed.test", "192.0.2.1");
  fetcher_.set_policy("signed.test",
                      "version: STSv1\nmode: enforce\nmx: mx.signed.test\nmax_age: 604800\n");
  fetcher_.delay = Milliseconds(5000);
  bool refreshed = false;
  const auto tell = [&](const Answer& answer) { refreshed = answer.fresh; };
  tell_now_or_later(resolver_.refresh(name("signed.test"), Purpose::Refresh, tell), tell);
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(ask("signed.test"), Ruling::Applies);
  loop_.advance(Milliseconds(10000));
  EXPECT_TRUE(refreshed);
  EXPECT_EQ(store_.find(name("signed.test"))->policy->id, "2");
  EXPECT_EQ(store_.find(name("signed.test"))->dane_states.size(), 1U);
}

TEST_F(SurveysTest, NobodyHasToWaitForIt) {
  know("signed.test");
  dns_.set_mx("signed.test", {"mx.signed.test"});
  { const auto ticket = resolver_.survey(name("signed.test"), kUsual, nullptr); }
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(store_.find(name("signed.test"))->dane_states.size(), 1U);
}

// The owners share the slots: one of them with many domains leaves room for the others.
TEST_F(SurveysTest, OneOwnerDoesNotTakeAllSlots) {
  dns_.silent = true;
  for (int i = 0; i < 3000; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".signed.test";
    know(domain);
    const auto ticket = resolver_.survey(name(domain), kUsual, nullptr);
  }
  EXPECT_LT(resolver_.counters().surveys.value(), 600U);
  know("other.example");
  const auto before = resolver_.counters().surveys.value();
  const auto ticket = resolver_.survey(name("other.example"), kUsual, nullptr);
  EXPECT_EQ(resolver_.counters().surveys.value(), before + 1);
}

}  // namespace
}  // namespace mtastsd::resolver
