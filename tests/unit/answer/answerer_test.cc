#include "mtastsd/answer/answerer.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "fakes/fake_loop.h"
#include "fakes/temp_dir.h"
#include "mtastsd/log/log.h"

// Counts what the answer path allocates and locks.
namespace {
thread_local bool counting = false;
thread_local int allocations = 0;
thread_local int locks = 0;
}  // namespace

// The linker sends all calls of our own code here (--wrap).
extern "C" int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
extern "C" int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  locks += counting ? 1 : 0;
  return __real_pthread_mutex_lock(mutex);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Declared by hand: GCC's packages lack the header.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void*,
                                                                             std::size_t),
                                                         void (*free_hook)(const volatile void*));
namespace {
void on_malloc(const volatile void*, std::size_t) {
  allocations += counting ? 1 : 0;
}
void on_free(const volatile void*) {}
[[maybe_unused]] const int kHooked = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}  // namespace
#else
// Not inlined: g++ 14 would take free() for the wrong end of a new.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations += counting ? 1 : 0;
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) {
    throw std::bad_alloc();
  }
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
#endif

namespace mtastsd::answer {
namespace {

using postfix::Profile;
using socketmap::Ticket;
using std::chrono::hours;

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

class RecordingAsker final : public Asker {
 public:
  void ask(const DomainName& domain, std::uint64_t question) override {
    asked.emplace_back(domain.str(), question);
  }
  void survey(const DomainName& domain, const dane::Target& target,
              std::uint64_t question) override {
    surveyed.emplace_back(domain.str() + " " + describe(target), question);
  }
  std::vector<std::pair<std::string, std::uint64_t>> asked;
  std::vector<std::pair<std::string, std::uint64_t>> surveyed;
};

class AnswererTest : public testing::Test {
 protected:
  AnswererTest() {
    options_.profiles = {{"postfix", Profile{}},
                         {"QUERYwithTLSRPT", Profile{true, true, false}},
                         {"strict", Profile{false, true, true}},
                         {"dane", Profile{.dane = true}},
                         {"observe", Profile{.dane = true, .observe = true}},
                         {"observe-only", Profile{.observe = true}},
                         {"daneWithTLSRPT", Profile{.report_attributes = true, .dane = true}}};
    open(true);
  }
  void open(bool commits) {
    answerer_.reset();
    store_.reset();
    cache::StoreOptions options;
    options.directory = dir_.path();
    options.commit = commits ? cache::StoreOptions::Commit::InBackground
                             : cache::StoreOptions::Commit::WhenAsked;
    store_ = std::move(*cache::LmdbStore::open(options, log_));
    answerer_ =
        std::make_unique<Answerer>(loop_, loop_, *store_, asker_, log_, counters_, options_);
    answerer_->set_reply([this](const Ticket& ticket, std::string_view text) {
      late_.emplace_back(ticket.request, text);
    });
  }

  cache::Entry entry(mtasts::Mode mode, Seconds max_age = Seconds(604800)) const {
    cache::Entry entry;
    entry.policy = cache::StoredPolicy{
        "a",
        {mode,
         max_age,
         {*mtasts::MxPattern::parse("mail.example.com"), *mtasts::MxPattern::parse("*.b.example")}},
        loop_.wall()};
    entry.txt_checked_at = loop_.wall();
    entry.recheck_at = loop_.wall() + Seconds(60);
    entry.last_used_at = loop_.wall();
    return entry;
  }
  void store(const std::string& domain, const cache::Entry& e) {
    store_->put(name(domain), e);
    ASSERT_TRUE(store_->flush(Milliseconds(20000)));
  }
  // The reply given at once, or "later".
  std::string ask(const std::string& request, std::uint64_t number = 1) {
    std::string reply;
    return answerer_->handle(request, Ticket{1, number}, reply) ? reply : "later";
  }
  resolver::Answer answer(const cache::Entry& e, bool fresh = false) {
    return {std::make_shared<const cache::Entry>(e), fresh};
  }

