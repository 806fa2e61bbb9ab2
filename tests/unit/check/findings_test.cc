#include "mtastsd/check/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "analysis.h"
#include "sample_facts.h"

namespace mtastsd::check {
namespace {

using namespace test;
using testing::IsEmpty;

using Codes = std::vector<std::string>;

std::vector<Finding> findings_of(const Facts& facts) {
  return find(facts, analyse(facts));
}

Codes codes(const Facts& facts) {
  Codes found;
  for (const auto& finding : findings_of(facts)) {
    found.emplace_back(finding.kind->code);
  }
  return found;
}

TEST(FindingKinds, HaveStableCodesAndPlainText) {
  std::set<std::string_view> seen;
  for (const FindingKind& kind : finding_kinds()) {
    SCOPED_TRACE(kind.code);
    EXPECT_TRUE(seen.insert(kind.code).second);
    EXPECT_TRUE(kind.meaning.ends_with('.'));
    EXPECT_TRUE(kind.fix.empty() || kind.fix.ends_with('.'));
    EXPECT_TRUE(!kind.fix.empty() || kind.severity == Severity::Info) << "how is it put right?";
    EXPECT_EQ(kind.code.ends_with("_unknown"),
              kind.severity == Severity::Unknown || kind.id == Code::FieldUnknown);
  }
  struct Promise {
    Code code;
    std::string_view text;
    Severity severity;
  };
  for (const auto& [code, text, severity] :
       {Promise{Code::RecordMissing, "mta_sts_missing", Severity::Low},
        Promise{Code::ModeNone, "mta_sts_mode_none", Severity::Low},
        Promise{Code::ModeTesting, "mta_sts_mode_testing", Severity::Info},
        Promise{Code::MxMismatch, "mta_sts_mx_mismatch", Severity::High},
        Promise{Code::Unreachable, "mta_sts_unreachable", Severity::Medium}}) {
    EXPECT_EQ(kind_of(code).code, text);
    EXPECT_EQ(kind_of(code).severity, severity);
  }
}

TEST(Severity, IsReadInEitherCase) {
  EXPECT_EQ(parse_severity("HIGH"), Severity::High);
  EXPECT_EQ(parse_severity("medium"), Severity::Medium);
  EXPECT_EQ(parse_severity("Low"), Severity::Low);
  EXPECT_EQ(parse_severity("info"), Severity::Info);
  EXPECT_EQ(parse_severity("highest"), std::nullopt);
  EXPECT_EQ(parse_severity(""), std::nullopt);
}

// A certificate of so many days has so much left.
void lives(https::Certificate& certificate, int days, Seconds left) {
  certificate.not_after = kNow + left;
  certificate.not_before = certificate.not_after - Seconds(days * 86400);
}

struct Row {
  std::string name;
  std::function<void(Facts&)> change;  // of a sound domain
  Codes expected;
};

void run(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Facts facts = sound();
    row.change(facts);
    EXPECT_EQ(codes(facts), row.expected);
    for (const auto& finding : findings_of(facts)) {
      EXPECT_EQ(finding.detail.find('\n'), std::string::npos);
    }
  }
}

TEST(Find, NothingAboutASoundDomain) {
  EXPECT_THAT(codes(sound()), IsEmpty());
  EXPECT_FALSE(has_gaps(sound()));
}

TEST(Find, NoMtaSts) {
  EXPECT_EQ(codes(without()), (Codes{"mta_sts_missing", "tlsrpt_missing"}));
}

// RFC 8461 section 3.1.
TEST(Find, TheRecord) {
  run({
      {"two",
       [](Facts& f) {
         f.record = text({"v=STSv1; id=1", "v=STSv1; id=2"});
       },
       {"mta_sts_record_multiple"}},
      {"beside others",
       [](Facts& f) {
         f.record = text({"v=spf1 -all", "v=STSv1; id=20261122"});
       },
       {}},
      {"broken",
       [](Facts& f) { f.record = text({"v=STSv1; id=a-b"}); },
       {"mta_sts_record_invalid"}},
      {"no id", [](Facts& f) { f.record = text({"v=STSv1;"}); }, {"mta_sts_record_invalid"}},
      {"lower case",
       [](Facts& f) { f.record = text({"v=stsv1; id=1"}); },
       {"mta_sts_record_misspelt", "mta_sts_policy_without_record", "mta_sts_missing"}},
      {"in quotes",
       [](Facts& f) { f.record = text({"\"v=STSv1; id=1\""}); },
       {"mta_sts_record_misspelt", "mta_sts_policy_without_record", "mta_sts_missing"}},
      {"the policy in it",
       [](Facts& f) { f.record = text({"version: STSv1"}); },
       {"mta_sts_record_misspelt", "mta_sts_policy_without_record", "mta_sts_missing"}},
      {"gone",
       [](Facts& f) { f.record = Fact<TextRecords>::none(); },
       {"mta_sts_policy_without_record", "mta_sts_missing"}},
      {"at the domain",
       [](Facts& f) {
         f = without();
         f.apex_text = text({"v=STSv1; id=1"});
       },
       {"mta_sts_record_misplaced", "mta_sts_unreachable", "policy_host_no_address",
        "mta_sts_missing", "tlsrpt_missing"}},
      {"an alias that leads nowhere",
       [](Facts& f) {
         f = without();
         f.record.value.chain = {"_mta-sts.provider.example"};
         f.record.value.dangling = true;
       },
       {"mta_sts_record_dangling", "mta_sts_missing", "tlsrpt_missing"}},
      {"any id", [](Facts& f) { f.record = text({"v=STSv1; id=a"}); }, {"mta_sts_id_no_timestamp"}},
      {"long TTL",
       [](Facts& f) { f.record.value.ttl = Seconds(86401); },
       {"mta_sts_record_ttl_long"}},
      {"a day", [](Facts& f) { f.record.value.ttl = Seconds(86400); }, {}},
  });
}

TEST(Find, SaysWhereARecordIsBroken) {
  Facts facts = sound();
  facts.record = text({"v=STSv1; id=a-b"});
  EXPECT_EQ(findings_of(facts).at(0).detail, "at byte 12: not an id: \"a-b\"");
}

// RFC 8461 section 3.3.
TEST(Find, ThePolicyHost) {
  using https::ErrorKind;
  const auto certificate = [](Facts& f) -> https::Certificate& {
    return *f.policy_host.fetch.value.seen.certificate;
  };
  run({
      {"no address",
       [](Facts& f) {
         f.policy_host.addresses = Fact<AddressRecords>::none();
         f.policy_host.fetch = Fact<Fetch>::none("no address");
       },
       {"mta_sts_unreachable", "policy_host_no_address"}},
      {"local address",
       [](Facts& f) { f.policy_host.fetch = Fact<Fetch>::none("only local addresses"); },
       {"mta_sts_unreachable", "policy_host_local_address"}},
      {"connect",
       [](Facts& f) { failed(f, ErrorKind::Connect, "refused"); },
       {"mta_sts_unreachable"}},
      {"tls",
       [](Facts& f) { failed(f, ErrorKind::Tls, "alert"); },
       {"mta_sts_unreachable", "policy_host_tls_failed"}},
      {"untrusted",
       [&](Facts& f) {
         failed(f, ErrorKind::Certificate, "self-signed");
         certificate(f).chain_trusted = false;
       },
       {"mta_sts_unreachable", "policy_host_cert_untrusted"}},
      {"expired",
       [&](Facts& f) {
         failed(f, ErrorKind::Certificate, "expired");
         certificate(f).in_time = false;
         certificate(f).not_after = kNow - Seconds(1);
       },
       {"mta_sts_unreachable", "policy_host_cert_expired"}},
      {"another name",
       [&](Facts& f) {
         failed(f, ErrorKind::Certificate, "name");
         certificate(f).name_matches = false;
         certificate(f).names = {"www.example.com", "example.com"};
       },
       {"mta_sts_unreachable", "policy_host_cert_name"}},
      {"less than a third of its life left, and 13 days",
       [&](Facts& f) { lives(certificate(f), 42, Seconds(14 * 86400 - 1)); },
       {"policy_host_cert_expiring"}},
      {"less than a third, and 14 days",
       [&](Facts& f) { lives(certificate(f), 90, Seconds(14 * 86400)); },
       {}},
      {"13 days, and a third",
       [&](Facts& f) { lives(certificate(f), 39, Seconds(13 * 86400)); },
       {}},
      {"of six days, an hour old",
       [&](Facts& f) { lives(certificate(f), 6, Seconds(6 * 86400 - 3600)); },
       {}},
      {"another name at one of two addresses",
       [&](Facts& f) {
         f.policy_host.by_address = {f.policy_host.fetch.value, f.policy_host.fetch.value};
         f.policy_host.by_address[0].seen.certificate->name_matches = false;
       },
       {"policy_host_cert_name"}},
      {"404",
       [](Facts& f) { failed(f, ErrorKind::Status, "status 404").seen.status = 404; },
       {"mta_sts_unreachable", "policy_http_status"}},
      {"302",
       [](Facts& f) { failed(f, ErrorKind::Status, "status 302").seen.status = 302; },
       {"mta_sts_unreachable", "policy_redirect"}},
      {"media type",
       [](Facts& f) { failed(f, ErrorKind::MediaType, "text/html"); },
       {"mta_sts_unreachable", "policy_media_type"}},
      {"too large",
       [](Facts& f) { failed(f, ErrorKind::TooLarge, "too large"); },
       {"mta_sts_unreachable", "policy_too_large"}},
      {"slow",
       [](Facts& f) { f.policy_host.fetch.value.seen.took = Milliseconds(10001); },
       {"policy_slow"}},
      {"at the domain's own host",
       [](Facts& f) {
         f.policy_host.addresses = Fact<AddressRecords>::none();
         f.policy_host.fetch = Fact<Fetch>::none();
         Fetch apex;
         apex.body = policy_text();
         f.apex_host.fetch = Fact<Fetch>::is(apex);
       },
       {"mta_sts_unreachable", "policy_host_no_address", "policy_on_apex"}},
  });
}

TEST(Find, TheCertificateOfTheDomainItself) {
  Facts facts = sound();
  auto& certificate = *failed(facts, https::ErrorKind::Certificate, "name").seen.certificate;
  certificate.name_matches = false;
  certificate.names = {"www.example.com", "example.com"};
  EXPECT_EQ(findings_of(facts).at(1).detail, "it is the certificate of example.com itself");
  certificate.names = {"a.example", "b.example", "c.example"};
  EXPECT_EQ(findings_of(facts).at(1).detail, "it names a.example and 2 others");
}

// RFC 8461 section 3.2.
TEST(Find, ThePolicy) {
  const auto body = [](std::string text) {
    return [text = std::move(text)](Facts& f) { serve(f, text); };
  };
  run({
      {"html", body("<html>\n</html>\n"), {"policy_is_html"}},
      {"one line",
       body("version: STSv1 mode: enforce mx: mx.example.com max_age: 86400\n"),
       {"policy_line_breaks_missing"}},
      {"mode", body(policy_text("Enforce")), {"mta_sts_policy_invalid"}},
      {"no mx", body(policy_text("enforce", {})), {"mta_sts_policy_invalid"}},
      {"none", body(policy_text("none", {})), {"mta_sts_mode_none"}},
      {"testing", body(policy_text("testing")), {"mta_sts_mode_testing"}},
      {"none, short, no host covered",
       body(policy_text("none", {"a.b"}, "1")),
       {"mta_sts_mode_none"}},
      {"tiny", body(policy_text("enforce", {"mx.example.com"}, "86399")), {"policy_max_age_tiny"}},
      {"a day",
       body(policy_text("enforce", {"mx.example.com"}, "86400")),
       {"policy_max_age_short"}},
      {"a week", body(policy_text("enforce", {"mx.example.com"}, "604800")), {}},
      {"half a year", body(policy_text("enforce", {"mx.example.com"}, "15552000")), {}},
      {"more",
       body(policy_text("enforce", {"mx.example.com"}, "15552001")),
       {"policy_max_age_long"}},
      {"a year",
       body(policy_text("enforce", {"mx.example.com"}, "31557600")),
       {"policy_max_age_long"}},
      {"over it",
       body(policy_text("enforce", {"mx.example.com"}, "31557601")),
       {"policy_max_age_over_limit"}},
      {"misspelt", body(policy_text() + "max-age: 1\r\n"), {"policy_field_misspelt"}},
      {"unknown", body(policy_text() + "x: 1\r\n"), {"policy_field_unknown"}},
      {"duplicate", body(policy_text() + "mode: testing\r\n"), {"policy_field_duplicate"}},
      {"address",
       body(policy_text("enforce", {"mx.example.com", "192.0.2.1"})),
       {"policy_mx_unmatchable"}},
      {"final dot", body(policy_text("enforce", {"mx.example.com."})), {"policy_mx_final_dot"}},
      {"repeated",
       body(policy_text("enforce", {"mx.example.com", "MX.example.com"})),
       {"policy_mx_repeated"}},
      {"line ends",
       body(policy_text() + "mode: enforce\n"),
       {"policy_field_duplicate", "policy_line_ends_mixed"}},
      {"byte order mark", body("\xef\xbb\xbf" + policy_text()), {"policy_byte_order_mark"}},
      {"blank", body(policy_text() + "\r\n\r\n"), {"policy_blank_lines"}},
  });
}

TEST(Find, OneFindingForAllLinesOfAKind) {
  Facts facts = sound();
  std::string body = policy_text();
  for (int i = 0; i < 100; ++i) {
    body += "x: y\r\n";
  }
  serve(facts, body);
  const auto found = findings_of(facts);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].detail.starts_with("line 5: \"x: y\"; line 6"));
  EXPECT_TRUE(found[0].detail.ends_with("; and 95 more"));
}

