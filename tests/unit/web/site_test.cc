#include "mtastsd/web/site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "fakes/fake_loop.h"
#include "mtastsd/web/metrics.h"

namespace mtastsd::web {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class Kept final : public Replies {
 public:
  void reply(Id connection, const Response& response) override { all[connection] = response; }
  void begin(Id connection, const Response& response) override { all[connection] = response; }
  void more(Id connection, std::string_view part) override { all[connection].body += part; }
  void end(Id connection) override { ended.push_back(connection); }
  bool is_open(Id /*connection*/) const override { return true; }

  std::map<Id, Response> all;
  std::vector<Id> ended;
};

class SiteTest : public testing::Test {
 protected:
  SiteTest() { make({}); }

  void make(Site::Options options) {
    site_ = std::make_unique<Site>(
        loop_, loop_, replies_,
        [this](control::Request request, Site::Tell tell) {
          asked_.emplace_back(std::move(request), std::move(tell));
        },
        [this](const std::string& after, std::size_t most) { return page(after, most); },
        std::move(options));
  }

  // Of `entries_`, as the cache has them.
  cache::Reader::Page page(const std::string& after, std::size_t most) const {
    cache::Reader::Page found;
    for (auto it = entries_.upper_bound(after); it != entries_.end(); ++it) {
      if (found.entries.size() == most) {
        found.last = found.entries.back().first.str();
        break;
      }
      found.entries.emplace_back(*DomainName::parse(it->first),
                                 std::make_shared<const cache::Entry>(it->second));
    }
    return found;
  }
  cache::Entry policy(mtasts::Mode mode, Seconds left = Seconds(86400 * 7)) const {
    cache::Entry entry;
    entry.policy = cache::StoredPolicy{.id = "1", .fetched_at = loop_.wall()};
    entry.policy->policy.mode = mode;
    entry.policy->policy.max_age = left;
    return entry;
  }

  // The number of the connection that asks.
  Replies::Id get(const std::string& target) {
    auto request = parse_request("GET " + target + " HTTP/1.1");
    EXPECT_TRUE(request);
    site_->handle(*request, ++last_);
    return last_;
  }
  bool answered(Replies::Id connection) const { return replies_.all.contains(connection); }

  static control::Status good() {
    control::Status status;
    status.cache.writable = true;
    return status;
  }