  test::TempDir dir_;
  test::FakeLoop loop_;
  Log log_ = Log::null();
  AnswerOptions options_;
  RecordingAsker asker_;
  Counters counters_;
  std::unique_ptr<cache::LmdbStore> store_;
  std::unique_ptr<Answerer> answerer_;
  std::vector<std::pair<std::uint64_t, std::string>> late_;
};

TEST_F(AnswererTest, ACachedPolicyIsAnsweredAtOnceByTheProfileOfTheMap) {
  store("example.com", entry(mtasts::Mode::Enforce));
  const std::string plain = "OK secure match=mail.example.com:.b.example servername=hostname";
  EXPECT_EQ(ask("postfix example.com"), plain);
  EXPECT_EQ(ask("postfix [Example.COM.]:587"), plain);
  EXPECT_EQ(ask("unknown example.com"), plain);
  EXPECT_EQ(ask("QUERYwithTLSRPT example.com"),
            plain +
                " policy_type=sts policy_domain=example.com"
                " { policy_string = version: STSv1 } { policy_string = mode: enforce }"
                " { policy_string = mx: mail.example.com } { policy_string = mx: *.b.example }"
                " { policy_string = max_age: 604800 }"
                " mx_host_pattern=mail.example.com mx_host_pattern=*.b.example");
  EXPECT_TRUE(asker_.asked.empty());
}

// --- DANE: RFC 8461 section 2 -----------------------------------------------------------------

cache::Entry with_dane(cache::Entry entry, dane::Ruling ruling, WallTime checked_at,
                       const dane::Target& target = {}) {
  set_dane(entry, {.target = target,
                   .facts = {ruling, ruling == dane::Ruling::Unknown ? WallTime{} : checked_at,
                             checked_at, checked_at + Seconds(300)}});
  return entry;
}

constexpr char kSecure[] = "OK secure match=mail.example.com:.b.example servername=hostname";

TEST_F(AnswererTest, WhereDaneAppliesAMapWithDaneIsAnsweredDaneOnly) {
  store("example.com",
        with_dane(entry(mtasts::Mode::Enforce), dane::Ruling::Applies, loop_.wall()));
  for (int i = 0; i < 3; ++i) {  // also from the memo
    EXPECT_EQ(ask("dane example.com"), "OK dane-only");
    EXPECT_EQ(ask("postfix example.com"), kSecure);
  }
  EXPECT_EQ(counters_.dane.value(), 3U);
  EXPECT_EQ(ask("daneWithTLSRPT example.com"),
            "OK dane-only policy_type=sts policy_domain=example.com"
            " { policy_string = version: STSv1 } { policy_string = mode: enforce }"
            " { policy_string = mx: mail.example.com } { policy_string = mx: *.b.example }"
            " { policy_string = max_age: 604800 }"
            " mx_host_pattern=mail.example.com mx_host_pattern=*.b.example");
  EXPECT_TRUE(asker_.asked.empty());
  EXPECT_TRUE(asker_.surveyed.empty());
}

TEST_F(AnswererTest, WhereDaneDoesNotApplyThePolicyIsTheAnswer) {
  store("example.com",
        with_dane(entry(mtasts::Mode::Enforce), dane::Ruling::DoesNotApply, loop_.wall()));
  EXPECT_EQ(ask("dane example.com"), kSecure);
  EXPECT_TRUE(asker_.surveyed.empty());
}

TEST_F(AnswererTest, WhatIsNotKnownOfDaneIsWaitedFor) {
  store("example.com", entry(mtasts::Mode::Enforce));
  EXPECT_EQ(ask("postfix example.com"), kSecure);
  EXPECT_EQ(ask("dane example.com", 7), "later");
  ASSERT_EQ(asker_.surveyed.size(), 1U);
  EXPECT_EQ(asker_.surveyed[0].first, "example.com MX hosts, port 25");
  answerer_->on_answer(
      asker_.surveyed[0].second,
      answer(with_dane(entry(mtasts::Mode::Enforce), dane::Ruling::Applies, loop_.wall())));
  ASSERT_EQ(late_.size(), 1U);
  EXPECT_EQ(late_[0].second, "OK dane-only");
}

TEST_F(AnswererTest, AtFirstContactDaneIsAskedForOnceThePolicyIsKnown) {
  EXPECT_EQ(ask("dane example.com", 7), "later");
  ASSERT_EQ(asker_.asked.size(), 1U);
  EXPECT_TRUE(asker_.surveyed.empty());
  // A policy that lives no longer than this delivery.
  const cache::Entry found = entry(mtasts::Mode::Enforce, Seconds(0));
  answerer_->on_answer(asker_.asked[0].second, answer(found, true));
  ASSERT_EQ(asker_.surveyed.size(), 1U);
  EXPECT_TRUE(late_.empty());
  loop_.advance(Milliseconds(5000));
  answerer_->on_answer(asker_.surveyed[0].second,
                       answer(with_dane(found, dane::Ruling::Applies, loop_.wall())));
  ASSERT_EQ(late_.size(), 1U);
  EXPECT_EQ(late_[0].second, "OK dane-only");
}

TEST_F(AnswererTest, APolicyThatEndsDuringItsSurveyIsStillApplied) {
  const cache::Entry found = entry(mtasts::Mode::Enforce, Seconds(3));
  store("known.example", found);
  ask("dane known.example", 1);
  loop_.advance(Milliseconds(5000));
  answerer_->on_answer(asker_.surveyed.at(0).second, answer(found));
  ASSERT_EQ(late_.size(), 1U);
  EXPECT_EQ(late_[0].second, kSecure);
  // What the resolver had, not fetched for the query.
  ask("dane new.example", 2);
  const cache::Entry had = entry(mtasts::Mode::Enforce, Seconds(3));
  answerer_->on_answer(asker_.asked.at(0).second, answer(had));
  loop_.advance(Milliseconds(5000));
  answerer_->on_answer(asker_.surveyed.at(1).second, answer(had));
  ASSERT_EQ(late_.size(), 2U);
  EXPECT_EQ(late_[1].second, kSecure);
}

TEST_F(AnswererTest, DomainsWithoutAnEnforcedPolicyCostNoSurvey) {
  store("testing.example", entry(mtasts::Mode::Testing));
  store("none.example", entry(mtasts::Mode::None));
  cache::Entry nothing;
  nothing.no_policy_reason = cache::NoPolicyReason::NoRecord;
  nothing.txt_checked_at = loop_.wall();
  nothing.recheck_at = loop_.wall() + Seconds(60);
  store("plain.example", nothing);
  for (const char* domain : {"testing.example", "none.example", "plain.example"}) {
    EXPECT_EQ(ask(std::string("dane ") + domain), "NOTFOUND ") << domain;
  }
  ask("dane new.example");
  answerer_->on_answer(asker_.asked.at(0).second, answer(nothing));
  EXPECT_EQ(late_.at(0).second, "NOTFOUND ");
  EXPECT_TRUE(asker_.surveyed.empty());
}

TEST_F(AnswererTest, WhenDaneCannotBeFoundOutThePolicyIsApplied) {
  store("example.com", entry(mtasts::Mode::Enforce));
  // The survey failed.
  ask("dane example.com", 1);
  answerer_->on_answer(
      asker_.surveyed.at(0).second,
      answer(with_dane(entry(mtasts::Mode::Enforce), dane::Ruling::Unknown, loop_.wall())));
  EXPECT_EQ(late_.at(0).second, kSecure);
  // There was no room for it.
  ask("dane example.com", 2);
  answerer_->on_answer(asker_.surveyed.at(1).second, answer(entry(mtasts::Mode::Enforce)));
  EXPECT_EQ(late_.at(1).second, kSecure);
  // It is late.
  ask("dane example.com", 3);
  loop_.advance(Milliseconds(20001));
  EXPECT_EQ(late_.at(2).second, kSecure);
}

TEST_F(AnswererTest, WhatWasKnownOfDaneStandsForAWeek) {
  const WallTime known_at = loop_.wall();
  cache::Entry known = entry(mtasts::Mode::Enforce, Seconds(30 * 86400));
  known = with_dane(known, dane::Ruling::Applies, known_at);
  loop_.advance(hours(24 * 6));
  known.recheck_at = loop_.wall() + hours(1);
  store("example.com", known);
  EXPECT_EQ(ask("dane example.com", 1), "later");
  loop_.advance(Milliseconds(20001));
  EXPECT_EQ(late_.at(0).second, "OK dane-only");
}

TEST_F(AnswererTest, DaneIsRenewedInTheBackground) {
  cache::Entry known = entry(mtasts::Mode::Enforce);
  known.recheck_at = loop_.wall() + hours(10);
  store("example.com", with_dane(known, dane::Ruling::Applies, loop_.wall()));
  ask("dane example.com");
  loop_.advance(Seconds(299));
  EXPECT_EQ(ask("dane example.com"), "OK dane-only");
  EXPECT_TRUE(asker_.surveyed.empty());
  loop_.advance(Seconds(1));
  EXPECT_EQ(ask("dane example.com"), "OK dane-only");
  EXPECT_EQ(ask("dane example.com"), "OK dane-only");
  ASSERT_EQ(asker_.surveyed.size(), 1U);
  EXPECT_EQ(asker_.surveyed[0].second, 0U);  // nobody waits
  EXPECT_EQ(ask("postfix example.com"), kSecure);
  EXPECT_TRUE(asker_.asked.empty());
}

TEST_F(AnswererTest, EachNextHopHasADaneOfItsOwn) {
  const cache::Entry known = with_dane(entry(mtasts::Mode::Enforce), dane::Ruling::Applies,
                                       loop_.wall(), {.by_mx = false, .port = 587});
  store("example.com", known);
  EXPECT_EQ(ask("dane [example.com]:587"), "OK dane-only");
  EXPECT_EQ(ask("dane [example.com]:submission"), "OK dane-only");
  EXPECT_EQ(ask("dane example.com:587"), "later");
  EXPECT_EQ(ask("dane [example.com]"), "later");
  ASSERT_EQ(asker_.surveyed.size(), 2U);
  EXPECT_EQ(asker_.surveyed[0].first, "example.com MX hosts, port 587");
  EXPECT_EQ(asker_.surveyed[1].first, "example.com the host itself, port 25");
}

overrides::Override override_of(const std::string& scope, overrides::Action action) {
  return {.scope = *overrides::Scope::parse(scope), .action = action, .reason = "why"};
}

// --- maps that only observe -------------------------------------------------------------------

TEST_F(AnswererTest, AMapThatObservesIsToldNotFoundAndAllElseIsAsEver) {
  store("example.com",
        with_dane(entry(mtasts::Mode::Enforce), dane::Ruling::Applies, loop_.wall()));
  store("testing.example", entry(mtasts::Mode::Testing));
  for (int i = 0; i < 3; ++i) {  // every one is counted, and none comes from the memo
    EXPECT_EQ(ask("observe example.com"), "NOTFOUND ");
    EXPECT_EQ(ask("observe testing.example"), "NOTFOUND ");
    EXPECT_EQ(ask("dane example.com"), "OK dane-only");
  }
  EXPECT_EQ(counters_.observed.value(), 3U);
  EXPECT_EQ(counters_.dane.value(), 3U);
  EXPECT_EQ(counters_.not_enforced.value(), 3U);
  // What is not known is found out, and DANE is surveyed.
  EXPECT_EQ(ask("observe new.example", 7), "later");
  answerer_->on_answer(asker_.asked.at(0).second, answer(entry(mtasts::Mode::Enforce)));
  EXPECT_TRUE(late_.empty());
  answerer_->on_answer(
      asker_.surveyed.at(0).second,
      answer(with_dane(entry(mtasts::Mode::Enforce), dane::Ruling::DoesNotApply, loop_.wall())));
  ASSERT_EQ(late_.size(), 1U);
  EXPECT_EQ(late_[0].second, "NOTFOUND ");
  const ObservedSum sum = answerer_->observed();
  ASSERT_EQ(sum.domains.size(), 2U);
  EXPECT_EQ(sum.domains[0].mails + sum.domains[1].mails, 4U);
  EXPECT_EQ(sum.left_out, 0U);
}

TEST_F(AnswererTest, AMapThatObservesIsToldNotFoundUnderAnOverrideToo) {
  store("example.com", entry(mtasts::Mode::Enforce));
  answerer_->set_overrides(
      overrides::make_table({override_of("example.com", overrides::Action::Dane)}));
  EXPECT_EQ(ask("postfix example.com"), "OK dane-only");
  EXPECT_EQ(ask("observe example.com"), "NOTFOUND ");
  EXPECT_EQ(counters_.observed.value(), 1U);
  answerer_->set_overrides(
      overrides::make_table({override_of("example.com", overrides::Action::Ignore)}));
  EXPECT_EQ(ask("observe example.com"), "NOTFOUND ");
  EXPECT_EQ(counters_.observed.value(), 1U) << "a map that enforces would be told the same";
}

TEST_F(AnswererTest, AReloadEndsObserving) {
  store("example.com", entry(mtasts::Mode::Enforce));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask("postfix example.com"), kSecure);
  }
  options_.profiles["postfix"].observe = true;
  answerer_->set_options(options_);
  EXPECT_EQ(ask("postfix example.com"), "NOTFOUND ");
  options_.profiles["postfix"].observe = false;
  answerer_->set_options(options_);
  EXPECT_EQ(ask("postfix example.com"), kSecure);
}