// RFC 8461 section 4.1.
TEST(Find, MxHostsAgainstPatterns) {
  const auto with = [](std::vector<std::string> patterns, std::vector<std::string> hosts) {
    return [=](Facts& f) {
      serve(f, policy_text("enforce", patterns));
      f.mail = mail({});
      for (const auto& host : hosts) {
        f.mail.value.hosts.push_back(mx_host(host));
      }
    };
  };
  run({
      {"one label", with({"*.example.com"}, {"a.example.com", "b.example.com"}), {}},
      {"two labels",
       with({"*.example.com"}, {"a.b.example.com"}),
       {"mta_sts_mx_mismatch", "mta_sts_mx_unused"}},
      {"no label",
       with({"*.example.com"}, {"example.com"}),
       {"mta_sts_mx_mismatch", "mta_sts_mx_unused"}},
      {"two uncovered",
       with({"a.example"}, {"a.example", "b.example", "c.example"}),
       {"mta_sts_mx_mismatch", "mta_sts_mx_mismatch"}},
      {"one unused", with({"a.example", "b.example"}, {"a.example"}), {"mta_sts_mx_unused"}},
      {"case", with({"A.Example"}, {"a.eXample"}), {}},
      {"not a host",
       with({"a.example"}, {"a.example", "192.0.2.1"}),
       {"mta_sts_mx_mismatch", "mx_not_a_host"}},
      {"testing",
       [](Facts& f) {
         serve(f, policy_text("testing"));
         f.mail = mail({mx_host("other.example")});
       },
       {"mta_sts_mx_mismatch", "mta_sts_mx_unused", "mta_sts_mode_testing"}},
  });
}

