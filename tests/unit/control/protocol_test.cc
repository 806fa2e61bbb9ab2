#include "mtastsd/control/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mtastsd/base/text.h"

namespace mtastsd::control {
namespace {

using testing::HasSubstr;

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(seconds));
}

cache::EntryPtr policy_entry() {
  constexpr char kText[] = "version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 1000\n";
  cache::Entry entry;
  entry.policy = cache::StoredPolicy{"abc", *mtasts::parse_policy(kText), at(1000)};
  entry.recheck_at = at(1060);
  entry.due_at = at(1500);
  return std::make_shared<const cache::Entry>(entry);
}

template <typename One>
One sent(const One& request) {
  const std::string line = encode(Request(request));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  auto read = decode_request(line);
  EXPECT_TRUE(read) << read.error().message;
  return std::get<One>(*read);
}

template <typename One>
One answered(const One& answer) {
  const std::string line = encode(Reply(Answer(answer)));
  EXPECT_LE(line.size(), kMaxLineBytes);
  auto read = decode_reply(line);
  EXPECT_TRUE(read) << read.error().message;
  return std::get<One>(*read);
}

Error::Problem problem_of(std::string_view line) {
  const auto read = decode_request(line);
  EXPECT_FALSE(read) << line;
  return read.error().problem;
}

TEST(Replies, HaveWhatWasObserved) {
  sent(ObserveRequest{});
  ObserveReport report{at(1000), {"postfix"}, {{{"a.example", 7}, {"b.example", 3}}, 12, 4}};
  const ObserveReport read = answered(report);
  EXPECT_EQ(read.since, at(1000));
  EXPECT_EQ(read.maps, report.maps);
  ASSERT_EQ(read.sum.domains.size(), 2U);
  EXPECT_EQ(read.sum.domains[1].domain, "b.example");
  EXPECT_EQ(read.sum.domains[1].mails, 3U);
  EXPECT_EQ(read.sum.left_out, 12U);
  EXPECT_EQ(read.sum.domains_known, 4U);
}

TEST(Requests, ComeBackAsTheyWere) {
  sent(StatusRequest{});
  EXPECT_EQ(sent(ShowRequest{name("a.example")}).domain, name("a.example"));
  EXPECT_EQ(sent(RefreshRequest{name("a.example")}).domain, name("a.example"));
  EXPECT_TRUE(sent(RefreshRequest{name("a.example"), true}).force);
  EXPECT_FALSE(sent(RefreshRequest{name("a.example"), false}).force);
  EXPECT_EQ(sent(ForgetRequest{name("a.example")}).domain, name("a.example"));
  EXPECT_EQ(sent(TraceRequest{name("a.example")}).domain, name("a.example"));
  EXPECT_EQ(sent(ListRequest{"a.example"}).after, "a.example");
  const auto explain = sent(ExplainRequest{"map", "[a.example]:25\n\xff"});
  EXPECT_EQ(explain.map, "map");
  EXPECT_EQ(explain.key, "[a.example]:25\n\xef\xbf\xbd");
  const auto import = sent(ImportRequest{name("a.example"), *policy_entry()});
  EXPECT_EQ(cache::encode(import.entry), cache::encode(*policy_entry()));
}

TEST(Requests, ErrorsAreTyped) {
  using Problem = Error::Problem;
  for (const char* line : {"", "GET / HTTP/1.0", "[1]", "\"status\"", "\xff"}) {
    EXPECT_EQ(problem_of(line), Problem::BadRequest) << line;
  }
  EXPECT_EQ(problem_of(std::string(100000, '[')), Problem::BadRequest);
  EXPECT_EQ(problem_of(R"({"command": "import", "domain": "a.example"})"), Problem::BadRequest);
  EXPECT_EQ(problem_of(R"({"command": "import", "domain": "a.example", "entry": {"policy": {}}})"),
            Problem::BadRequest);
  EXPECT_EQ(problem_of("{}"), Problem::UnknownCommand);
  EXPECT_EQ(problem_of(R"({"command": 5})"), Problem::UnknownCommand);
  EXPECT_EQ(problem_of(R"({"command": "dance"})"), Problem::UnknownCommand);
  EXPECT_EQ(problem_of(R"({"command": "show"})"), Problem::BadDomain);
  EXPECT_EQ(problem_of(R"({"command": "forget", "domain": "a..example"})"), Problem::BadDomain);
  std::string too_long = "example";  // for "_mta-sts." before it
  while (too_long.size() < 246) {
    too_long.insert(0, "a.");
  }
  EXPECT_EQ(problem_of(R"({"command": "import", "domain": ")" + too_long + R"("})"),
            Problem::BadDomain);
}