// --- overrides --------------------------------------------------------------------------------

TEST_F(AnswererTest, AnOverrideDecidesFromTheNextAnswerOn) {
  store("example.com", entry(mtasts::Mode::Enforce));
  store("other.example", entry(mtasts::Mode::Enforce));
  for (int i = 0; i < 3; ++i) {  // now it is in the memo
    EXPECT_EQ(ask("postfix example.com"), kSecure);
  }
  answerer_->set_overrides(
      overrides::make_table({override_of("example.com", overrides::Action::Ignore)}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask("postfix example.com"), "NOTFOUND ");
    EXPECT_EQ(ask("postfix other.example"), kSecure);
  }
  EXPECT_EQ(counters_.overridden.value(), 3U);
  EXPECT_EQ(counters_.enforced.value(), 6U);
  answerer_->set_overrides(nullptr);
  EXPECT_EQ(ask("postfix example.com"), kSecure);
}

TEST_F(AnswererTest, EveryQueryForATracedDomainIsSeenAndNoOther) {
  store("example.com", entry(mtasts::Mode::Enforce));
  store("other.example", entry(mtasts::Mode::Enforce));
  const auto ask_both = [&] {
    EXPECT_EQ(ask("postfix example.com"), kSecure);
    EXPECT_EQ(ask("postfix other.example"), kSecure);
  };
  for (int i = 0; i < 3; ++i) {  // now they are in the memo
    ask_both();
  }
  std::vector<std::string> seen;
  const auto watcher = log_.watch(LogLevel::Trace, [&](const EventRow& row, Log::Fields fields) {
    seen.push_back(std::string(row.key) + " " + std::string(fields.begin()->text));
  });
  ask_both();
  EXPECT_TRUE(seen.empty()) << "nothing is traced";
  answerer_->set_traced(std::make_shared<const std::vector<DomainName>>(1, name("example.com")));
  for (int i = 0; i < 4; ++i) {
    ask_both();
  }
  EXPECT_EQ(seen.size(), 8U);
  EXPECT_EQ(seen.at(6), "query_received example.com");
  EXPECT_EQ(seen.at(7), "query_answered example.com");
  answerer_->set_traced(nullptr);
  seen.clear();
  ask_both();
  EXPECT_TRUE(seen.empty());
}