TEST(Find, MailServers) {
  run({
      {"alias",
       [](Facts& f) { f.mail.value.hosts[0].addresses.value.chain = {"b.example"}; },
       {"mx_alias"}},
      {"no address",
       [](Facts& f) { f.mail.value.hosts[0].addresses = Fact<AddressRecords>::none(); },
       {"mx_no_address"}},
      {"implicit", [](Facts& f) { f.mail.value.implicit = true; }, {"mx_implicit"}},
      {"null",
       [](Facts& f) {
         f.mail = mail({});
         f.mail.value.null_mx = true;
         f.tlsrpt = Fact<TextRecords>::none();
       },
       {"mx_null"}},
      {"null and others", [](Facts& f) { f.mail.value.null_mx = true; }, {"mx_null_mixed"}},
      {"too many, and a pattern for one of them",
       [](Facts& f) {
         serve(f, policy_text("enforce", {"mx.example.com", "x.example"}));
         f.mail.value.left_out = 3;
       },
       {"mx_too_many"}},
      {"no domain",
       [](Facts& f) {
         f = without();
         f.domain_exists = false;
         f.mail = Fact<MailServers>::none();
       },
       {"domain_missing", "mta_sts_missing"}},
      {"no MX record and no address",
       [](Facts& f) { f.mail = Fact<MailServers>::none("no address"); },
       {"mail_server_missing"}},
  });
}

