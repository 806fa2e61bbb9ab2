#include "mtastsd/check/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "mtastsd/base/text.h"
#include "mtastsd/term/wrapping.h"
#include "sample_facts.h"

namespace mtastsd::check {
namespace {

using namespace test;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

struct Case {
  std::string name;
  std::function<void(Facts&)> change;
  Verdict verdict;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"sound", [](Facts&) {}, Verdict::Enforced},
      {"with a small fault", [](Facts& f) { f.record.value.ttl = Seconds(1000000); },
       Verdict::Enforced},
      {"mismatch", [](Facts& f) { f.mail = mail({mx_host("x.example")}); }, Verdict::Refused},
      {"one of two hosts not in the policy",
       [](Facts& f) { f.mail.value.hosts.push_back(mx_host("x.example")); },
       Verdict::PartlyRefused},
      {"no MX record and no address",
       [](Facts& f) { f.mail = Fact<MailServers>::none("no address"); }, Verdict::NoMailServer},
      {"the only MX host has no address",
       [](Facts& f) { f.mail.value.hosts[0].addresses = Fact<AddressRecords>::none(); },
       Verdict::NoMailServer},
      {"SMTP",
       [](Facts& f) {
         f.smtp_asked = true;
         f.mail.value.hosts[0].smtp[0].value.starttls = false;
       },
       Verdict::Refused},
      {"testing", [](Facts& f) { serve(f, policy_text("testing")); }, Verdict::Testing},
      {"none", [](Facts& f) { serve(f, policy_text("none")); }, Verdict::Withdrawn},
      {"nothing", [](Facts& f) { f = without(); }, Verdict::Missing},
      {"no record", [](Facts& f) { f.record = Fact<TextRecords>::none(); }, Verdict::Broken},
      {"two records",
       [](Facts& f) {
         f.record = text({"v=STSv1; id=1", "v=STSv1; id=2"});
       },
       Verdict::Broken},
      {"no policy", [](Facts& f) { failed(f, https::ErrorKind::Connect, "refused"); },
       Verdict::Broken},
      {"broken policy", [](Facts& f) { serve(f, "<html>"); }, Verdict::Broken},
      {"record at the domain",
       [](Facts& f) {
         f = without();
         f.apex_text = text({"v=STSv1; id=1"});
       },
       Verdict::Broken},
      {"record not known", [](Facts& f) { f.record = Fact<TextRecords>::unknown("SERVFAIL"); },
       Verdict::CannotTell},
      {"policy not known", [](Facts& f) { f.policy_host.fetch = Fact<Fetch>::unknown("SERVFAIL"); },
       Verdict::CannotTell},
      {"no domain",
       [](Facts& f) {
         f = without();
         f.domain_exists = false;
         f.mail = Fact<MailServers>::none();
       },
       Verdict::NoSuchDomain},
  };
  return all;
}

// A domain that means harm: long and strange text wherever text can come from outside.
Facts hostile() {
  const std::string evil =
      "\x1b]0;x\x07|`<b>"
      "\r\n\xff\xc2\x9b\xe2\x80\xae\xe2\x80\x8e\xe2\x81\xa6\xd8\x9c\xef\xbb\xbf\x7f" +
      std::string(3000, 'x') + "|`<b>\r\n\xff\xc3\xa4";
  Facts facts = sound();
  facts.smtp_asked = true;
  facts.cache_asked = true;
  facts.record = text({evil, "v=stsv1" + evil, "v=STSv1; id=" + evil});
  facts.record.value.chain = {evil, evil};
  facts.apex_text = text({"v=STSv1;" + evil});
  serve(facts, "mode: " + evil + "\nmx: " + evil + "\n" + evil + "\n\nmode: " + evil);
  auto& fetch = failed(facts, https::ErrorKind::Status, evil);
  fetch.seen.location = fetch.seen.media_type = evil;
  fetch.seen.status = 302;
  fetch.seen.certificate->names = std::vector<std::string>(200, evil);
  fetch.seen.certificate->issuer = fetch.seen.certificate->problem = evil;
  fetch.seen.certificate->name_matches = fetch.seen.certificate->chain_trusted = false;
  MxHost host = mx_host("mx.example.com");
  host.host = evil;
  host.addresses.value.chain = {evil};
  host.smtp[0].value.tls_error = evil;
  host.smtp[0].value.certificate = fetch.seen.certificate;
  host.tlsa = Fact<std::vector<dns::Tlsa>>::unknown(evil);
  facts.mail = mail({host});
  facts.mail.value.chain = {evil};
  facts.tlsrpt = text({"v=TLSRPTv1; rua=" + evil});
  facts.cached = Fact<CachedPolicy>::is({evil, evil, kNow, kNow});
  return facts;
}