TEST(Answers, AStatusComesBackAsItWas) {
  Status status;
  status.version = "1.2.3";
  status.started_at = at(1000);
  status.uptime_s = Seconds(5);
  status.listeners = {"unix:/a", "inet:127.0.0.1:1"};
  status.queries.total = 7;
  status.queries.hit_rate = 0.5;
  status.cache.writable = true;
  status.dns = {{"127.0.0.1:53", 3, 1, "SERVFAIL", true}, {"::1", 0, 0, std::nullopt, false}};
  status.dns_failures = {.timeout = 1, .servfail = 2, .network = 3};
  status.ca_source = "/etc/ssl/certs";
  status.ca_problem = "cannot read it";
  status.failing.count = 1;
  status.failing.complete = false;
  status.overdue_refreshes = 3;
  status.failing.first = {{"a.example", cache::FailureType::WebpkiInvalid, "expired", 3, at(2000)},
                          {"b.example", std::nullopt, "two records", 0, std::nullopt}};
  const Status read = answered(status);
  EXPECT_EQ(to_json(read), to_json(status));
  EXPECT_EQ(read.uptime_s, Seconds(5));
  EXPECT_EQ(read.config, std::nullopt);
  EXPECT_EQ(read.dns.at(0).last_error, "SERVFAIL");
  EXPECT_EQ(read.dns_failures.servfail, 2U);
  EXPECT_EQ(read.ca_source, "/etc/ssl/certs");
  EXPECT_EQ(read.ca_problem, "cannot read it");
  EXPECT_FALSE(read.failing.complete);
  EXPECT_EQ(read.failing.first.at(0).expires_at, at(2000));
  EXPECT_EQ(read.failing.first.at(1).type, std::nullopt);
  EXPECT_EQ(read.overdue_refreshes, 3U);
  EXPECT_THAT(to_json(status), HasSubstr("\"running\":true"));
}

TEST(Answers, AnExplanationComesBackAsItWas) {
  Explained explained;
  explained.explanation.key = "a.example";
  explained.explanation.map = "old";
  explained.explanation.map_known = false;
  explained.explanation.profile = {.report_attributes = true, .servername = false};
  explained.explanation.domain = name("a.example");
  explained.explanation.entry = policy_entry();
  explained.explanation.standing = resolver::Standing::Dane;
  explained.explanation.target = {.by_mx = false, .port = 587};
  explained.explanation.reply = "OK secure";
  explained.explanation.looked_up = true;
  const answer::Explanation read = answered(explained).explanation;
  EXPECT_EQ(read.profile, explained.explanation.profile);
  EXPECT_EQ(read.domain, name("a.example"));
  EXPECT_EQ(cache::encode(*read.entry), cache::encode(*policy_entry()));
  EXPECT_EQ(read.standing, resolver::Standing::Dane);
  EXPECT_EQ(read.target, explained.explanation.target);
  EXPECT_TRUE(read.looked_up);
  EXPECT_FALSE(read.map_known);
}

overrides::Override pinned() {
  return {
      .scope = *overrides::Scope::parse("*.p.example"),
      .action = overrides::Action::Pin,
      .mx = {*mtasts::MxPattern::parse("mx.p.example"), *mtasts::MxPattern::parse("*.q.example")},
      .reason = "ticket \"4711\", b\u00fccher",
      .until = at(5000),
      .source = overrides::Source::CommandLine,
      .decided_at = at(1000),
      .by = "uid 0"};
}

TEST(Answers, OverridesComeBackAsTheyWere) {
  EXPECT_EQ(answered(Overrides{{pinned()}}).all, std::vector{pinned()});
  EXPECT_EQ(answered(OverrideAdded{{pinned(), pinned()}}).all.size(), 2U);
  EXPECT_EQ(answered(OverrideRemoved{pinned()}).removed, pinned());
  EXPECT_EQ(answered(OverrideRemoved{}).removed, std::nullopt);
  Explained explained;
  explained.explanation.override_in_force = pinned();
  explained.explanation.standing = resolver::Standing::Overridden;
  EXPECT_EQ(answered(explained).explanation.override_in_force, pinned());
}