  test::FakeLoop loop_;
  Kept replies_;
  std::vector<std::pair<control::Request, Site::Tell>> asked_;
  std::unique_ptr<Site> site_;
  Replies::Id last_ = 0;
  std::map<std::string, cache::Entry> entries_;
};

TEST_F(SiteTest, IsAliveWithoutTheDaemon) {
  EXPECT_EQ(replies_.all[get("/healthz")].status, 200);
  EXPECT_EQ(replies_.all[get("/nothing")].status, 404);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(SiteTest, SaysThatNothingIsEnforced) {
  control::Status status = good();
  status.observing = {"mine"};
  for (const bool all : {false, true}) {
    status.nothing_enforced = all;
    loop_.advance(1s);
    const auto page = get("/");
    asked_.back().second(status);
    EXPECT_THAT(replies_.all[page].body,
                HasSubstr(all ? "nothing is enforced: all maps only observe"
                              : "nothing is enforced where maps only observe: mine"));
  }
}

TEST_F(SiteTest, SaysWhichDnsServersWereNotUsedYet) {
  control::Status status = good();
  status.dns.push_back({.server = "127.0.0.1:53"});
  const auto before = get("/");
  asked_.back().second(status);
  EXPECT_THAT(replies_.all[before].body, HasSubstr("not used yet"));
  status.dns[0].answers = 1;
  loop_.advance(1s);
  const auto after = get("/");
  asked_.back().second(status);
  EXPECT_THAT(replies_.all[after].body, testing::Not(HasSubstr("not used yet")));
}

TEST_F(SiteTest, CountsWhatIsOnlyObservedAndWhichMxHostsDiffer) {
  control::Status status = good();
  status.observing = {"mine"};
  status.queries.observed = 7;
  status.mx_mismatches = 3;
  const auto metrics = get("/metrics");
  asked_.back().second(status);
  for (const char* line : {"mtastsd_policy_total{policy=\"observed\"} 7\n",
                           "mtastsd_mx_mismatches 3\n", "mtastsd_maps_observing 1\n"}) {
    EXPECT_THAT(replies_.all[metrics].body, HasSubstr(line));
  }
}

TEST_F(SiteTest, IsReadyAsTheDaemonSays) {
  const auto first = get("/readyz");
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_FALSE(answered(first));
  asked_[0].second(good());
  EXPECT_EQ(replies_.all[first].status, 200);

  loop_.advance(1s);
  const auto second = get("/readyz");
  ASSERT_EQ(asked_.size(), 2U);
  control::Status bad = good();
  bad.cache.writable = false;
  asked_[1].second(bad);
  EXPECT_EQ(replies_.all[second].status, 503);
  EXPECT_THAT(replies_.all[second].body, HasSubstr("the cache cannot be written"));
}

TEST_F(SiteTest, AFloodAsksTheDaemonOnceASecond) {
  for (int i = 0; i < 100; ++i) {
    get("/readyz");
  }
  ASSERT_EQ(asked_.size(), 1U);
  asked_[0].second(good());
  EXPECT_EQ(replies_.all.size(), 100U);
  loop_.advance(999ms);
  EXPECT_TRUE(answered(get("/readyz")));
  EXPECT_EQ(asked_.size(), 1U);
  loop_.advance(1ms);
  EXPECT_FALSE(answered(get("/readyz")));
  EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(SiteTest, AResolverThatHangsIsNotReady) {
  const auto waits = get("/readyz");
  loop_.advance(5s);
  EXPECT_EQ(replies_.all[waits].status, 503);
  // Its reply comes late, and is not taken for that to the next question.
  const auto next = get("/readyz");
  ASSERT_EQ(asked_.size(), 2U);
  asked_[0].second(good());
  EXPECT_FALSE(answered(next));
  asked_[1].second(good());
  EXPECT_EQ(replies_.all[next].status, 200);
}

TEST_F(SiteTest, TheListIsPagedAndFiltered) {
  for (int i = 100; i < 220; ++i) {
    entries_["d" + std::to_string(i) + ".example"] =
        policy(i % 2 == 0 ? mtasts::Mode::Enforce : mtasts::Mode::Testing);
  }
  entries_["c.example"].no_policy_reason = cache::NoPolicyReason::NoRecord;
  entries_["e.example"] = policy(mtasts::Mode::Enforce, Seconds(60));
  make({});
  const std::string first = replies_.all[get("/policies")].body;
  EXPECT_THAT(first, HasSubstr(">d100.example<"));
  EXPECT_THAT(first, HasSubstr(">d149.example<"));
  EXPECT_THAT(first, Not(HasSubstr(">d150.example<")));
  EXPECT_THAT(first, Not(HasSubstr(">c.example<")));
  EXPECT_THAT(first, HasSubstr("/policies?state=policies&amp;name=&amp;after=d149.example\""));
  EXPECT_THAT(replies_.all[get("/policies?after=d149.example")].body, HasSubstr(">d150.example<"));

  const std::string testing = replies_.all[get("/policies?state=testing&name=D20")].body;
  EXPECT_THAT(testing, HasSubstr(">d201.example<"));
  EXPECT_THAT(testing, Not(HasSubstr(">d200.example<")));
  EXPECT_THAT(testing, Not(HasSubstr(">d211.example<")));
  EXPECT_THAT(testing, Not(HasSubstr("after=")));
  EXPECT_THAT(replies_.all[get("/policies?state=ending")].body, HasSubstr(">e.example<"));
  EXPECT_THAT(replies_.all[get("/policies?state=without")].body, HasSubstr(">c.example<"));
}

TEST_F(SiteTest, ARareKindIsSearchedForAPartAtATime) {
  for (int i = 10000; i < 31000; ++i) {
    entries_["d" + std::to_string(i) + ".example"].no_policy_reason =
        cache::NoPolicyReason::NoRecord;
  }
  entries_["z.example"] = policy(mtasts::Mode::None);
  make({});
  std::string target = "/policies?state=none";
  int pages = 1;
  for (;; ++pages) {
    const std::string body = replies_.all[get(target)].body;
    const auto at = body.find("after=");
    if (at == std::string::npos) {
      EXPECT_THAT(body, HasSubstr(">z.example<"));
      break;
    }
    target = "/policies?state=none&" + body.substr(at, body.find('"', at) - at);
  }
  EXPECT_EQ(pages, 3);
}

TEST_F(SiteTest, ADomainIsShownAsItIsKnownAndNotLookedUp) {
  const auto id = get("/domain/a.example");
  ASSERT_EQ(asked_.size(), 1U);
  const auto& request = std::get<control::ExplainRequest>(asked_[0].first);
  EXPECT_EQ(request.key, "a.example");
  EXPECT_FALSE(request.look_up);
  answer::Explanation it;
  it.reply = "OK secure match=mail.a.example servername=hostname";
  cache::Entry entry = policy(mtasts::Mode::Enforce);
  entry.failure = cache::Failure{.detail = "<script>alert(1)</script>\xe2\x80\xae\x1b[31m"};
  it.entry = std::make_shared<const cache::Entry>(entry);
  asked_[0].second(control::Explained{it});
  const std::string& body = replies_.all[id].body;
  EXPECT_THAT(body, HasSubstr("OK secure match=mail.a.example"));
  // What strangers wrote is text.
  EXPECT_THAT(body, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;\\xe2\\x80\\xae\\x1b[31m"));
  EXPECT_THAT(body, Not(HasSubstr("<script>alert")));
}

TEST_F(SiteTest, WhatIsNoDomainIsShownAsText) {
  const auto id = get("/domain/%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E");
  EXPECT_EQ(replies_.all[id].status, 404);
  EXPECT_THAT(replies_.all[id].body, HasSubstr("&quot;&gt;&lt;img"));
  EXPECT_THAT(replies_.all[id].body, Not(HasSubstr("<img")));
  const auto filter = get("/policies?name=%22%3E%3Cimg%3E&state=%3Cb%3E&after=%3Ci%3E");
  EXPECT_THAT(replies_.all[filter].body, HasSubstr("value=\"&quot;&gt;&lt;img&gt;\""));
  EXPECT_THAT(replies_.all[filter].body, Not(HasSubstr("<img")));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(SiteTest, LinksBeginWithThePrefixOfTheProxy) {
  make({.base_path = "/base"});
  EXPECT_THAT(replies_.all[get("/policies")].body, HasSubstr("href=\"/base/style.css\""));
  const auto request =
      parse_request("GET /policies HTTP/1.1\r\nX-Forwarded-Prefix: /mail/mtasts\r\n");
  site_->handle(*request, ++last_);
  EXPECT_THAT(replies_.all[last_].body, HasSubstr("href=\"/mail/mtasts/style.css\""));
}

TEST_F(SiteTest, TheOverviewSaysWhatIsWrong) {
  const auto well = get("/");
  control::Status status = good();
  status.connections.most = 10;
  status.dns.push_back({.server = "192.0.2.1"});
  asked_[0].second(status);
  EXPECT_THAT(replies_.all[well].body, HasSubstr("All is well."));
  loop_.advance(1s);
  const auto ill = get("/");
  status.cache.writable = false;
  status.dns[0].last_error = "<b>SERVFAIL";
  asked_[1].second(status);
  EXPECT_THAT(replies_.all[ill].body, HasSubstr("the cache cannot be written"));
  EXPECT_THAT(replies_.all[ill].body, HasSubstr("no DNS server gave a good answer"));
  EXPECT_THAT(replies_.all[ill].body, HasSubstr("&lt;b&gt;SERVFAIL"));
}

TEST_F(SiteTest, MetricsAreThoseOfTheDaemon) {
  entries_["a.example"] = policy(mtasts::Mode::Enforce);
  entries_["b.example"] = policy(mtasts::Mode::Testing, Seconds(3600));
  entries_["c.example"].no_policy_reason = cache::NoPolicyReason::NoRecord;
  make({});
  const auto early = get("/metrics");
  control::Status status = good();
  status.version = "1.2";
  status.queries.total = 5;
  status.queries.answer_times = {{0.5, 2}, {1, 2, 3}, 9.5};
  status.dns.push_back({.server = "192.0.2.1", .answers = 3});
  status.dns.push_back({.server = "a\"b\\c\n", .silent = true});
  asked_[0].second(status);
  EXPECT_EQ(replies_.all[early].type, kMetricsType);
  EXPECT_EQ(replies_.all[early].body.find("mtastsd_policies{"), std::string::npos);
  loop_.advance(0ms);
  const std::string& text = replies_.all[get("/metrics")].body;
  for (const char* line :
       {"# TYPE mtastsd_queries_total counter", "mtastsd_queries_total 5",
        "mtastsd_answer_seconds_bucket{le=\"0.5\"} 1", "mtastsd_answer_seconds_bucket{le=\"2\"} 3",
        "mtastsd_answer_seconds_bucket{le=\"+Inf\"} 6", "mtastsd_answer_seconds_sum 9.5",
        "mtastsd_answer_seconds_count 6", "mtastsd_dns_server_up{server=\"192.0.2.1\"} 1",
        "mtastsd_dns_server_up{server=\"a\\\"b\\\\c\\\\x0a\"} 0",
        "mtastsd_build_info{version=\"1.2\"} 1", "mtastsd_policies{mode=\"enforce\"} 1",
        "mtastsd_policies{mode=\"testing\"} 1", "mtastsd_policies_ending_soon 1",
        "mtastsd_domains_without_policy{reason=\"no-record\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
  }
}

TEST_F(SiteTest, ACensusOfManyGoesAPageAtATime) {
  for (int i = 0; i < 2500; ++i) {
    entries_["d" + std::to_string(i) + ".example"] = policy(mtasts::Mode::Enforce);
  }
  make({});
  const auto counted = [this] {
    const auto id = get("/metrics");
    if (!answered(id)) {
      asked_.back().second(good());
    }
    return replies_.all[id].body.find("mtastsd_policies{mode=\"enforce\"} 2500\n") !=
           std::string::npos;
  };
  loop_.advance(50ms);
  EXPECT_FALSE(counted());
  loop_.advance(100ms);
  EXPECT_TRUE(counted());
}

TEST_F(SiteTest, PathsMayComeWithTheBasePath) {
  make({.base_path = "/mtasts"});
  EXPECT_EQ(replies_.all[get("/mtasts/healthz")].status, 200);
  EXPECT_EQ(replies_.all[get("/healthz")].status, 200);
  EXPECT_EQ(replies_.all[get("/mtastshealthz")].status, 404);
}

}  // namespace
}  // namespace mtastsd::web
