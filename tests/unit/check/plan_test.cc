#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mtastsd/check/report.h"
#include "sample_facts.h"

namespace mtastsd::check {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::Not;

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

TEST(GuideToFix, KeepsThePhaseOfTheRollOut) {
  Facts facts = sound();
  serve(facts, policy_text("testing", {"*.example.com", "old.example"}, "86400"));
  facts.mail = mail({mx_host("mx.example.com"), mx_host("mx.example.net")});
  const Guidance guide = guide_to_fix(Report(std::move(facts)));
  EXPECT_EQ(guide.kind, Guidance::Kind::Steps);
  EXPECT_EQ(guide.text,
            "example.com: what to publish for the MX hosts of 2026-11-22, in mode testing\n\n"
            "1. Serve this policy at https://mta-sts.example.com/.well-known/mta-sts.txt:\n\n"
            "version: STSv1\nmode: testing\nmx: *.example.com\nmx: mx.example.net\n"
            "max_age: 86400\n\n"
            "2. Then publish this TXT record. Its id is new, so senders fetch the policy:\n\n"
            "_mta-sts.example.com. 3600 IN TXT \"v=STSv1; id=20261122000000;\"\n");
}

TEST(GuideToFix, ChangesNothingThatIsRight) {
  EXPECT_EQ(guide_to_fix(Report(sound())).kind, Guidance::Kind::Nothing);
  Facts facts = sound();
  facts.record = text({"v=STSv1; id=a-b"});
  EXPECT_THAT(guide_to_fix(Report(std::move(facts))).text,
              HasSubstr("The policy (mode enforce) is right as it is"));
  facts = sound();
  facts.tlsrpt = Fact<TextRecords>::none();
  const std::string reports = guide_to_fix(Report(std::move(facts))).text;
  EXPECT_THAT(reports, HasSubstr("_smtp._tls.example.com. 3600 IN TXT \"v=TLSRPTv1; "));
  EXPECT_THAT(reports, Not(HasSubstr("STSv1;  id")));
}

TEST(GuideToFix, RaisesAShortLifeInModeEnforce) {
  Facts facts = sound();
  serve(facts, policy_text("enforce", {"mx.example.com"}, "300"));
  facts.mail = mail({mx_host("mx2.example.com")});
  EXPECT_THAT(guide_to_fix(Report(std::move(facts))).text, HasSubstr("max_age: 604800\n"));
}

TEST(GuideToFix, SaysWhatOnlyTheProviderCanDo) {
  Facts facts = sound();
  facts.record.value.chain = {"_mta-sts.provider.example"};
  facts.policy_host.addresses.value.chain = {"mta-sts.provider.example"};
  facts.mail = mail({mx_host("mx.example.net")});
  const std::string guide = guide_to_fix(Report(std::move(facts))).text;
  EXPECT_THAT(guide, HasSubstr("Have this policy served by mta-sts.provider.example"));
  EXPECT_THAT(guide, HasSubstr("is an alias of _mta-sts.provider.example, where the id"));
  EXPECT_THAT(guide, Not(HasSubstr("IN TXT \"v=STSv1")));
}

TEST(GuideToFix, NamesNoPolicyWithoutMailServers) {
  Facts facts = sound();
  facts.mail = Fact<MailServers>::unknown("SERVFAIL");
  EXPECT_EQ(guide_to_fix(Report(facts)).kind, Guidance::Kind::CannotTell);
  facts.mail = Fact<MailServers>::none("no address");
  EXPECT_EQ(guide_to_fix(Report(facts)).kind, Guidance::Kind::Nothing);
  facts.domain_exists = false;
  EXPECT_EQ(guide_to_fix(Report(facts)).kind, Guidance::Kind::CannotTell);
}

TEST(GuideToBegin, HasAllThatADomainNeeds) {
  const Guidance guide = guide_to_begin(Report(without()));
  EXPECT_EQ(guide.kind, Guidance::Kind::Steps);
  for (const char* part :
       {"server_name mta-sts.example.com;", "mta-sts.example.com {\n", " IN CNAME ",
        "mode: testing\nmx: mx.example.com\nmax_age: 86400\n", "id=20261122000000;\"",
        "_smtp._tls.example.com. 3600 IN TXT", "check --smtp example.com"}) {
    EXPECT_THAT(guide.text, HasSubstr(part));
  }
  EXPECT_EQ(guide_to_begin(Report(sound())).kind, Guidance::Kind::Nothing);
}

TEST(GuideToMove, WaitsUntilNobodyCanHaveTheOldPolicy) {
  const Report report(sound());  // max_age of two weeks, TTLs of an hour
  const Guidance guide = guide_to_move(report, {name("mx1.example.net"), name("mx2.example.net")});
  EXPECT_EQ(guide.kind, Guidance::Kind::Steps);
  const std::size_t both = guide.text.find("mx: mx.example.com\nmx: mx1.example.net\nmx: mx2.");
  const std::size_t date = guide.text.find("2026-12-06 01:00:00 UTC");
  const std::size_t records = guide.text.find("example.com. 3600 IN MX 10 mx1.example.net.");
  const std::size_t old_off = guide.text.find("From 2026-12-06 02:00:00 UTC on");
  const std::size_t after = guide.text.find("mode: enforce\nmx: mx1.example.net\nmx: mx2.");
  ASSERT_NE(after, std::string::npos) << guide.text;
  EXPECT_LT(both, date);
  EXPECT_LT(date, records);
  EXPECT_LT(records, old_off);
  EXPECT_LT(old_off, after);
}

TEST(GuideToMove, NeedsNoWaitWithoutAPolicy) {
  EXPECT_EQ(guide_to_move(Report(without()), {name("mx.example.net")}).kind,
            Guidance::Kind::Nothing);
}

}  // namespace
}  // namespace mtastsd::check