TEST(Requests, OverridesAreChecked) {
  auto request = decode_request(encode(Request(OverrideAddRequest{pinned()})));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(std::get<OverrideAddRequest>(*request).one, pinned());
  overrides::Override bad = pinned();
  bad.reason = "";
  EXPECT_FALSE(decode_request(encode(Request(OverrideAddRequest{bad}))));
  EXPECT_FALSE(decode_request("{\"command\":\"override-add\"}"));
  EXPECT_FALSE(decode_request("{\"command\":\"override-add\",\"override\":[1]}"));
  request = decode_request(encode(Request(OverrideRemoveRequest{pinned().scope})));
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<OverrideRemoveRequest>(*request).scope, pinned().scope);
  request = decode_request("{\"command\":\"override-remove\",\"name\":\"u@a.example\"}");
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().problem, Error::Problem::BadDomain);
}

// The largest list that may be stored is one line.
TEST(Answers, AsManyOverridesAsThereMayBeFit) {
  overrides::Override one = pinned();
  std::vector<overrides::Override> all;
  one.reason = "";
  while (true) {
    one.reason = one.reason.size() < 88 ? one.reason + "\"\u00fc" : "";
    all.push_back(one);
    if (!overrides::check_number(all)) {
      all.pop_back();
      break;
    }
  }
  std::vector<overrides::Override> both = all;
  both.insert(both.end(), all.begin(), all.end());
  EXPECT_LT(encode(Reply(Overrides{both})).size(), kMaxLineBytes);
}

TEST(Answers, OthersComeBackAsTheyWere) {
  EXPECT_FALSE(answered(Shown{}).entry);
  EXPECT_TRUE(answered(Shown{policy_entry()}).entry);
  EXPECT_TRUE(answered(Forgotten{policy_entry()}).entry);
  const auto refreshed =
      answered(Refreshed{Refreshed::Result::HeldBack, "why", resolver::Change::Drifted, nullptr});
  EXPECT_EQ(refreshed.result, Refreshed::Result::HeldBack);
  EXPECT_EQ(refreshed.change, resolver::Change::Drifted);
  EXPECT_EQ(answered(Imported{ImportResult::Newer, "it"}).result, ImportResult::Newer);
}

TEST(Answers, APageHasItsRecordsByteByByte) {
  Page page;
  for (std::size_t size = 0; size < 5; ++size) {
    page.records.push_back({"a" + std::to_string(size), std::string(size, '\0')});
  }
  page.records.push_back({"b", "\n\xff\x80\"\\"});
  page.next = "b";
  const Page read = answered(page);
  ASSERT_EQ(read.records.size(), page.records.size());
  for (std::size_t i = 0; i < page.records.size(); ++i) {
    EXPECT_EQ(read.records[i].domain, page.records[i].domain);
    EXPECT_EQ(read.records[i].bytes, page.records[i].bytes) << i;
  }
  EXPECT_EQ(read.next, "b");
}

// A page ends with the record that reaches kMaxPageBytes, and that may be a large one.
TEST(Answers, TheLargestPageFitsALine) {
  Page page;
  page.records.push_back({std::string(253, 'a'), std::string(kMaxPageBytes - 1, '\xff')});
  page.records.push_back({std::string(253, 'b'), std::string(200000, '\xff')});
  EXPECT_EQ(answered(page).records.size(), 2U);
}

TEST(Replies, ErrorsComeBackAsTheyWere) {
  const auto read = decode_reply(encode(Reply(failure(Error{Error::Problem::Busy, "later"}))));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().problem, Error::Problem::Busy);
  EXPECT_EQ(read.error().message, "later");
}

TEST(Replies, WhatIsWrongCanBeShownOnATerminal) {
  const auto told = decode_reply(R"({"ok": false, "error": "busy", "message": "\u001b[2J later"})");
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().message, R"(\x1b[2J later)");
  const auto rubbish = decode_reply("{\"\xff\x1b[2J");
  ASSERT_FALSE(rubbish);
  EXPECT_EQ(rubbish.error().message, printable(rubbish.error().message));
}

TEST(Replies, WhatCannotBeReadIsBroken) {
  for (const char* line :
       {"", "rubbish", "{}", R"({"ok": 1})", R"({"ok": true})",
        R"({"ok": true, "answer": "dance", "value": {}})",
        R"({"ok": true, "answer": "show", "value": {}})",
        R"({"ok": true, "answer": "show", "value": {"entry": 5}})",
        R"({"ok": true, "answer": "show", "value": {"entry": "AAAA"}})",
        R"({"ok": true, "answer": "list", "value": {"records": [["a", "?"]], "next": ""}})",
        R"({"ok": true, "answer": "refresh", "value": {"result": "good"}})",
        R"({"ok": false, "error": "tired", "message": ""})"}) {
    const auto read = decode_reply(line);
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().problem, Error::Problem::Broken) << line;
  }
}

}  // namespace
}  // namespace mtastsd::control
