#include "mtastsd/resolver/resolver.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "fakes/fake_dialer.h"
#include "fakes/fake_dns.h"
#include "fakes/fake_fetcher.h"
#include "fakes/fake_loop.h"
#include "fakes/memory_store.h"
#include "fakes/networks.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/discovery/discovery.h"
#include "mtastsd/log/log.h"

namespace mtastsd::resolver {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

std::string body(const std::string& mode, const std::string& mx, int max_age = 604800) {
  return "version: STSv1\nmode: " + mode + "\nmx: " + mx + "\nmax_age: " + std::to_string(max_age) +
         "\n";
}

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

// The real resolver on virtual time, with scripted DNS and HTTPS and a map for a cache.
dns::Addresses addresses(const std::vector<std::string>& texts) {
  dns::Addresses found{{}, Seconds(60)};
  for (const std::string& text : texts) {
    found.addresses.push_back(*IpAddress::parse(text));
  }
  return found;
}

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() { restart(); }

  void restart() { restart(log_); }
  void restart(Log& log) {
    resolver_ = std::make_unique<Resolver>(
        Services{loop_, loop_, discovery_, store_, log, [] { return 0.5; }}, options_);
  }

  void publish(const std::string& domain, const std::string& id, const std::string& policy,
               Seconds ttl = Seconds(60)) {
    dns_.set_txt(domain, "v=STSv1; id=" + id + ";", ttl);
    dns_.set_a("mta-sts." + domain, "192.0.2.1");
    fetcher_.set_policy(domain, policy);
  }

  // Asks and forgets the ticket; `tell` gets the answer now or later.
  void ask(const std::string& domain, const std::function<void(const Answer&)>& tell) {
    tell_now_or_later(resolver_->ask(name(domain), tell), tell);
  }

  // Asks as an answering thread does, and gives the standing and the first pattern.
  std::string ask(const std::string& domain) {
    std::string result = "no answer";
    ask(domain, [&](const Answer& answer) { result = describe(answer); });
    for (int i = 0; i < 100 && result == "no answer"; ++i) {
      loop_.advance(Milliseconds(1000));
    }
    return result;
  }

  std::string describe(const Answer& answer) const {
    const auto& entry = answer.entry;
    const Standing known = judge(facts_of(*entry), loop_.wall()).standing;
    const bool enforced = entry->policy && entry->policy->policy.mode == mtasts::Mode::Enforce &&
                          (answer.fresh || known == Standing::Enforced);
    return enforced ? entry->policy->policy.mx.front().str() : "NOTFOUND";
  }

  // How many of the lines that loud_ logs meanwhile have the text in them.
  int lines_logged(const std::function<void()>& meanwhile, const std::string& text) {
    testing::internal::CaptureStderr();
    meanwhile();
    loud_.flush();
    std::istringstream lines(testing::internal::GetCapturedStderr());
    int count = 0;
    for (std::string line; std::getline(lines, line);) {
      count += line.find(text) != std::string::npos ? 1 : 0;
    }
    return count;
  }

  test::FakeLoop loop_;
  test::FakeDns dns_{loop_};
  test::FakeDialer dialer_{loop_};
  test::FakeFetcher fetcher_{loop_};
  test::MemoryStore store_;
  Log log_ = Log::null();
  Log loud_{LogOptions{}};
  Options options_;
  discovery::Discovery discovery_{{loop_, dns_, dialer_, fetcher_},
                                  {.allow_networks = test::documentation_networks()}};
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverTest, ANewDomainIsDiscoveredAndItsPolicyFetched) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
  EXPECT_EQ(dns_.asked,
            (std::vector<std::string>{"TXT _mta-sts.example.com", "A mta-sts.example.com",
                                      "AAAA mta-sts.example.com"}));
  EXPECT_EQ(fetcher_.fetched, (std::vector<std::string>{"mta-sts.example.com"}));
}

TEST_F(ResolverTest, AllWhoAskForADomainShareOneResolution) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    ask("example.com",
        [&](const Answer& answer) { answered += describe(answer) == "mail.example.com" ? 1 : 0; });
  }
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(answered, 50);
  EXPECT_EQ(fetcher_.fetched.size(), 1U);
  EXPECT_EQ(dns_.asked.size(), 3U);
}

TEST_F(ResolverTest, ADomainWithoutRecordCostsOneQuestionUntilItsNegativeTtlIsOver) {
  EXPECT_EQ(ask("plain.example"), "NOTFOUND");
  loop_.advance(minutes(4));
  EXPECT_EQ(ask("plain.example"), "NOTFOUND");
  EXPECT_EQ(dns_.asked.size(), 1U);
  loop_.advance(minutes(2));
  EXPECT_EQ(ask("plain.example"), "NOTFOUND");
  EXPECT_EQ(dns_.asked.size(), 2U);
  EXPECT_TRUE(fetcher_.fetched.empty());
}