// RFC 8461 section 4.2.
TEST(Find, WhatMailServersDo) {
  const auto smtp = [](std::function<void(Smtp&)> change) {
    return [=](Facts& f) {
      f.smtp_asked = true;
      change(f.mail.value.hosts[0].smtp[0].value);
    };
  };
  run({
      {"sound", smtp([](Smtp&) {}), {}},
      {"not asked for", [](Facts& f) { f.mail.value.hosts[0].smtp[0].value.starttls = false; }, {}},
      {"no STARTTLS", smtp([](Smtp& s) { s = {.address = "192.0.2.1"}; }), {"smtp_no_starttls"}},
      {"handshake",
       smtp([](Smtp& s) {
         s.tls_error = "alert";
         s.certificate.reset();
       }),
       {"smtp_tls_failed"}},
      {"old", smtp([](Smtp& s) { s.tls_version = "TLSv1.1"; }), {"smtp_tls_old"}},
      {"untrusted",
       smtp([](Smtp& s) { s.certificate->chain_trusted = false; }),
       {"smtp_cert_untrusted"}},
      {"expired", smtp([](Smtp& s) { s.certificate->in_time = false; }), {"smtp_cert_expired"}},
      {"name", smtp([](Smtp& s) { s.certificate->name_matches = false; }), {"smtp_cert_name"}},
      {"13 days",
       smtp([](Smtp& s) { lives(*s.certificate, 90, Seconds(13 * 86400)); }),
       {"smtp_cert_expiring"}},
  });
}