TEST_F(AnswererTest, EachActionHasItsReplyWhateverIsKnown) {
  using overrides::Action;
  overrides::Override pin = override_of("pin.example", Action::Pin);
  pin.mx = {*mtasts::MxPattern::parse("mx.p.example"), *mtasts::MxPattern::parse("*.q.example")};
  answerer_->set_overrides(overrides::make_table({override_of("ignore.example", Action::Ignore),
                                                  override_of("testing.example", Action::Testing),
                                                  override_of("dane.example", Action::Dane), pin}));
  for (const bool known : {false, true}) {
    for (const char* map : {"postfix", "strict", "dane", "QUERYwithTLSRPT"}) {
      const std::string name = std::string(map) + " ";
      EXPECT_EQ(ask(name + "ignore.example"), "NOTFOUND ");
      EXPECT_EQ(ask(name + "testing.example"), "NOTFOUND ");
      EXPECT_EQ(ask(name + "dane.example"), "OK dane-only");
      EXPECT_EQ(ask(name + "pin.example"),
                std::string("OK secure match=mx.p.example:.q.example") +
                    (options_.profiles[map].servername ? " servername=hostname" : ""));
    }
    if (!known) {
      store("ignore.example", entry(mtasts::Mode::Enforce));
      store("testing.example", entry(mtasts::Mode::Testing));
      store("dane.example", entry(mtasts::Mode::Enforce));
      store("pin.example", entry(mtasts::Mode::None));
    }
  }
}