// RFC 8461 section 3.3, and the case "txt-lost": absence, failure and faults of DNS and
// HTTPS leave a policy in force until its max_age is over, also over a restart.
TEST_F(ResolverTest, AnEnforcedPolicyOutlivesAllFaultsUntilItExpires) {
  publish("example.com", "1", body("enforce", "mail.example.com", 86400));
  ASSERT_EQ(ask("example.com"), "mail.example.com");
  const WallTime end = loop_.wall() + hours(24) - Seconds(5);
  fetcher_.fail("example.com", https::ErrorKind::Connect);
  const std::vector<std::function<void()>> faults = {
      [&] { dns_.remove_txt("example.com"); },
      [&] { dns_.fail_txt("example.com", dns::ErrorKind::ServFail); },
      [&] { dns_.fail_txt("example.com", dns::ErrorKind::Timeout); },
      [&] { dns_.set_txt("example.com", "v=STSv1; bogus", Seconds(60)); },
      [&] { dns_.set_txt("example.com", "v=STSv1; id=2;", Seconds(60)); },
      [&] { restart(); },
  };
  for (std::size_t i = 0; loop_.wall() + minutes(10) < end; ++i) {
    faults[i % faults.size()]();
    loop_.advance(minutes(7));
    ASSERT_EQ(ask("example.com"), "mail.example.com") << "fault " << i % faults.size();
  }
  loop_.advance(minutes(20));
  EXPECT_EQ(ask("example.com"), "NOTFOUND");
}

TEST_F(ResolverTest, AnUnchangedIdIsCheckedButNotFetchedAgain) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ask("example.com");
  for (int i = 0; i < 30; ++i) {
    loop_.advance(minutes(2));
    EXPECT_EQ(ask("example.com"), "mail.example.com");
  }
  EXPECT_EQ(fetcher_.fetched.size(), 1U);
  EXPECT_GT(dns_.asked.size(), 25U);
}

// RFC 8461 section 5.1: a deferred mail's next retry sees the new policy.
TEST_F(ResolverTest, ANewIdIsSeenWithinTheRecheckTimeEvenWithoutAQueryInBetween) {
  publish("example.com", "1", body("testing", "mail.example.com"), Seconds(1));
  EXPECT_EQ(ask("example.com"), "NOTFOUND");
  publish("example.com", "2", body("enforce", "new.example.com"), Seconds(1));
  loop_.advance(Seconds(70));
  EXPECT_EQ(ask("example.com"), "new.example.com");
}

TEST_F(ResolverTest, AFollowUpCheckIsMadeOnceNotForEver) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ask("example.com");
  const std::size_t before = dns_.asked.size();
  loop_.advance(hours(10));
  EXPECT_EQ(dns_.asked.size(), before + 1);
}

TEST_F(ResolverTest, AFailedFetchIsNotRepeatedForTheSameIdButANewOneGoesAtOnce) {
  publish("example.com", "1", body("enforce", "mail.example.com"), Seconds(1));
  fetcher_.fail("example.com", https::ErrorKind::Certificate);
  EXPECT_EQ(ask("example.com"), "NOTFOUND");
  for (int i = 0; i < 3; ++i) {
    loop_.advance(Seconds(70));
    EXPECT_EQ(ask("example.com"), "NOTFOUND");
  }
  EXPECT_EQ(fetcher_.fetched.size(), 1U);
  publish("example.com", "2", body("enforce", "mail.example.com"), Seconds(1));
  loop_.advance(Seconds(70));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
}

TEST_F(ResolverTest, AnInvalidPolicyIsNoOptOut) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ask("example.com");
  publish("example.com", "2", "version: STSv1\nmode: None\nmax_age: 86400\n");
  loop_.advance(hours(20));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
}

// RFC 8461 section 10.2: with no mail in between, the policy is fetched again daily.
TEST_F(ResolverTest, PoliciesAreRefreshedDailyWithoutQueries) {
  publish("example.com", "1", body("enforce", "mail.example.com", 172800));
  ask("example.com");
  loop_.advance(Seconds(170000));
  EXPECT_GE(fetcher_.fetched.size(), 2U);
  dns_.fail_txt("example.com", dns::ErrorKind::Timeout);
  fetcher_.fail("example.com", https::ErrorKind::Connect);
  loop_.advance(Seconds(30000));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
}

TEST_F(ResolverTest, UnusedPoliciesAreNotRefreshedAndGoWhenTheyExpire) {
  publish("example.com", "1", body("enforce", "mail.example.com", 604800));
  ask("example.com");
  loop_.advance(hours(24 * 31));
  const std::size_t fetched = fetcher_.fetched.size();
  EXPECT_GE(fetched, 28U);
  EXPECT_LE(fetched, 40U);
  loop_.advance(hours(24 * 9));
  EXPECT_LE(fetcher_.fetched.size(), fetched + 1);
  ASSERT_EQ(store_.entries.size(), 1U);
  EXPECT_FALSE(store_.entries.begin()->second->holds_policy());
  loop_.advance(hours(24 * 8));
  EXPECT_TRUE(store_.entries.empty());
}

