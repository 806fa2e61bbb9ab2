#include "mtastsd/check/score.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "analysis.h"
#include "mtastsd/check/findings.h"
#include "sample_facts.h"

namespace mtastsd::check {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Score score_of(const Facts& facts) {
  const Analysis analysis = analyse(facts);
  return score(facts, analysis, find(facts, analysis));
}
std::vector<std::string> advice_for(const Facts& facts) {
  const Analysis analysis = analyse(facts);
  return advice(facts, analysis, find(facts, analysis));
}
std::string mode_in(const Facts& facts) {
  return score_of(facts).parts.at(static_cast<std::size_t>(Part::Mode)).why;
}

// -1: cannot tell.
using Points = std::vector<int>;

Points points(const Facts& facts) {
  Points all;
  for (const PartScore& part : score_of(facts).parts) {
    all.push_back(part.points.value_or(-1));
  }
  return all;
}

TEST(Score, PartsAddUp) {
  Score full = score_of(sound());
  EXPECT_EQ(full.total, 100);
  EXPECT_TRUE(full.complete);
  for (std::size_t i = 0; i < full.parts.size(); ++i) {
    EXPECT_EQ(full.parts[i].kind, &score_parts()[i]);
    EXPECT_EQ(full.parts[i].points, full.parts[i].kind->max);
  }
}

TEST(Score, ATableOfDomains) {
  struct Row {
    std::string name;
    std::function<void(Facts&)> change;
    // record, policy_host, policy, mode, max_age, mail_servers, reports
    Points expected;
  };
  const auto body = [](std::string text) {
    return [text = std::move(text)](Facts& f) { serve(f, text); };
  };
  const std::vector<Row> rows = {
      {"sound", [](Facts&) {}, {10, 15, 10, 30, 10, 15, 10}},
      {"nothing", [](Facts& f) { f = without(); }, {0, 0, 0, 0, 0, 0, 0}},
      {"testing", body(policy_text("testing")), {10, 15, 10, 15, 10, 15, 10}},
      {"none", body(policy_text("none", {})), {10, 15, 10, 0, 0, 0, 10}},
      {"no record",
       [](Facts& f) { f.record = Fact<TextRecords>::none(); },
       {0, 15, 10, 0, 0, 0, 10}},
      {"invalid policy", body("x"), {10, 15, 0, 0, 0, 0, 10}},
      {"faults in it", body(policy_text() + "mode: none\r\n"), {10, 15, 5, 30, 10, 15, 10}},
      {"notes in it", body(policy_text() + "\r\n"), {10, 15, 10, 30, 10, 15, 10}},
      {"byte order mark", body("\xef\xbb\xbf" + policy_text()), {10, 15, 5, 30, 10, 15, 10}},
      {"a week",
       body(policy_text("enforce", {"mx.example.com"}, "604800")),
       {10, 15, 10, 30, 7, 15, 10}},
      {"a day",
       body(policy_text("enforce", {"mx.example.com"}, "86400")),
       {10, 15, 10, 30, 3, 15, 10}},
      {"less",
       body(policy_text("enforce", {"mx.example.com"}, "86399")),
       {10, 15, 10, 30, 0, 15, 10}},
      {"unreachable",
       [](Facts& f) { failed(f, https::ErrorKind::Connect, "refused"); },
       {10, 0, 0, 0, 0, 0, 10}},
      {"certificate ends",
       [](Facts& f) { f.policy_host.fetch.value.seen.certificate->not_after = kNow; },
       {10, 12, 10, 30, 10, 15, 10}},
      {"uncovered",
       [](Facts& f) { f.mail.value.hosts.push_back(mx_host("x.example")); },
       {10, 15, 10, 30, 10, 0, 10}},
      {"unused",
       body(policy_text("enforce", {"mx.example.com", "x.example"})),
       {10, 15, 10, 30, 10, 12, 10}},
      {"SMTP fails",
       [](Facts& f) {
         f.smtp_asked = true;
         f.mail.value.hosts[0].smtp[0].value.certificate->in_time = false;
       },
       {10, 15, 10, 30, 10, 0, 10}},
      {"SMTP good", [](Facts& f) { f.smtp_asked = true; }, {10, 15, 10, 30, 10, 15, 10}},
      {"SMTP not known",
       [](Facts& f) {
         f.smtp_asked = true;
         f.mail.value.hosts[0].smtp = {Fact<Smtp>::unknown("no route")};
       },
       {10, 15, 10, 30, 10, -1, 10}},
      {"null MX",
       [](Facts& f) {
         f.mail = mail({});
         f.mail.value.null_mx = true;
       },
       {10, 15, 10, 30, 10, 15, 10}},
      {"no reports",
       [](Facts& f) { f.tlsrpt = Fact<TextRecords>::none(); },
       {10, 15, 10, 30, 10, 15, 0}},
      {"reports to nowhere",
       [](Facts& f) { f.tlsrpt = text({"v=TLSRPTv1; rua=ftp:x"}); },
       {10, 15, 10, 30, 10, 15, 0}},
      {"record not known",
       [](Facts& f) { f.record = Fact<TextRecords>::unknown("x"); },
       {-1, 15, 10, -1, -1, -1, 10}},
      {"policy not known",
       [](Facts& f) { f.policy_host.fetch = Fact<Fetch>::unknown("x"); },
       {10, -1, -1, -1, -1, -1, 10}},
      {"MX not known",
       [](Facts& f) { f.mail = Fact<MailServers>::unknown("x"); },
       {10, 15, 10, 30, 10, -1, 10}},
      {"reports not known",
       [](Facts& f) { f.tlsrpt = Fact<TextRecords>::unknown("x"); },
       {10, 15, 10, 30, 10, 15, -1}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Facts facts = sound();
    row.change(facts);
    EXPECT_EQ(points(facts), row.expected);
    const Score result = score_of(facts);
    int sum = 0;
    bool complete = true;
    for (const int part : row.expected) {
      sum += std::max(part, 0);
      complete = complete && part >= 0;
    }
    for (const Finding& finding : find(facts, analyse(facts))) {
      for (const Cap& cap : score_caps()) {
        sum = finding.kind->severity == cap.severity ? std::min(sum, cap.most) : sum;
      }
    }
    EXPECT_EQ(result.total, sum);
    EXPECT_EQ(result.complete, complete);
  }
}

TEST(Score, IsNotAboveWhatTheFindingsAllow) {
  Facts facts = sound();
  facts.smtp_asked = true;
  facts.mail.value.hosts[0].smtp[0].value.starttls = false;
  EXPECT_EQ(score_of(facts).total, 50);
  EXPECT_EQ(score_of(facts).cap->severity, Severity::High);
  facts = sound();
  facts.smtp_asked = true;
  facts.mail.value.hosts[0].smtp[0].value.tls_version = "TLSv1.1";
  EXPECT_EQ(score_of(facts).total, 80);
  facts = sound();
  facts.record.value.ttl = Seconds(1000000);
  EXPECT_EQ(score_of(facts).total, 95);
  EXPECT_EQ(score_of(sound()).cap, nullptr);
}

// Whoever does as they are told has nothing to put right.
TEST(Advice, LeadsToNoFindings) {
  Facts facts = without();
  facts.record = text({"v=STSv1; id=20261122000000;"});
  facts.policy_host = sound().policy_host;
  facts.tlsrpt = sound().tlsrpt;
  for (const auto& [mode, max_age] :
       {std::pair("testing", "86400"), std::pair("testing", "300"), std::pair("enforce", "604800"),
        std::pair("enforce", "1209600")}) {
    serve(facts, policy_text(mode, {"mx.example.com"}, max_age));
    for (const Finding& finding : find(facts, analyse(facts))) {
      EXPECT_LT(finding.kind->severity, Severity::Low) << finding.kind->code << " " << mode;
    }
  }
}

TEST(Score, ModeGives30Or15OrNothing) {
  Facts facts = sound();
  EXPECT_EQ(mode_in(facts), "enforce");
  EXPECT_EQ(points(facts)[3], 30);
  serve(facts, policy_text("testing"));
  EXPECT_EQ(points(facts)[3], 15);
  serve(facts, policy_text("none"));
  EXPECT_EQ(points(facts)[3], 0);
}

TEST(Advice, NamesTheNextStepOfARollOut) {
  EXPECT_THAT(advice_for(sound()), IsEmpty());

  EXPECT_THAT(advice_for(without()), ElementsAre(testing::AllOf(HasSubstr("mode: testing"),
                                                                HasSubstr("mx: mx.example.com"),
                                                                HasSubstr("id=20261122000000;")),
                                                 HasSubstr("_smtp._tls.example.com")));

  Facts facts = sound();
  serve(facts, policy_text("testing"));
  facts.record = text({"v=STSv1; id=20261115"});
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("until two weeks are over")));
  facts.record = text({"v=STSv1; id=20261108"});
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("two weeks ago or more")));
  facts.record = text({"v=STSv1; id=x"});
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("for two weeks")));
  facts.tlsrpt = Fact<TextRecords>::none();
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("_smtp._tls"), HasSubstr("for two weeks")));

  facts = sound();
  serve(facts, policy_text("enforce", {"mx.example.com"}, "604800"));
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("raise max_age")));

  serve(facts, policy_text("none", {}));
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("To return to MTA-STS")));

  facts = sound();
  facts.mail = mail({mx_host("other.example")});
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("begin with the worst")));

  facts.record = Fact<TextRecords>::unknown("SERVFAIL");
  EXPECT_THAT(advice_for(facts), ElementsAre(HasSubstr("Try again")));
}

}  // namespace
}  // namespace mtastsd::check