// So its policy is there when the override ends.
TEST_F(AnswererTest, UnderAnOverrideTheResolverIsToldAndNotWaitedFor) {
  answerer_->set_overrides(
      overrides::make_table({override_of("*.example", overrides::Action::Ignore)}));
  EXPECT_EQ(ask("postfix a.example"), "NOTFOUND ");
  ASSERT_EQ(asker_.asked.size(), 1U);
  EXPECT_EQ(asker_.asked[0], (std::pair<std::string, std::uint64_t>("a.example", 0)));
  EXPECT_EQ(ask("postfix a.example"), "NOTFOUND ");
  EXPECT_EQ(asker_.asked.size(), 1U);
  EXPECT_EQ(ask("postfix example"), "NOTFOUND ");
}

TEST_F(AnswererTest, ThePolicyCountsAgainWhenTheOverrideEnds) {
  cache::Entry known = entry(mtasts::Mode::Enforce);
  known.recheck_at = loop_.wall() + hours(1);
  store("example.com", known);
  overrides::Override one = override_of("example.com", overrides::Action::Ignore);
  one.until = loop_.wall() + Seconds(30);
  answerer_->set_overrides(overrides::make_table({one}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask("postfix example.com"), "NOTFOUND ");
  }
  loop_.advance(Seconds(29));
  EXPECT_EQ(ask("postfix example.com"), "NOTFOUND ");
  loop_.advance(Seconds(1));
  EXPECT_EQ(ask("postfix example.com"), kSecure);
}