// Where a second start finds the clock even further ahead than the first one, the week of grace
// seems to be over. Nothing is dropped before there was time to set the clock right.
TEST_F(ResolverTest, AClockThatIsWrongAtTheStartDropsNothing) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ASSERT_EQ(ask("example.com"), "mail.example.com");
  fetcher_.fail("example.com", https::ErrorKind::Connect);
  const WallTime right = loop_.wall();
  for (const int days : {30, 60}) {
    resolver_.reset();
    loop_.set_wall(right + hours(24 * days));
    restart();
    loop_.advance(minutes(50));
    ASSERT_TRUE(store_.find(name("example.com"))) << days;
  }
  loop_.set_wall(right + minutes(100));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
}

// The boot clock, which nobody can set, tells that it jumped.
TEST_F(ResolverTest, AClockThatJumpsLaterDropsNothing) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ASSERT_EQ(ask("example.com"), "mail.example.com");
  loop_.advance(minutes(120));
  fetcher_.fail("example.com", https::ErrorKind::Connect);
  const WallTime right = loop_.wall();
  for (const int days : {30, 60}) {
    loop_.set_wall(right + hours(24 * days));
    loop_.advance(minutes(90));
    ASSERT_TRUE(store_.find(name("example.com"))) << days;
  }
  loop_.set_wall(right + minutes(180));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
}

TEST_F(ResolverTest, AShortMaxAgeMakesNoStreamOfFetches) {
  publish("example.com", "1", body("enforce", "mail.example.com", 30), Seconds(1));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(ask("example.com"), "mail.example.com");
    loop_.advance(Seconds(1));
  }
  EXPECT_LE(fetcher_.fetched.size(), 12U);
}

TEST_F(ResolverTest, AMaxAgeOfZeroIsGoodForTheDeliveryAtHand) {
  publish("example.com", "1", body("enforce", "mail.example.com", 0));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
}

TEST_F(ResolverTest, ASlowPolicyHostHoldsUpNobodyElse) {
  publish("slow.example", "1", body("enforce", "mail.slow.example"));
  fetcher_.silent["mta-sts.slow.example"] = true;
  publish("example.com", "1", body("enforce", "mail.example.com"));
  bool slow_answered = false;
  ask("slow.example", [&](const Answer&) { slow_answered = true; });
  EXPECT_EQ(ask("example.com"), "mail.example.com");
  EXPECT_FALSE(slow_answered);
  loop_.advance(Seconds(61));
  EXPECT_TRUE(slow_answered);
}

TEST_F(ResolverTest, PolicyHostsOnLocalAddressesAreRefused) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  for (const char* address : {"127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"}) {
    dns_.set_a("mta-sts.example.com", address);
    store_.entries.clear();
    EXPECT_EQ(ask("example.com"), "NOTFOUND") << address;
  }
  EXPECT_TRUE(fetcher_.fetched.empty());
}

TEST_F(ResolverTest, AaaaIsAskedAsWell) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
  EXPECT_EQ(dns_.asked.size(), 3U);
}

TEST_F(ResolverTest, WithAProxyThePolicyHostIsNotLookedUp) {
  fetcher_.proxy = true;
  publish("example.com", "1", body("enforce", "mail.example.com"));
  EXPECT_EQ(ask("example.com"), "mail.example.com");
  EXPECT_EQ(dns_.asked.size(), 1U);
}

TEST_F(ResolverTest, MoreDomainsThanItTakesAreRefusedAtOnceAndTheRestIsServed) {
  options_.max_domains = 100;
  options_.max_discovering = 10;
  options_.max_fetching = 5;
  restart();
  int served = 0;
  int refused = 0;
  for (int i = 0; i < 150; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    publish(domain, "1", body("enforce", "mail." + domain));
    ask(domain, [&](const Answer& answer) { (answer.entry ? served : refused) += 1; });
  }
  EXPECT_EQ(refused, 50);
  loop_.advance(Seconds(60));
  EXPECT_EQ(served, 100);
  EXPECT_LE(fetcher_.most_running, 5U);
  EXPECT_EQ(resolver_->domains_at_work(), 0U);
}