// RFC 8460 section 3.
TEST(Find, Reports) {
  run({
      {"in quotes",
       [](Facts& f) { f.tlsrpt = text({"\"v=TLSRPTv1; rua=mailto:a@b.c\""}); },
       {"tlsrpt_misspelt"}},
      {"schemes have no case",
       [](Facts& f) { f.tlsrpt = text({"v=TLSRPTv1; rua=MAILTO:a@b.c,HTTPS://b.c/x"}); },
       {}},
      {"two rua fields, one of no use",
       [](Facts& f) { f.tlsrpt = text({"v=TLSRPTv1; rua=mailto:a@b.c; rua=ftp:x"}); },
       {"tlsrpt_destination"}},
      {"none", [](Facts& f) { f.tlsrpt = Fact<TextRecords>::none(); }, {"tlsrpt_missing"}},
      {"other records only",
       [](Facts& f) { f.tlsrpt = text({"v=spf1 -all"}); },
       {"tlsrpt_missing"}},
      {"none in testing",
       [](Facts& f) {
         serve(f, policy_text("testing"));
         f.tlsrpt = Fact<TextRecords>::none();
       },
       {"tlsrpt_missing_in_testing", "mta_sts_mode_testing"}},
      {"two",
       [](Facts& f) {
         f.tlsrpt = text({"v=TLSRPTv1; rua=mailto:a@b.c", "v=TLSRPTv1; rua=mailto:a@b.c"});
       },
       {"tlsrpt_multiple"}},
      {"broken", [](Facts& f) { f.tlsrpt = text({"v=TLSRPTv1; rua=x"}); }, {"tlsrpt_invalid"}},
      {"http",
       [](Facts& f) { f.tlsrpt = text({"v=TLSRPTv1; rua=http://a.example/"}); },
       {"tlsrpt_destination"}},
  });
}