TEST_F(AnswererTest, WhoWaitsIsAnsweredByTheOverrideThatCameMeanwhile) {
  EXPECT_EQ(ask("postfix example.com", 7), "later");
  answerer_->set_overrides(
      overrides::make_table({override_of("example.com", overrides::Action::Dane)}));
  answerer_->on_answer(asker_.asked.at(0).second, answer(entry(mtasts::Mode::Enforce)));
  ASSERT_EQ(late_.size(), 1U);
  EXPECT_EQ(late_[0].second, "OK dane-only");
  answerer_->set_overrides(nullptr);
  EXPECT_EQ(ask("postfix late.example", 8), "later");
  answerer_->set_overrides(
      overrides::make_table({override_of("late.example", overrides::Action::Dane)}));
  loop_.advance(Milliseconds(20001));
  ASSERT_EQ(late_.size(), 2U);
  EXPECT_EQ(late_[1].second, "OK dane-only");
}

TEST_F(AnswererTest, KeysThatNameNoDomainAskNobody) {
  for (const char* key :
       {".example.com", "[192.0.2.1]:25", "192.0.2.1", "com", "", "a b.example"}) {
    EXPECT_EQ(ask(std::string("postfix ") + key), "NOTFOUND ") << key;
  }
  EXPECT_EQ(ask("postfix"), "NOTFOUND ");
  EXPECT_EQ(ask(""), "NOTFOUND ");
  EXPECT_TRUE(asker_.asked.empty());
}

TEST_F(AnswererTest, ModeTestingIsEnforcedOnlyWhereTheProfileSaysSo) {
  store("testing.example", entry(mtasts::Mode::Testing));
  store("none.example", entry(mtasts::Mode::None));
  EXPECT_EQ(ask("postfix testing.example"), "NOTFOUND ");
  EXPECT_TRUE(ask("strict testing.example").starts_with("OK secure match="));
  EXPECT_EQ(ask("strict none.example"), "NOTFOUND ");
}

TEST_F(AnswererTest, AnUnknownDomainWaitsForTheResolver) {
  EXPECT_EQ(ask("postfix example.com", 7), "later");
  ASSERT_EQ(asker_.asked.size(), 1U);
  answerer_->on_answer(asker_.asked[0].second, answer(entry(mtasts::Mode::Enforce)));
  ASSERT_EQ(late_.size(), 1U);
  EXPECT_EQ(late_[0].first, 7U);
  EXPECT_TRUE(late_[0].second.starts_with("OK secure match="));
}

TEST_F(AnswererTest, AFreshPolicyOfNoLengthIsGoodForWhoWaitedForIt) {
  ask("postfix example.com");
  answerer_->on_answer(asker_.asked[0].second,
                       answer(entry(mtasts::Mode::Enforce, Seconds(0)), true));
  EXPECT_TRUE(late_[0].second.starts_with("OK secure match="));
}

TEST_F(AnswererTest, OverloadIsNotFound) {
  ask("postfix example.com");
  answerer_->on_answer(asker_.asked[0].second, resolver::Answer{});
  EXPECT_EQ(late_[0].second, "NOTFOUND ");
}

// RFC 8461 section 5.1: mail is not held up for a policy that cannot be had.
TEST_F(AnswererTest, AfterTheTimeoutTheBestThatIsKnownIsTheAnswer) {
  ask("postfix slow.example", 1);
  ask("postfix cached.example", 2);
  store("cached.example", entry(mtasts::Mode::Enforce));
  loop_.advance(Milliseconds(19999));
  EXPECT_TRUE(late_.empty());
  loop_.advance(Milliseconds(1));
  ASSERT_EQ(late_.size(), 2U);
  EXPECT_EQ(late_[0], (std::pair<std::uint64_t, std::string>{1, "NOTFOUND "}));
  EXPECT_TRUE(late_[1].second.starts_with("OK secure match="));
  // What the resolver says now comes too late, and is dropped.
  answerer_->on_answer(asker_.asked[0].second, answer(entry(mtasts::Mode::Enforce)));
  EXPECT_EQ(late_.size(), 2U);
  EXPECT_EQ(answerer_->waiting(), 0U);
  EXPECT_EQ(counters_.timed_out.value(), 2U);
}