// A provider that answers nobody takes its own places, not those of others.
TEST_F(ResolverTest, OneHostHasABoundedNumberOfFetches) {
  options_.max_fetching_per_host = 3;
  options_.max_fetching = 10;
  restart();
  const auto ask_for = [this](const std::string& domain, const std::string& address, bool silent) {
    publish(domain, "1", body("enforce", "mail." + domain));
    dns_.set_a("mta-sts." + domain, address);
    fetcher_.silent["mta-sts." + domain] = silent;
    ask(domain, [](const Answer&) {});
  };
  for (int i = 0; i < 20; ++i) {
    ask_for("tarpit" + std::to_string(i) + ".example", "192.0.2.66", true);
  }
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(fetcher_.running, 3U);
  EXPECT_EQ(ask("tarpit-not.example"), "NOTFOUND");
  publish("other.example", "1", body("enforce", "mail.other.example"));
  EXPECT_EQ(ask("other.example"), "mail.other.example");
  // Each gets its turn, and nothing is left behind.
  loop_.advance(minutes(7));
  EXPECT_EQ(fetcher_.fetched.size(), 21U);
  EXPECT_EQ(fetcher_.running, 0U);
  EXPECT_EQ(resolver_->domains_at_work(), 0U);
}

// A dead address of its own in front of the host that it shares with others hides nobody.
TEST_F(ResolverTest, TheHostThatCountsIsTheOneThatAnswers) {
  options_.max_fetching_per_host = 3;
  restart();
  for (int i = 0; i < 20; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    const std::string dead = "2001:db8::" + std::to_string(i + 1) + ":0:0:0:1";
    publish(domain, "1", body("enforce", "mail." + domain));
    dns_.aaaa_records.insert_or_assign("mta-sts." + domain,
                                       dns::Addresses{{*IpAddress::parse(dead)}, Seconds(60)});
    dialer_.silent.insert(IpAddress::parse(dead)->str());
    fetcher_.silent["mta-sts." + domain] = true;
    ask(domain, [](const Answer&) {});
  }
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(fetcher_.running, 3U);
  loop_.advance(minutes(8));
  EXPECT_EQ(fetcher_.fetched.size(), 20U);
  EXPECT_EQ(resolver_->domains_at_work(), 0U);
  // Who had to wait for the host connects there again, and nowhere else.
  EXPECT_EQ(dialer_.dialled.size(), 20U + 17U);
  EXPECT_EQ(dialer_.dialled.back(), std::vector<IpAddress>{*IpAddress::parse("192.0.2.1")});
}

TEST_F(ResolverTest, WhereOneAddressServesNoPolicyTheNextOneIsTried) {
  for (const auto kind :
       {https::ErrorKind::Tls, https::ErrorKind::Certificate, https::ErrorKind::Status}) {
    publish("example.com", "1", body("enforce", "mail.example.com"));
    dns_.a_records.insert_or_assign("mta-sts.example.com", addresses({"192.0.2.1", "192.0.2.2"}));
    fetcher_.at_address.insert_or_assign(
        *IpAddress::parse("192.0.2.1"),
        https::FetchResult(failure(https::Error{kind, "scripted"})));
    store_.entries.clear();
    EXPECT_EQ(ask("example.com"), "mail.example.com");
    EXPECT_EQ(fetcher_.addresses.back(), IpAddress::parse("192.0.2.2"));
  }
}