std::vector<Facts> all_facts() {
  std::vector<Facts> all = {hostile()};
  Facts invalid = hostile();
  invalid.policy_host.fetch.value.error.reset();
  invalid.policy_host.fetch.value.body = "a\x1b: \x1b\n" + std::string(5000, 'x') + "\n";
  all.push_back(invalid);
  for (const Case& one : cases()) {
    Facts facts = sound();
    one.change(facts);
    all.push_back(std::move(facts));
  }
  return all;
}

TEST(Report, Verdicts) {
  std::set<Verdict> seen;
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    Facts facts = sound();
    one.change(facts);
    const Report report(std::move(facts));
    EXPECT_EQ(report.verdict(), one.verdict) << report.verdict_line();
    seen.insert(report.verdict());
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(Verdict::CannotTell) + 1);
}

TEST(Report, TextBeginsWithTheVerdict) {
  Facts facts = sound();
  facts.mail = mail({mx_host("mx.example.com"), mx_host("x.example")});
  const Report report(std::move(facts));
  const std::string text = report.text(false);
  EXPECT_TRUE(text.starts_with(
      "example.com: MTA-STS is enforced, and mail to 1 of 2 MX hosts is refused (1\nHIGH); score "
      "50 of 100.\n"))
      << text;
  const auto finding = text.find("HIGH     mta_sts_mx_mismatch: x.example");
  EXPECT_NE(finding, std::string::npos);
  EXPECT_LT(finding, text.find("Fix: Add it to the policy"));
  EXPECT_LT(finding, text.find("Next steps"));
  EXPECT_LT(text.find("Next steps"), text.find("\nMX hosts\n"));
  EXPECT_THAT(text, HasSubstr("MX 10       ERROR x.example, not in the policy"));
  EXPECT_THAT(text, HasSubstr("MX 10       ok    mx.example.com, in the policy"));
}

TEST(Report, SaysOnceWhatAKindOfFindingMeans) {
  Facts facts = sound();
  facts.mail = mail({mx_host("mx.example.com"), mx_host("x.example"), mx_host("y.example")});
  const std::string text = Report(std::move(facts)).text(false);
  EXPECT_THAT(text, HasSubstr("mta_sts_mx_mismatch: x.example\n"
                              "  HIGH     mta_sts_mx_mismatch: y.example\n"
                              "           No mx of the policy covers an MX host"));
  EXPECT_EQ(text.find("Fix: Add it"), text.rfind("Fix: Add it"));
}

TEST(Report, TextFitsATerminal) {
  for (Facts& facts : all_facts()) {
    const Report report(std::move(facts));
    const std::string text = report.text(false);
    EXPECT_TRUE(text.ends_with('\n'));
    std::istringstream lines(text);
    const std::string indent_of_fix_lines(15, ' ');
    for (std::string line; std::getline(lines, line);) {
      EXPECT_TRUE(term::columns_of(line) <= 80 || line.starts_with(indent_of_fix_lines)) << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
      EXPECT_EQ(printable(line), line);
    }
    EXPECT_LT(text.size(), 60000U);
  }
}

