#include "mx_watch.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "fakes/fake_dialer.h"
#include "fakes/fake_dns.h"
#include "fakes/fake_fetcher.h"
#include "fakes/fake_loop.h"
#include "fakes/memory_store.h"
#include "fakes/networks.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/log/log.h"

namespace mtastsd::resolver {
namespace {

using mtasts::Mode;
using std::chrono::hours;
using std::chrono::minutes;
using Kind = MxMatch::Kind;

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

// --- pure
// ---------------------------------------------------------------------------------------

dns::Answer<dns::MxRecords> records(const std::vector<std::string>& hosts) {
  dns::MxRecords mx;
  for (const std::string& host : hosts) {
    mx.records.push_back({10, host});
  }
  return dns::Answer<dns::MxRecords>(std::move(mx));
}

dns::Answer<dns::MxRecords> nothing(bool no_such_name) {
  dns::Answer<dns::MxRecords> answer(dns::NoSuchRecord{});
  answer.provenance.no_such_name = no_such_name;
  return answer;
}

TEST(MatchMx, OneHostThatMatchesIsEnough) {
  const struct {
    const char* name;
    dns::Answer<dns::MxRecords> answer;
    Kind kind;
    const char* hosts;
  } cases[] = {
      {"the name", records({"mx.example"}), Kind::Matches, ""},
      {"one of two", records({"x.example", "a.mail.example"}), Kind::Matches, ""},
      {"a wildcard is one label (RFC 8461 section 4.1)", records({"a.b.mail.example"}),
       Kind::Differs, "a.b.mail.example"},
      {"none", records({"x.example", "y.example"}), Kind::Differs, "x.example,y.example"},
      {"no host name", records({"*"}), Kind::Differs, "*"},
      {"a null MX (RFC 7505)", records({"."}), Kind::Matches, ""},
      {"no MX record", nothing(false), Kind::Matches, ""},
      {"no such name", nothing(true), Kind::Matches, ""},
      {"a failure is no mismatch",
       dns::Answer<dns::MxRecords>(failure(dns::Error{dns::ErrorKind::ServFail, ""})),
       Kind::Unknown, ""},
  };
  const std::vector<mtasts::MxPattern> patterns = {*mtasts::MxPattern::parse("mx.example"),
                                                   *mtasts::MxPattern::parse("*.mail.example")};
  for (const auto& c : cases) {
    const MxMatch match = match_mx(patterns, c.answer);
    EXPECT_EQ(match.kind, c.kind) << c.name;
    EXPECT_EQ(match.hosts, c.hosts) << c.name;
  }
}

TEST(MatchMx, NamesOfHostsAreBounded) {
  const std::vector<std::string> hosts(100, "a-rather-long-name.of-a-host.example");
  EXPECT_LE(match_mx({}, records(hosts)).hosts.size(), 150U);
}

// --- the watch
// ----------------------------------------------------------------------------------

class MxWatchTest : public testing::Test {
 protected:
  MxWatchTest() {
    loop_.advance(hours(1));
    options_.limits.refresh_interval = hours(24 * 300);  // only the watch asks DNS
    restart();
  }
  void restart() {
    resolver_ = std::make_unique<Resolver>(
        Services{loop_, loop_, discovery_, store_, log_, [] { return 0.5; }, nullptr, &dns_},
        options_);
  }
  cache::Entry entry(Mode mode = Mode::Enforce) {
    cache::Entry entry;
    entry.policy = cache::StoredPolicy{
        "1", {mode, hours(24 * 300), {*mtasts::MxPattern::parse("mx.example")}}, loop_.wall()};
    entry.txt_checked_at = loop_.wall();
    entry.recheck_at = loop_.wall() + hours(24 * 300);
    entry.due_at = loop_.wall() + hours(24 * 250);
    entry.last_used_at = loop_.wall();
    return entry;
  }
  void store(const std::string& domain, Mode mode = Mode::Enforce) {
    store_.put(name(domain), entry(mode));
  }
  std::string listed() const {
    std::string all;
    for (const MxMismatch& one : resolver_->mx_mismatches("", 100)) {
      all += one.domain.str() + "(" + one.hosts + ") ";
    }
    return all;
  }
  std::size_t looks() const {
    return static_cast<std::size_t>(
        std::count_if(dns_.asked.begin(), dns_.asked.end(),
                      [](const std::string& one) { return one.starts_with("MX "); }));
  }