TEST_F(ResolverTest, OfSeveralAddressesTheMostTellingFailureIsReported) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  dns_.a_records.insert_or_assign("mta-sts.example.com",
                                  addresses({"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}));
  const auto fail = [this](const char* address, https::ErrorKind kind, const char* text) {
    fetcher_.at_address.insert_or_assign(*IpAddress::parse(address),
                                         https::FetchResult(failure(https::Error{kind, text})));
  };
  fail("192.0.2.1", https::ErrorKind::Status, "HTTP status 404");
  fail("192.0.2.2", https::ErrorKind::Certificate, "expired");
  fail("192.0.2.3", https::ErrorKind::Status, "HTTP status 500");
  EXPECT_EQ(ask("example.com"), "NOTFOUND");
  const auto failure = store_.entries.at(*DomainName::parse("example.com"))->failure;
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->type, cache::FailureType::WebpkiInvalid);
  EXPECT_EQ(failure->detail, "expired (at 192.0.2.2)");
  EXPECT_EQ(failure->count, 1U);
  EXPECT_EQ(fetcher_.fetched.size(), 3U) << "of four addresses";
  EXPECT_EQ(resolver_->domains_at_work(), 0U);
}

TEST_F(ResolverTest, AnInvalidPolicyIsNotLookedForElsewhere) {
  publish("example.com", "1", "nonsense");
  dns_.a_records.insert_or_assign("mta-sts.example.com", addresses({"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(ask("example.com"), "NOTFOUND");
  EXPECT_EQ(fetcher_.fetched.size(), 1U);
}

TEST_F(ResolverTest, APolicyHostThatCannotBeConnectedToIsAFailedFetch) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  dialer_.silent = {"192.0.2.1"};
  bool failed = false;
  ask("example.com", [&](const Answer& answer) { failed = answer.failed; });
  loop_.advance(options_.fetch_timeout + Seconds(1));
  EXPECT_TRUE(failed);
  EXPECT_TRUE(fetcher_.fetched.empty());
}

TEST_F(ResolverTest, WhoIsWaitedForIsFirstInTheLineOfItsHost) {
  options_.max_fetching_per_host = 1;
  restart();
  for (int i = 0; i < 10; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    publish(domain, "1", body("enforce", "mail." + domain));
    resolver_->touch(name(domain));
  }
  fetcher_.delay = Milliseconds(100);
  loop_.advance(Milliseconds(50));
  bool answered = false;
  ask("d9.example", [&](const Answer&) { answered = true; });
  loop_.advance(Milliseconds(210));
  EXPECT_TRUE(answered);
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(fetcher_.fetched.size(), 10U);
  EXPECT_EQ(fetcher_.most_running, 1U);
}

TEST_F(ResolverTest, MoreRefreshesThanPlacesAreDoneOneAfterTheOtherTheMostUrgentFirst) {
  options_.max_fetching = 16;  // of these a quarter for refreshes
  restart();
  for (int i = 0; i < 100; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    publish(domain, "1", body("enforce", "mail." + domain, 604800 - i * 1000));
    ASSERT_EQ(ask(domain), "mail." + domain);
  }
  fetcher_.fetched.clear();
  fetcher_.most_running = 0;
  // All have come due when the daemon is back.
  resolver_.reset();
  loop_.advance(hours(48));
  restart();
  loop_.advance(Seconds(60));
  ASSERT_EQ(fetcher_.fetched.size(), 100U);
  EXPECT_EQ(fetcher_.most_running, 4U);
  EXPECT_EQ(std::set<std::string>(fetcher_.fetched.begin(), fetcher_.fetched.begin() + 4),
            (std::set<std::string>{"mta-sts.d99.example", "mta-sts.d98.example",
                                   "mta-sts.d97.example", "mta-sts.d96.example"}));
}

// A stranger sends mail to subdomains whose policy host, at the address of an honest one, drips.
TEST_F(ResolverTest, OneOwnersSubdomainsDoNotKeepOthersWaiting) {
  for (int i = 0; i < 2000; ++i) {
    const std::string domain = "s" + std::to_string(i) + ".attacker.example";
    publish(domain, "1", body("enforce", "mail." + domain));
    fetcher_.silent["mta-sts." + domain] = true;
    ask(domain, [](const Answer&) {});
  }
  loop_.advance(Seconds(5));
  publish("honest.example", "1", body("enforce", "mail.honest.example"));
  std::string told;
  ask("honest.example", [&](const Answer& answer) { told = describe(answer); });
  loop_.advance(Milliseconds(200));
  EXPECT_EQ(told, "mail.honest.example");
}

TEST_F(ResolverTest, OneOwnersSilentNameServersDoNotKeepOthersWaiting) {
  options_.max_discovering = 16;
  restart();
  for (int i = 0; i < 200; ++i) {
    const std::string domain = "s" + std::to_string(i) + ".attacker.example";
    dns_.silent_names.insert("_mta-sts." + domain);
    ask(domain, [](const Answer&) {});
  }
  publish("honest.example", "1", body("enforce", "mail.honest.example"));
  std::string told;
  ask("honest.example", [&](const Answer& answer) { told = describe(answer); });
  loop_.advance(Milliseconds(200));
  EXPECT_EQ(told, "mail.honest.example");
}

// Dead addresses, of which there are new ones all the time.
TEST_F(ResolverTest, AFloodDoesNotLetAPolicyInUseRunOut) {
  options_.max_fetching = 16;
  restart();
  publish("honest.example", "1", body("enforce", "mail.honest.example", 240));
  ASSERT_EQ(ask("honest.example"), "mail.honest.example");
  for (int second = 0; second < 600; ++second) {
    for (int i = 0; i < 30; ++i) {
      const std::string number = std::to_string(second * 30 + i);
      const std::string domain = "s" + number + (i % 2 == 0 ? ".a" : ".b") + ".example";
      publish(domain, "1", body("enforce", "mail." + domain));
      fetcher_.silent["mta-sts." + domain] = true;
      ask(domain, [](const Answer&) {});
    }
    loop_.advance(Milliseconds(1000));
    ASSERT_EQ(ask("honest.example"), "mail.honest.example") << second;
  }
  EXPECT_EQ(resolver_->overdue(), 0U);
}

// An owner whose policies end soon, and are answered slowly, refreshes all the time.
TEST_F(ResolverTest, OneOwnersRefreshesDoNotKeepOthersWaiting) {
  options_.max_fetching = 64;  // sixteen slots for refreshes
  restart();
  for (int i = 0; i < 600; ++i) {
    const std::string domain = "s" + std::to_string(i) + ".attacker.example";
    publish(domain, "1", body("enforce", "mail." + domain, 240));
    ask(domain);
  }
  publish("honest.example", "1", body("enforce", "mail.honest.example", 300));
  ask("honest.example");
  for (int i = 0; i < 600; ++i) {
    fetcher_.silent["mta-sts.s" + std::to_string(i) + ".attacker.example"] = true;
  }
  for (int second = 0; second < 900; ++second) {
    loop_.advance(Milliseconds(1000));
    ASSERT_EQ(ask("honest.example"), "mail.honest.example") << second;
  }
}

// Name servers that stay silent take all the slots that they can get.
TEST_F(ResolverTest, AFloodDoesNotKeepAChangedIdFromBeingSeen) {
  options_.max_discovering = 16;
  restart();
  dns_.silence = Seconds(20);
  publish("honest.example", "1", body("enforce", "old.honest.example"));
  ASSERT_EQ(ask("honest.example"), "old.honest.example");
  publish("honest.example", "2", body("enforce", "new.honest.example"));
  std::string known;
  int second = 0;
  for (; second < 300 && known != "new.honest.example"; ++second) {
    for (int i = 0; i < 30; ++i) {
      const std::string number = std::to_string(second * 30 + i);
      const std::string domain = "s" + number + ".o" + std::to_string(i) + ".example";
      dns_.silent_names.insert("_mta-sts." + domain);
      ask(domain, [](const Answer&) {});
    }
    loop_.advance(Milliseconds(1000));
    known = ask("honest.example");
  }
  EXPECT_LE(second, 62) << "the TTL of the record is a minute";
}

// RFC 8461 section 3.3 suggests a minute for a fetch.
TEST_F(ResolverTest, WhereMostSlotsAreTakenAConnectionAndAStandstillGetTenSeconds) {
  options_.max_fetching = 16;
  restart();
  for (int i = 0; i < 12; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    publish(domain, "1", body("enforce", "mail." + domain));
    fetcher_.silent["mta-sts." + domain] = true;
    ask(domain, [](const Answer&) {});
    loop_.advance(Milliseconds(10));
  }
  ASSERT_EQ(fetcher_.limits.size(), 12U);
  for (std::size_t i = 0; i < 12; ++i) {
    const bool hurry = i >= 8;  // it is the ninth of sixteen
    EXPECT_EQ(dialer_.limits.at(i), Seconds(hurry ? 10 : 60)) << i;
    EXPECT_EQ(fetcher_.limits[i].stall, Seconds(hurry ? 10 : 0)) << i;
    EXPECT_EQ(fetcher_.limits[i].total, Seconds(60)) << i;
  }
}

TEST_F(ResolverTest, ARefreshThatIsOverdueIsCounted) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ask("example.com");
  EXPECT_EQ(resolver_->overdue(), 0U);
  fetcher_.delay = hours(200);  // a slot is taken, and nothing comes
  options_.fetch_timeout = hours(300);
  resolver_->set_options(options_);
  loop_.advance(hours(100));
  EXPECT_EQ(resolver_->overdue(), 1U);
}

TEST_F(ResolverTest, ARefreshThatIsOverdueIsWarnedOfOnceAMinute) {
  restart(loud_);
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ask("example.com");
  fetcher_.delay = hours(200);
  options_.fetch_timeout = hours(300);
  resolver_->set_options(options_);
  lines_logged([&] { loop_.advance(hours(100)); }, "");
  EXPECT_EQ(lines_logged([&] { loop_.advance(minutes(10)); }, "event=refreshes_overdue policies=1"),
            10);
}

// An alarm comes of it, so nothing less than DNS itself may be the cause.
TEST_F(ResolverTest, DnsThatFailsForAMinuteIsWarnedOfOnceAnHour) {
  restart(loud_);
  int number = 0;
  const auto fail = [&](int times, Seconds every) {
    return lines_logged(
        [&] {
          for (int i = 0; i < times; ++i) {
            const std::string domain = "d" + std::to_string(number++) + ".example";
            dns_.fail_txt(domain, dns::ErrorKind::ServFail);
            ask(domain, [](const Answer&) {});
            loop_.advance(every);
          }
        },
        "event=dns_failing failures=");
  };
  EXPECT_EQ(fail(9, Seconds(20)), 0) << "so few may all be broken";
  EXPECT_EQ(ask("plain.example"), "NOTFOUND");
  EXPECT_EQ(fail(12, Seconds(3)), 0) << "it may be over in a moment";
  EXPECT_EQ(ask("other.example"), "NOTFOUND");
  EXPECT_EQ(fail(9, Seconds(20)), 0) << "an answer came in between";
  EXPECT_EQ(fail(100, Seconds(30)), 1);
  EXPECT_EQ(fail(100, Seconds(30)), 1) << "within the second hour";
}

// What was asked for and is not waited for any more stands behind what is.
TEST_F(ResolverTest, WhatNobodyWaitsForAnyMoreLosesItsUrgency) {
  options_.max_discovering = 1;
  options_.patience = Seconds(20);
  restart();
  dns_.silence = Milliseconds(30000);
  for (const std::string one : {"first.example", "late.example"}) {
    dns_.silent_names.insert("_mta-sts." + one);
    ask(one, [](const Answer&) {});
  }
  loop_.advance(Seconds(25));
  bool answered = false;
  ask("waited.example", [&](const Answer&) { answered = true; });
  loop_.advance(Milliseconds(5010));
  EXPECT_TRUE(answered);
}

TEST_F(ResolverTest, WhatSomebodyWaitsForGoesBeforeBackgroundWork) {
  options_.max_discovering = 1;
  restart();
  for (int i = 0; i < 20; ++i) {
    resolver_->touch(name("background" + std::to_string(i) + ".example"));
  }
  bool answered = false;
  ask("urgent.example", [&](const Answer&) { answered = true; });
  loop_.advance(Milliseconds(3));
  EXPECT_TRUE(answered);
  EXPECT_LT(dns_.asked.size(), 5U);
}

TEST_F(ResolverTest, WhatIsKnownIsTheReturnValue) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  const auto first = resolver_->ask(name("example.com"), [](const Answer&) {});
  EXPECT_TRUE(std::holds_alternative<Ticket>(first));
  loop_.advance(Milliseconds(1000));
  const auto second = resolver_->ask(name("example.com"), [](const Answer&) { FAIL(); });
  ASSERT_TRUE(std::holds_alternative<Answer>(second));
  EXPECT_EQ(describe(std::get<Answer>(second)), "mail.example.com");
  // It is known still while its record is being checked.
  loop_.advance(minutes(10));
  const auto third = resolver_->ask(name("example.com"), [](const Answer&) { FAIL(); });
  EXPECT_TRUE(std::holds_alternative<Answer>(third));
  EXPECT_EQ(resolver_->domains_at_work(), 1U);
}

TEST_F(ResolverTest, ADroppedTicketCancelsItsWaiterAndNothingElse) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  auto dropped = std::make_unique<NowOrLater<Answer>>(
      resolver_->ask(name("example.com"), [](const Answer&) { FAIL(); }));
  int told = 0;
  const auto other = resolver_->ask(name("example.com"), [&](const Answer&) { ++told; });
  // Also one that another waiter drops.
  std::optional<NowOrLater<Answer>> last;
  const auto drops = resolver_->ask(name("example.com"), [&](const Answer&) { last.reset(); });
  last = resolver_->ask(name("example.com"), [](const Answer&) { FAIL(); });
  loop_.advance(Milliseconds(3));
  dropped.reset();
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(store_.find(name("example.com"))->policy) << "the lookup goes on";
}