TEST(Report, ColoursChangeNothingElse) {
  for (Facts& facts : all_facts()) {
    const Report report(std::move(facts));
    std::string text = report.text(true);
    EXPECT_THAT(text, HasSubstr("\x1b[1m"));
    for (auto at = text.find('\x1b'); at != std::string::npos; at = text.find('\x1b')) {
      text.erase(at, text.find('m', at) - at + 1);
    }
    EXPECT_EQ(text, report.text(false));
  }
}

TEST(Report, CannotTellIsNotAbsent) {
  Facts facts = sound();
  facts.record = Fact<TextRecords>::unknown("SERVFAIL");
  facts.policy_host.addresses = Fact<AddressRecords>::unknown("SERVFAIL");
  facts.policy_host.fetch = Fact<Fetch>::unknown("SERVFAIL");
  facts.mail = Fact<MailServers>::unknown("SERVFAIL");
  facts.tlsrpt = Fact<TextRecords>::unknown("SERVFAIL");
  const Report report(std::move(facts));
  const std::string text = report.text(false);
  std::size_t said = 0;
  for (auto at = text.find(" unknown: SERVFAIL"); at != std::string::npos;
       at = text.find(" unknown: SERVFAIL", at + 1)) {
    ++said;
  }
  EXPECT_EQ(said, 5U) << text;
  EXPECT_THAT(text, Not(HasSubstr("none\n")));
  EXPECT_THAT(text, HasSubstr("at least 0 of 100"));
}

TEST(Report, MarkdownIsNotLedAstray) {
  const Report report(hostile());
  const std::string text = report.markdown();
  EXPECT_THAT(text, Not(HasSubstr("<b>")));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(printable(line), line);
    if (!line.starts_with("| ")) {
      continue;
    }
    std::size_t bars = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
    }
    EXPECT_TRUE(bars == 4 || bars == 5) << line;
  }
}

TEST(Report, JsonHoldsTheFacts) {
  const Report good(sound());
  const Report none(without());
  const json document = json::parse(to_json({&good, &none}));
  EXPECT_EQ(document["format"], 2);
  ASSERT_EQ(document["reports"].size(), 2U);
  const json& first = document["reports"][0];
  EXPECT_EQ(first["domain"], "example.com");
  EXPECT_EQ(first["verdict"], "enforced");
  EXPECT_EQ(first["score"]["total"], 100);
  EXPECT_EQ(first["complete"], true);
  EXPECT_EQ(first["facts"]["policy"]["mode"], "enforce");
  EXPECT_EQ(first["facts"]["policy_host"]["fetch"]["value"]["certificate"]["days_left"], 60);
  EXPECT_EQ(first["facts"]["mail"]["value"]["hosts"][0]["covered"], true);
  EXPECT_TRUE(first["facts"]["cached"].is_null());
  const json& second = document["reports"][1];
  EXPECT_EQ(second["facts"]["record"]["outcome"], "absent");
  EXPECT_EQ(second["findings"][0]["code"], "mta_sts_missing");
  EXPECT_EQ(second["findings"][0]["severity"], "LOW");
}

TEST(Report, JsonIsAsciiWhateverComes) {
  const Report report(hostile());
  const std::string text = to_json({&report});
  EXPECT_TRUE(std::all_of(text.begin(), text.end(),
                          [](char c) { return (c >= ' ' && c <= '~') || c == '\n'; }));
  EXPECT_TRUE(json::accept(text));
}

TEST(ListOfFindings, HasAllCodesAndParts) {
  const std::string text = list_of_findings();
  for (const FindingKind& kind : finding_kinds()) {
    EXPECT_THAT(text,
                HasSubstr(std::string(kind.code) + " " + std::string(to_string(kind.severity))));
  }
  for (const PartKind& part : score_parts()) {
    EXPECT_THAT(text, HasSubstr(std::string(part.code)));
  }
}

}  // namespace
}  // namespace mtastsd::check