// A disk may refuse the commit for hours, and the resolver be busy.
TEST_F(AnswererTest, WhatWaitsForItsCommitIsAnsweredAtOnce) {
  for (const char* domain : {"over.example", "off.example", "gone.example", "new.example"}) {
    cache::Entry old = entry(mtasts::Mode::Enforce);
    old.policy->policy.mx = {*mtasts::MxPattern::parse("old.example.com")};
    store(domain, old);
  }
  open(false);
  store_->put(name("over.example"), entry(mtasts::Mode::Enforce, Seconds(1)));
  store_->put(name("off.example"), entry(mtasts::Mode::None));
  store_->erase(name("gone.example"));
  store_->put(name("new.example"), entry(mtasts::Mode::Enforce));
  EXPECT_EQ(ask("postfix off.example"), "NOTFOUND ");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(ask("postfix new.example"),
              "OK secure match=mail.example.com:.b.example servername=hostname");
  }
  EXPECT_TRUE(asker_.asked.empty());
  EXPECT_EQ(ask("postfix gone.example", 1), "later");
  loop_.advance(Seconds(2));
  EXPECT_EQ(ask("postfix over.example", 2), "later");
  loop_.advance(Seconds(20));
  ASSERT_EQ(late_.size(), 2U);
  EXPECT_EQ(late_[0].second, "NOTFOUND ");
  EXPECT_EQ(late_[1].second, "NOTFOUND ");
}

TEST_F(AnswererTest, EachQuestionHasADeadlineOfItsOwn) {
  ask("postfix one.example", 1);
  loop_.advance(Seconds(5));
  ask("postfix two.example", 2);
  answerer_->on_answer(asker_.asked[0].second, resolver::Answer{});
  late_.clear();
  loop_.advance(Seconds(19));
  EXPECT_TRUE(late_.empty());
  loop_.advance(Seconds(1));
  ASSERT_EQ(late_.size(), 1U);
  EXPECT_EQ(late_[0].first, 2U);
}

TEST_F(AnswererTest, ADueCheckIsToldToTheResolverOnceAndDelaysNothing) {
  store("example.com", entry(mtasts::Mode::Enforce));
  loop_.advance(Seconds(61));
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(ask("postfix example.com").starts_with("OK secure"));
  }
  ASSERT_EQ(asker_.asked.size(), 1U);
  EXPECT_EQ(asker_.asked[0].second, 0U);  // nobody waits
  loop_.advance(Seconds(5));
  ask("postfix example.com");
  EXPECT_EQ(asker_.asked.size(), 2U);
}

TEST_F(AnswererTest, AnExpiredPolicyIsNotServed) {
  store("example.com", entry(mtasts::Mode::Enforce, Seconds(100)));
  loop_.advance(Seconds(99));
  EXPECT_TRUE(ask("postfix example.com").starts_with("OK secure"));
  loop_.advance(Seconds(1));
  EXPECT_EQ(ask("postfix example.com"), "later");
}

// What was answered once is known from then on without the cache; none of these may be missed.
class RepeatedTest : public AnswererTest {
 protected:
  // A policy whose record is not to be looked at again for long, asked for twice.
  void ask_repeatedly(mtasts::Mode mode, Seconds max_age, const std::string& expected) {
    cache::Entry e = entry(mode, max_age);
    e.recheck_at = loop_.wall() + Seconds(200000);
    store("example.com", e);
    for (int i = 0; i < 3; ++i) {  // twice from the cache
      EXPECT_EQ(ask("postfix example.com"), expected);
    }
    EXPECT_TRUE(asker_.asked.empty());
  }
  void ask_repeatedly() { ask_repeatedly(mtasts::Mode::Enforce, Seconds(604800), kSecure); }

  const std::string kSecure = "OK secure match=mail.example.com:.b.example servername=hostname";
};

TEST_F(RepeatedTest, CountsAsTheFirstTime) {
  ask_repeatedly();
  EXPECT_EQ(counters_.queries.value(), 3U);
  EXPECT_EQ(counters_.enforced.value(), 3U);
  store("example.com", entry(mtasts::Mode::Testing));
  for (int i = 0; i < 3; ++i) {
    ask("postfix example.com");
  }
  EXPECT_EQ(counters_.not_enforced.value(), 3U);
}

TEST_F(RepeatedTest, ANewPolicyIsApplied) {
  ask_repeatedly(mtasts::Mode::None, Seconds(604800), "NOTFOUND ");
  cache::Entry e = entry(mtasts::Mode::Enforce);
  e.policy->policy.mx = {*mtasts::MxPattern::parse("new.example.com")};
  store_->put(name("example.com"), e);
  EXPECT_EQ(ask("postfix example.com"), "OK secure match=new.example.com servername=hostname");
  store("example.com", e);
  EXPECT_EQ(ask("postfix example.com"), "OK secure match=new.example.com servername=hostname");
}

TEST_F(RepeatedTest, OneThatWasForgottenIsAskedFor) {
  ask_repeatedly();
  store_->erase(name("example.com"));
  ASSERT_TRUE(store_->flush(Milliseconds(20000)));
  EXPECT_EQ(ask("postfix example.com"), "later");
}