  test::FakeLoop loop_;
  test::FakeDns dns_{loop_};
  test::FakeDialer dialer_{loop_};
  test::FakeFetcher fetcher_{loop_};
  test::MemoryStore store_;
  Log log_ = Log::null();
  Options options_;
  discovery::Discovery discovery_{{loop_, dns_, dialer_, fetcher_},
                                  {.allow_networks = test::documentation_networks()}};
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(MxWatchTest, ADomainWhoseMailIsDeferredIsListed) {
  store("good.example");
  dns_.set_mx("good.example", {"mx.example"});
  store("bad.example");
  dns_.set_mx("bad.example", {"x.example", "y.example"});
  loop_.advance(minutes(1));
  EXPECT_EQ(listed(), "bad.example(x.example,y.example) ");
  EXPECT_EQ(resolver_->mx_mismatch_count(), 1U);
  EXPECT_EQ(looks(), 2U);
}

TEST_F(MxWatchTest, OnlyPoliciesInForceAndInUseAreLookedAt) {
  store("testing.example", Mode::Testing);
  store("none.example", Mode::None);
  cache::Entry old = entry();
  old.policy->fetched_at -= hours(24 * 301);
  store_.put(name("expired.example"), old);
  cache::Entry idle = entry();
  idle.last_used_at -= options_.limits.idle_after;
  store_.put(name("idle.example"), idle);
  cache::Entry absent;
  absent.no_policy_reason = cache::NoPolicyReason::NoRecord;
  absent.recheck_at = loop_.wall() + hours(24);
  store_.put(name("absent.example"), absent);
  cache::Entry dane = entry();
  set_dane(dane, {.facts = {dane::Ruling::Applies, loop_.wall(), loop_.wall(), loop_.wall()}});
  store_.put(name("dane.example"), dane);
  loop_.advance(hours(2));
  EXPECT_EQ(looks(), 0U);
}

TEST_F(MxWatchTest, WhatDiffersIsLookedAtAgainEachHourAndAllElseEachDay) {
  store("good.example");
  dns_.set_mx("good.example", {"mx.example"});
  store("bad.example");
  dns_.set_mx("bad.example", {"x.example"});
  loop_.advance(minutes(30));
  EXPECT_EQ(dns_.count("MX bad.example"), 1U);
  dns_.set_mx("bad.example", {"mx.example"});
  loop_.advance(minutes(40));
  EXPECT_EQ(dns_.count("MX bad.example"), 2U);
  EXPECT_EQ(listed(), "");
  EXPECT_EQ(dns_.count("MX good.example"), 1U);
  dns_.set_mx("good.example", {"x.example"});
  loop_.advance(hours(24));
  EXPECT_EQ(listed(), "good.example(x.example) ");
}

TEST_F(MxWatchTest, WhatDnsDoesNotSayChangesNothing) {
  store("bad.example");
  dns_.set_mx("bad.example", {"x.example"});
  store("silent.example");
  const auto fail = [this](const std::string& domain) {
    dns_.mx_records.insert_or_assign(
        domain, dns::Answer<dns::MxRecords>(failure(dns::Error{dns::ErrorKind::ServFail, ""})));
  };
  fail("silent.example");
  loop_.advance(minutes(10));
  EXPECT_EQ(listed(), "bad.example(x.example) ");
  fail("bad.example");
  loop_.advance(hours(5));
  EXPECT_EQ(listed(), "bad.example(x.example) ");
  EXPECT_GE(resolver_->counters().mx_failures.value(), 5U);
}

TEST_F(MxWatchTest, OverridesCount) {
  for (const char* domain : {"ignored.example", "pinned.example", "free.example"}) {
    store(domain);
    dns_.set_mx(domain, {"x.example"});
  }
  const auto one = [](const std::string& scope, overrides::Action action,
                      const char* mx = nullptr) {
    overrides::Override it{.scope = *overrides::Scope::parse(scope), .action = action};
    if (mx != nullptr) {
      it.mx = {*mtasts::MxPattern::parse(mx)};
    }
    return it;
  };
  loop_.advance(minutes(1));
  EXPECT_EQ(resolver_->mx_mismatch_count(), 3U);
  resolver_->set_overrides(
      overrides::make_table({one("ignored.example", overrides::Action::Ignore),
                             one("pinned.example", overrides::Action::Pin, "x.example")}));
  loop_.advance(hours(2));
  EXPECT_EQ(listed(), "free.example(x.example) ");
  resolver_->set_overrides(nullptr);
  loop_.advance(hours(24));
  EXPECT_EQ(resolver_->mx_mismatch_count(), 3U);
}

TEST_F(MxWatchTest, LookupsAreSpreadAndBounded) {
  for (int i = 0; i < 1000; ++i) {
    store("d" + std::to_string(i) + ".example");
  }
  loop_.advance(minutes(1));
  EXPECT_LE(looks(), 310U);
  EXPECT_GE(looks(), 250U);
  loop_.advance(minutes(4));
  EXPECT_EQ(looks(), 1000U);
  // Where DNS says nothing, no more than these wait.
  dns_.asked.clear();
  dns_.silent = true;
  loop_.advance(hours(25));
  EXPECT_EQ(looks(), 50U);
}

// One owner with many domains leaves room for others.
TEST_F(MxWatchTest, OwnersShareTheList) {
  for (int i = 0; i < 1500; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".many.example";
    store(domain);
    dns_.set_mx(domain, {"x.example"});
  }
  store("z-last.example");
  dns_.set_mx("z-last.example", {"x.example"});
  loop_.advance(minutes(20));
  EXPECT_EQ(resolver_->mx_mismatch_count(), 1001U);
  EXPECT_EQ(resolver_->mx_mismatches("y", 10).size(), 1U);
}

TEST_F(MxWatchTest, WhatIsForgottenIsNotListed) {
  store("bad.example");
  dns_.set_mx("bad.example", {"x.example"});
  loop_.advance(minutes(1));
  ASSERT_EQ(resolver_->mx_mismatch_count(), 1U);
  tell_now_or_later(resolver_->forget(name("bad.example"), [](const cache::EntryPtr&) {}),
                    [](const cache::EntryPtr&) {});
  EXPECT_EQ(resolver_->mx_mismatch_count(), 0U);
}

// --- policies that end
// ----------------------------------------------------------------------------

TEST_F(MxWatchTest, APolicyThatEndsSoonAndCannotBeRefreshedIsCounted) {
  cache::Entry ends = entry();
  ends.policy->policy.max_age = hours(24 * 7);
  ends.due_at = loop_.wall() + hours(24);
  store_.put(name("ends.example"), ends);
  dns_.set_txt("ends.example", "v=STSv1; id=1;", Seconds(60));
  dns_.set_a("mta-sts.ends.example", "192.0.2.1");  // nothing is served there
  loop_.advance(hours(24 * 4));
  EXPECT_EQ(resolver_->ending_soon(), 0U);
  loop_.advance(hours(26));
  EXPECT_EQ(resolver_->ending_soon(), 1U);
  fetcher_.set_policy("ends.example",
                      "version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 604800\n");
  loop_.advance(hours(2));
  EXPECT_EQ(resolver_->ending_soon(), 0U);
}

}  // namespace
}  // namespace mtastsd::resolver