// RFC 7672 section 2.2.
TEST(Find, DaneCountsOnlyWhenValidated) {
  const auto dane = [](bool validating, bool mx, bool tlsa, bool everywhere) {
    return [=](Facts& f) {
      f.validating = Fact<bool>::is(validating);
      f.mail = mail({mx_host("mx.example.com"), mx_host("mx.example.com")});
      f.mail.value.authenticated = mx;
      for (MxHost& host : f.mail.value.hosts) {
        host.tlsa = Fact<std::vector<dns::Tlsa>>::is({{3, 1, 1, std::string(32, 'x')}});
        host.tlsa_authenticated = tlsa;
        if (!everywhere) {
          return;
        }
      }
    };
  };
  run({
      {"validated", dane(true, true, true, true), {"dane_present"}},
      {"partly", dane(true, true, true, false), {"dane_partial"}},
      {"MX records unsigned", dane(true, false, true, true), {"dane_unsigned"}},
      {"TLSA records unsigned", dane(true, true, false, true), {"dane_unsigned"}},
      {"a resolver that does not validate", dane(false, false, false, true), {"dane_unknown"}},
      {"a resolver that is not trusted",
       [&](Facts& f) {
         dane(true, true, true, true)(f);
         f.validating = Fact<bool>::unknown("not trusted");
       },
       {"dane_unknown"}},
      {"records that no sender can use",
       [&](Facts& f) {
         dane(true, true, true, true)(f);
         f.mail.value.hosts[0].tlsa.value = {{1, 1, 1, std::string(32, 'x')}};  // usage
         f.mail.value.hosts[1].tlsa.value = {{3, 1, 1, std::string(31, 'x')},   // length
                                             {3, 2, 1, std::string(32, 'x')},   // selector
                                             {3, 1, 9, std::string(32, 'x')}};  // matching type
       },
       {"dane_unusable"}},
      {"such at one host",
       [&](Facts& f) {
         dane(true, true, true, true)(f);
         f.mail.value.hosts[0].tlsa.value = {{1, 1, 1, std::string(32, 'x')}};
       },
       {"dane_partial"}},
      {"one that can be used beside one that cannot",
       [&](Facts& f) {
         dane(true, true, true, true)(f);
         f.mail.value.hosts[0].tlsa.value.push_back({1, 1, 1, std::string(32, 'x')});
       },
       {"dane_present"}},
      {"nothing, by any resolver", [](Facts& f) { f.validating = Fact<bool>::is(false); }, {}},
  });
}

// A host is judged by all of its addresses.
TEST(Find, SaysAtHowManyAddressesAHostFails) {
  Facts facts = sound();
  facts.smtp_asked = true;
  MxHost& host = facts.mail.value.hosts[0];
  host.smtp.push_back(host.smtp[0]);
  host.smtp[1].value.address = "192.0.2.2";
  host.smtp[1].value.certificate->name_matches = false;
  host.smtp[1].value.certificate->names = {"x.example"};
  const auto details = [&] {
    std::vector<std::string> all;
    for (const Finding& finding : findings_of(facts)) {
      all.push_back(std::string(finding.kind->code) + ": " + finding.detail);
    }
    return all;
  };
  EXPECT_EQ(details(), (Codes{"smtp_cert_name: mx.example.com: 1 of 2 addresses (192.0.2.2): "
                              "it names x.example"}));
  std::swap(host.smtp[0], host.smtp[1]);  // the order in DNS makes no difference
  EXPECT_EQ(details(), (Codes{"smtp_cert_name: mx.example.com: 1 of 2 addresses (192.0.2.2): "
                              "it names x.example"}));
  host.smtp[1] = host.smtp[0];
  EXPECT_EQ(details(), (Codes{"smtp_cert_name: mx.example.com: it names x.example"}));
}

TEST(Find, SaysAtHowManyAddressesThePolicyHostFails) {
  Facts facts = sound();
  Fetch good = facts.policy_host.fetch.value;
  Fetch bad = good;
  bad.seen.address = "192.0.2.2";
  bad.error = https::Error{https::ErrorKind::Certificate, "the certificate is wrong"};
  bad.seen.certificate->name_matches = false;
  bad.seen.certificate->names = {"x.example"};
  for (const auto& fetches : {std::vector{good, bad}, std::vector{bad, good}}) {
    facts.policy_host.by_address = fetches;
    const auto found = findings_of(facts);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].kind->id, Code::HostAddressFails);
    EXPECT_EQ(found[0].detail, "1 of 2 addresses (192.0.2.2): the certificate is wrong");
    EXPECT_EQ(found[1].kind->id, Code::HostCertName);
    EXPECT_EQ(found[1].detail, "1 of 2 addresses (192.0.2.2): it names x.example");
  }
  Fetch other = good;
  other.body = policy_text("testing");
  facts.policy_host.by_address = {good, other};
  EXPECT_EQ(codes(facts), (Codes{"policy_differs"}));
}