TEST_F(ResolverTest, WhyADomainHasNoPolicyIsStored) {
  const auto reason = [this](const std::string& domain) {
    ask(domain);
    return store_.find(name(domain))->no_policy_reason;
  };
  EXPECT_EQ(reason("plain.example"), cache::NoPolicyReason::NoRecord);
  dns_.set_txt("broken.example", "v=STSv1; bogus", Seconds(60));
  EXPECT_EQ(reason("broken.example"), cache::NoPolicyReason::UnusableRecord);
  dns_.fail_txt("down.example", dns::ErrorKind::ServFail);
  EXPECT_EQ(reason("down.example"), cache::NoPolicyReason::DnsFailed);
  dns_.set_txt("hostless.example", "v=STSv1; id=1;", Seconds(60));
  EXPECT_EQ(reason("hostless.example"), cache::NoPolicyReason::FetchFailed);
  EXPECT_EQ(store_.find(name("hostless.example"))->failure->detail,
            "mta-sts.hostless.example has no address");
}

TEST_F(ResolverTest, ItCanBeDestroyedAtAnyMoment) {
  for (int ms = 0; ms < 12; ++ms) {
    store_.entries.clear();
    publish("example.com", "1", body("enforce", "mail.example.com"));
    bool answered = false;
    ask("example.com", [&](const Answer&) { answered = true; });
    loop_.advance(Milliseconds(ms));
    resolver_.reset();
    loop_.advance(Seconds(100));
    restart();
  }
}