TEST_F(RepeatedTest, AnExpiredPolicyIsNotServed) {
  ask_repeatedly(mtasts::Mode::Enforce, Seconds(100), kSecure);
  loop_.advance(Seconds(99));
  EXPECT_EQ(ask("postfix example.com"), kSecure);
  loop_.advance(Seconds(1));
  EXPECT_EQ(ask("postfix example.com"), "later");
}

TEST_F(RepeatedTest, ADueCheckIsToldToTheResolver) {
  cache::Entry e = entry(mtasts::Mode::Enforce);
  store("example.com", e);
  ask("postfix example.com");
  ask("postfix example.com");
  loop_.advance(Seconds(59));
  ask("postfix example.com");
  EXPECT_TRUE(asker_.asked.empty());
  loop_.advance(Seconds(1));
  EXPECT_EQ(ask("postfix example.com"), kSecure);
  EXPECT_EQ(asker_.asked.size(), 1U);
}

TEST_F(RepeatedTest, AUseIsNotedDaily) {
  ask_repeatedly();
  loop_.advance(Seconds(86400));
  EXPECT_EQ(ask("postfix example.com"), kSecure);
  EXPECT_EQ(asker_.asked.size(), 1U);
}

TEST_F(RepeatedTest, NoPolicyIsAskedForWhenItsTimeIsOver) {
  cache::Entry absent;
  absent.txt_checked_at = loop_.wall();
  absent.recheck_at = loop_.wall() + Seconds(600);
  store("plain.example", absent);
  EXPECT_EQ(ask("postfix plain.example"), "NOTFOUND ");
  EXPECT_EQ(ask("postfix plain.example"), "NOTFOUND ");
  loop_.advance(Seconds(599));
  EXPECT_EQ(ask("postfix plain.example"), "NOTFOUND ");
  EXPECT_TRUE(asker_.asked.empty());
  loop_.advance(Seconds(1));
  EXPECT_EQ(ask("postfix plain.example"), "later");
}

TEST_F(RepeatedTest, AClockThatIsSetBackIsNoticed) {
  ask_repeatedly();
  loop_.set_wall(loop_.wall() - Seconds(100));
  EXPECT_EQ(ask("postfix example.com"), kSecure);
  EXPECT_EQ(asker_.asked.size(), 1U);  // checked in the future: to be looked at again
}

TEST_F(RepeatedTest, OtherProfilesAnswerDifferently) {
  ask_repeatedly(mtasts::Mode::Testing, Seconds(604800), "NOTFOUND ");
  options_.profiles["postfix"].enforce_testing = true;
  answerer_->set_options(options_);
  EXPECT_TRUE(ask("postfix example.com").starts_with("OK secure match="));
}

TEST_F(AnswererTest, AtAStopAllWhoWaitAreAnswered) {
  ask("postfix one.example", 1);
  ask("postfix two.example", 2);
  answerer_->answer_all_now();
  EXPECT_EQ(late_.size(), 2U);
  loop_.advance(Seconds(100));
  EXPECT_EQ(late_.size(), 2U);
}

TEST_F(AnswererTest, TheCountersCount) {
  counting = true;
  const auto buffer = std::make_unique<std::string>(1000, 'x');
  std::mutex mutex;
  { const std::lock_guard lock(mutex); }
  counting = false;
  EXPECT_GE(std::exchange(allocations, 0), 2);
  EXPECT_EQ(std::exchange(locks, 0), 1);
}

TEST_F(AnswererTest, WhatIsKnownIsAnsweredWithoutAllocatingOrLocking) {
  store("example.com", entry(mtasts::Mode::Enforce));
  store("relay.example.com", entry(mtasts::Mode::Enforce));
  cache::Entry absent;
  absent.txt_checked_at = loop_.wall();
  absent.recheck_at = loop_.wall() + Seconds(600);
  store("plain.example", absent);
  std::string reply;
  for (const char* request :
       {"postfix example.com", "QUERYwithTLSRPT example.com", "postfix plain.example",
        "postfix [relay.Example.COM]:587", "postfix .example.com", "unknown example.com",
        "observe-only example.com", "observe-only plain.example"}) {
    for (int round = 0; round < 6; ++round) {
      if (round == 3) {
        answerer_->set_options(options_);  // nothing is known without the cache any more
      }
      reply.clear();
      allocations = 0;
      locks = 0;
      counting = round > 0;  // the first one makes the buffers
      const bool known = answerer_->handle(request, Ticket{}, reply);
      counting = false;
      EXPECT_TRUE(known) << request;
      EXPECT_EQ(allocations, 0) << request;
      EXPECT_EQ(locks, 0) << request;
    }
  }
}

}  // namespace
}  // namespace mtastsd::answer