TEST(Find, AgainstTheCache) {
  const auto cached = [](std::string id, std::string body) {
    return [=](Facts& f) {
      f.cache_asked = true;
      f.cached = Fact<CachedPolicy>::is({id, body, kNow - Seconds(86400), kNow + Seconds(86400)});
    };
  };
  const std::string id = "20261101000000Z";
  run({
      {"the same", cached(id, policy_text()), {}},
      {"another id", cached("1", policy_text("testing")), {"cache_stale"}},
      {"another body, same id", cached(id, policy_text("testing")), {"mta_sts_id_not_bumped"}},
      {"none",
       [](Facts& f) {
         f.cache_asked = true;
         f.cached = Fact<CachedPolicy>::none();
       },
       {}},
      {"not readable",
       [](Facts& f) {
         f.cache_asked = true;
         f.cached = Fact<CachedPolicy>::unknown("no permission");
       },
       {"cache_unknown"}},
  });
}

// "Cannot tell" is never shown as absent.
TEST(Find, WhatCannotBeToldIsSaidSo) {
  run({
      {"record",
       [](Facts& f) { f.record = Fact<TextRecords>::unknown("SERVFAIL"); },
       {"mta_sts_record_unknown"}},
      {"record, and no policy",
       [](Facts& f) {
         f = without();
         f.record = Fact<TextRecords>::unknown("SERVFAIL");
         f.tlsrpt = Fact<TextRecords>::unknown("SERVFAIL");
       },
       {"mta_sts_record_unknown", "tlsrpt_unknown"}},
      {"policy host",
       [](Facts& f) {
         f.policy_host.addresses = Fact<AddressRecords>::unknown("SERVFAIL");
         f.policy_host.fetch = Fact<Fetch>::unknown("SERVFAIL");
       },
       {"mta_sts_policy_unknown"}},
      {"MX", [](Facts& f) { f.mail = Fact<MailServers>::unknown("SERVFAIL"); }, {"mx_unknown"}},
      {"addresses of an MX host",
       [](Facts& f) {
         f.mail.value.hosts[0].addresses = Fact<AddressRecords>::unknown("SERVFAIL");
       },
       {}},
      {"SMTP",
       [](Facts& f) {
         f.smtp_asked = true;
         f.mail.value.hosts[0].smtp = {Fact<Smtp>::unknown("no route")};
       },
       {"smtp_unknown"}},
      {"TLSA",
       [](Facts& f) {
         f.mail.value.hosts[0].tlsa = Fact<std::vector<dns::Tlsa>>::unknown("SERVFAIL");
       },
       {"dane_unknown"}},
  });
}

TEST(HasGaps, ForWhatTheVerdictIsMadeOf) {
  const auto gap = [](const std::function<void(Facts&)>& change) {
    Facts facts = sound();
    change(facts);
    return has_gaps(facts);
  };
  EXPECT_TRUE(gap([](Facts& f) { f.record = Fact<TextRecords>::unknown("x"); }));
  EXPECT_TRUE(gap([](Facts& f) { f.policy_host.fetch = Fact<Fetch>::unknown("x"); }));
  EXPECT_TRUE(gap([](Facts& f) { f.mail = Fact<MailServers>::unknown("x"); }));
  EXPECT_TRUE(gap([](Facts& f) { f.tlsrpt = Fact<TextRecords>::unknown("x"); }));
  EXPECT_FALSE(gap([](Facts& f) { f.mail.value.hosts[0].smtp = {Fact<Smtp>::unknown("x")}; }));
  EXPECT_TRUE(gap([](Facts& f) {
    f.smtp_asked = true;
    f.mail.value.hosts[0].smtp = {Fact<Smtp>::unknown("x")};
  }));
  EXPECT_FALSE(gap([](Facts& f) { f.validating = Fact<bool>::unknown("x"); }));
}

TEST(Find, TheWorstFirst) {
  Facts facts = sound();
  facts.mail = mail({mx_host("other.example")});
  facts.record.value.ttl = Seconds(1000000);
  serve(facts, policy_text("enforce", {"mx.example.com"}, "60"));
  EXPECT_EQ(codes(facts), (Codes{"mta_sts_mx_mismatch", "policy_max_age_tiny",
                                 "mta_sts_record_ttl_long", "mta_sts_mx_unused"}));
}

}  // namespace
}  // namespace mtastsd::check