// What an operator asks for.

class OperatorTest : public ResolverTest {
 protected:
  std::optional<Answer> refresh(const std::string& domain, Purpose purpose = Purpose::Refresh) {
    std::optional<Answer> got;
    const auto tell = [&](const Answer& answer) { got = answer; };
    tell_now_or_later(resolver_->refresh(name(domain), purpose, tell), tell);
    for (int i = 0; i < 100 && !got; ++i) {
      loop_.advance(Milliseconds(1000));
    }
    EXPECT_TRUE(got);
    return got;
  }
};

TEST_F(OperatorTest, ARefreshSaysWhatCameOfIt) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  EXPECT_EQ(refresh("example.com")->change, Change::New);
  const auto same = refresh("example.com");
  EXPECT_TRUE(same->fresh);
  EXPECT_EQ(same->change, Change::None);
  fetcher_.set_policy("example.com", body("enforce", "other.example.com"));
  EXPECT_EQ(refresh("example.com")->change, Change::Drifted);
  EXPECT_EQ(fetcher_.fetched.size(), 3U) << "the same id is fetched all the same";

  fetcher_.fail("example.com", https::ErrorKind::Status);
  const auto failed = refresh("example.com");
  EXPECT_FALSE(failed->fresh);
  EXPECT_TRUE(failed->failed);
  EXPECT_FALSE(failed->detail.empty());
  EXPECT_EQ(describe(*failed), "other.example.com") << "the old policy stays";

  publish("example.com", "1", body("enforce", "mail.example.com"));
  EXPECT_TRUE(refresh("example.com")->fresh);
}

TEST_F(OperatorTest, ARefreshOfWhatHasNoRecordSaysSo) {
  const auto answer = refresh("plain.example");
  EXPECT_FALSE(answer->fresh);
  EXPECT_FALSE(answer->failed);
  EXPECT_EQ(answer->detail, "no MTA-STS record");
  dns_.fail_txt("down.example", dns::ErrorKind::ServFail);
  EXPECT_TRUE(refresh("down.example")->failed);
}

// A fetch that began for another reason may not have been for the policy of now.
TEST_F(OperatorTest, ARefreshFollowsALookupThatFetchesAlready) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  fetcher_.delay = Milliseconds(2000);
  std::string asked;
  ask("example.com", [&](const Answer& answer) { asked = describe(answer); });
  loop_.advance(Milliseconds(100));
  ASSERT_EQ(fetcher_.fetched.size(), 1U);
  const auto got = refresh("example.com");
  EXPECT_EQ(asked, "mail.example.com");
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->fresh);
  EXPECT_EQ(fetcher_.fetched.size(), 2U);
}

TEST_F(OperatorTest, WhatIsForgottenDoesNotComeBackWithALookupThatIsRunning) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  ASSERT_EQ(ask("example.com"), "mail.example.com");
  const auto refreshing =
      resolver_->refresh(name("example.com"), Purpose::Refresh, [](const Answer&) {});
  std::optional<cache::EntryPtr> forgotten;
  const auto later = resolver_->forget(name("example.com"),
                                       [&](const cache::EntryPtr& entry) { forgotten = entry; });
  ASSERT_TRUE(std::holds_alternative<Ticket>(later)) << "the lookup would store it again";
  loop_.advance(Milliseconds(5000));
  ASSERT_TRUE(forgotten && *forgotten);
  EXPECT_EQ((*forgotten)->policy->id, "1");
  EXPECT_FALSE(store_.find(name("example.com")));

  const auto now = resolver_->forget(name("example.com"), [](const cache::EntryPtr&) { FAIL(); });
  ASSERT_TRUE(std::holds_alternative<cache::EntryPtr>(now)) << "at once where nothing is running";
  EXPECT_FALSE(std::get<cache::EntryPtr>(now));
}

TEST_F(OperatorTest, WhoWantsToBeAloneWithADomainWaitsForItsLookup) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  bool idle = false;
  EXPECT_FALSE(resolver_->when_idle(name("example.com"), [&] { idle = true; }));
  resolver_->touch(name("example.com"));
  const auto ticket = resolver_->when_idle(name("example.com"), [&] { idle = true; });
  ASSERT_TRUE(ticket);
  EXPECT_FALSE(idle);
  loop_.advance(Milliseconds(1000));
  EXPECT_TRUE(idle);
  EXPECT_TRUE(store_.find(name("example.com"))->policy);
}

// RFC 8461 section 3.3 holds the same id back for five minutes; an operator can insist.
TEST_F(OperatorTest, AForcedRefreshDoesNotWaitForTheBackOff) {
  publish("example.com", "1", body("enforce", "mail.example.com"));
  fetcher_.fail("example.com", https::ErrorKind::Status);
  EXPECT_TRUE(refresh("example.com")->failed);
  const auto held = refresh("example.com");
  EXPECT_FALSE(held->failed || held->fresh) << "no attempt was made";
  EXPECT_EQ(fetcher_.fetched.size(), 1U);
  EXPECT_TRUE(refresh("example.com", Purpose::Force)->failed);
  EXPECT_EQ(fetcher_.fetched.size(), 2U);

  // Also behind a lookup that fetches already, and fails.
  loop_.advance(hours(1));
  fetcher_.delay = Milliseconds(2000);
  resolver_->touch(name("example.com"));
  loop_.advance(Milliseconds(100));
  ASSERT_EQ(fetcher_.fetched.size(), 3U);
  EXPECT_TRUE(refresh("example.com", Purpose::Force)->failed);
  EXPECT_EQ(fetcher_.fetched.size(), 4U);
}

}  // namespace
}  // namespace mtastsd::resolver
