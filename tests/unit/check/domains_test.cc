// The table of tests/domains over facts. tests/integration/domains_test.py walks the same rows
// against real servers.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mtastsd/check/report.h"
#include "mtastsd/mtasts/policy.h"
#include "sample_facts.h"
#include "tests/source_dir.h"

namespace mtastsd::check {
namespace {

using namespace test;
using nlohmann::json;

constexpr std::string_view kDomain = "example.com";

std::string filled(std::string text) {
  constexpr std::string_view kPlace = "{d}";
  for (auto at = text.find(kPlace); at != std::string::npos; at = text.find(kPlace)) {
    text.replace(at, kPlace.size(), kDomain);
  }
  return text;
}

std::vector<std::string> filled_list(const json& list) {
  std::vector<std::string> texts;
  for (const json& text : list) {
    texts.push_back(filled(text));
  }
  return texts;
}

// null: there is none. "servfail": it cannot be looked up.
Fact<TextRecords> texts_of(const json& value) {
  if (value == "servfail") {
    return Fact<TextRecords>::unknown("SERVFAIL");
  }
  return value.is_null() ? Fact<TextRecords>::none() : text(filled_list(value));
}

https::Certificate wrong_name(const std::string& name) {
  https::Certificate certificate = good_certificate(name);
  certificate.name_matches = false;
  certificate.problem = "hostname mismatch";
  return certificate;
}

https::Certificate expired(const std::string& name) {
  https::Certificate certificate = good_certificate(name);
  certificate.not_after = kNow - Seconds(1);
  certificate.in_time = false;
  return certificate;
}

https::Certificate self_signed(const std::string& name) {
  https::Certificate certificate = good_certificate(name);
  certificate.chain_trusted = false;
  return certificate;
}

// What a policy host of a kind gives.
Fetch fetch_of(const std::string& kind, const std::string& body, const std::string& address) {
  using https::ErrorKind;
  Facts facts;
  serve(facts, body);
  Fetch& fetch = facts.policy_host.fetch.value;
  fetch.seen.address = address;
  const std::string host = "mta-sts." + std::string(kDomain);
  const std::map<std::string, https::Certificate> certificates = {
      {"cert_expired", expired(host)},
      {"cert_self", self_signed(host)},
      {"cert_name", wrong_name("www.provider.test")},
      {"cert_apex", wrong_name(std::string(kDomain))},
      {"cert_bare", wrong_name("")}};
  if (const auto found = certificates.find(kind); found != certificates.end()) {
    failed(facts, ErrorKind::Certificate, "certificate").seen.certificate = found->second;
  } else if (kind.starts_with("status_")) {
    failed(facts, ErrorKind::Status, "status").seen.status = std::stoi(kind.substr(7));
  } else if (kind == "redirect") {
    failed(facts, ErrorKind::Status, "status 301").seen.status = 301;
  } else if (kind.starts_with("media_")) {
    failed(facts, ErrorKind::MediaType, kind);
  } else if (kind == "closed") {
    failed(facts, ErrorKind::Connect, "connection refused").seen.certificate.reset();
  } else if (kind == "other_policy") {
    fetch.body = policy_text("testing");
  } else {
    EXPECT_EQ(kind, "good");
    if (body.size() > mtasts::kMaxPolicyBytes) {
      failed(facts, ErrorKind::TooLarge, "too large");
    }
  }
  return fetch;
}

// As a sender that tries the next address.
const Fetch& counting(const std::vector<Fetch>& fetches) {
  const Fetch* best = &fetches.front();
  for (const Fetch& fetch : fetches) {
    const bool telling = fetch.error && fetch.error->kind != https::ErrorKind::Connect;
    if (best->error &&
        (!fetch.error || (telling && best->error->kind == https::ErrorKind::Connect))) {
      best = &fetch;
    }
  }
  return *best;
}

void set_policy_host(Facts& facts, const json& set) {
  const json kinds = set.value("host", json::array({"good"}));
  PolicyHost& host = facts.policy_host;
  if (kinds == "servfail") {
    host.addresses = Fact<AddressRecords>::unknown("SERVFAIL");
    host.fetch = Fact<Fetch>::unknown("SERVFAIL");
    return;
  }
  if (kinds.empty()) {
    host.addresses = Fact<AddressRecords>::none();
    host.fetch = Fact<Fetch>::none("no address");
  }
  if (set.contains("host_alias")) {
    host.addresses.value.chain = {set["host_alias"]};
  }
  std::string body = set.contains("text")
                         ? filled(set["text"])
                         : policy_text(set.value("mode", "enforce"),
                                       filled_list(set.value("mx", json::array({"mx.{d}"}))),
                                       std::to_string(set.value("max_age", 1209600)));
  for (int lines = set.value("padding", 0); lines > 0; --lines) {
    body += "x: y\r\n";
  }
  for (const json& kind : kinds) {
    host.by_address.push_back(
        fetch_of(kind, body, "192.0.2." + std::to_string(host.by_address.size() + 1)));
  }
  if (!host.by_address.empty()) {
    host.fetch = Fact<Fetch>::is(counting(host.by_address));
  }
  if (host.by_address.size() == 1) {
    host.by_address.clear();
  }
  if (set.value("apex_policy", false)) {
    facts.apex_host.fetch = Fact<Fetch>::is(fetch_of("good", body, "192.0.2.9"));
  }
}

Fact<Smtp> smtp_of(const std::string& kind, const std::string& host) {
  if (kind == "closed") {
    return Fact<Smtp>::unknown("connection refused");
  }
  Smtp smtp = mx_host(host).smtp[0].value;
  if (kind.starts_with("plain")) {
    smtp = {.address = "192.0.2.1",
            .starttls = false,
            .tls_version = "",
            .tls_error = "",
            .certificate = {}};
  } else if (kind == "expired") {
    smtp.certificate = expired(host);
  } else if (kind == "name") {
    smtp.certificate = wrong_name("www.provider.test");
  } else if (kind == "self") {
    smtp.certificate = self_signed(host);
  } else if (kind == "old") {
    smtp.tls_version = "TLSv1.1";
  } else {
    EXPECT_TRUE(kind.starts_with("good")) << kind;
  }
  return Fact<Smtp>::is(std::move(smtp));
}

MxHost host_of(const json& row) {
  const std::string name = filled(row.at("mx"));
  MxHost host = mx_host(name);
  host.smtp.clear();
  const json kinds = row.value("at", json::array({"good"}));
  if (kinds.empty()) {
    host.addresses = Fact<AddressRecords>::none();
    host.smtp = {Fact<Smtp>::none("no address")};
  }
  for (const json& kind : kinds) {
    host.smtp.push_back(smtp_of(kind, name));
    host.smtp.back().value.address = "192.0.2." + std::to_string(host.smtp.size());
  }
  if (row.contains("alias")) {
    host.addresses.value.chain = {filled(row["alias"])};
  }
  return host;
}

void set_mail(Facts& facts, const json& set) {
  const json value = set.value("mail", json::array({{{"mx", "mx.{d}"}}}));
  facts.smtp_asked = set.value("smtp", false);
  facts.mail = mail({});
  if (value == "servfail") {
    facts.mail = Fact<MailServers>::unknown("SERVFAIL");
  } else if (value == "none" || value == "nodomain") {
    facts.mail = Fact<MailServers>::none("no address");
  } else if (value == "null") {
    facts.mail.value.null_mx = true;
  } else if (value == "implicit") {
    facts.mail = mail({mx_host(std::string(kDomain), 0)});
    facts.mail.value.implicit = true;
  } else {
    for (const json& row : value) {
      facts.mail.value.hosts.push_back(host_of(row));
    }
  }
  if (set.contains("tlsa")) {
    facts.mail.value.authenticated = set["tlsa"] == "signed";
    for (MxHost& host : facts.mail.value.hosts) {
      host.tlsa = Fact<std::vector<dns::Tlsa>>::is({{3, 1, 1, std::string(32, 'x')}});
      host.tlsa_authenticated = set["tlsa"] == "signed";
    }
  }
}

Facts facts_of(const json& set) {
  Facts facts = sound();
  if (set.value("mail", json()) == "nodomain") {
    facts = without();
    facts.domain_exists = false;
    facts.mail = Fact<MailServers>::none();
    return facts;
  }
  facts.record = texts_of(set.contains("record") ? set["record"]
                                                 : json::array({"v=STSv1; id=20261101000000;"}));
  facts.record.value.ttl = Seconds(set.value("record_ttl", 60));
  if (set.contains("record_alias")) {
    facts.record.value.chain = {set["record_alias"]};
    facts.record.value.dangling = set.value("dangling", false);
  }
  facts.apex_text = texts_of(set.value("apex_text", json()));
  set_policy_host(facts, set);
  set_mail(facts, set);
  facts.tlsrpt = texts_of(
      set.contains("tlsrpt") ? set["tlsrpt"] : json::array({"v=TLSRPTv1; rua=mailto:reports@{d}"}));
  return facts;
}

// As `mtastsctl check` with --fail-on low.
int exit_status(const Report& report) {
  if (report.found_at_least(Severity::Low)) {
    return 1;
  }
  return report.has_gaps() ? 2 : 0;
}

TEST(Domains, AreWhatTheTableSays) {
  std::ifstream file(MTASTSD_SOURCE_DIR "/tests/domains/table.json");
  const json table = json::parse(file);
  EXPECT_GE(table.size(), 150U);
  for (const json& row : table) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const Report report(facts_of(row["set"]));
    std::vector<std::string> codes;
    bool faults = false;
    for (const Finding& finding : report.findings()) {
      codes.emplace_back(finding.kind->code);
      faults = faults || finding.kind->severity >= Severity::Low;
    }
    EXPECT_EQ(json(codes), row["codes"]);
    EXPECT_EQ(to_string(report.verdict()), row["verdict"].get<std::string>());
    EXPECT_EQ(report.verdict_line(), std::string(kDomain) + ": " + row["says"].get<std::string>());
    EXPECT_EQ(json(report.score().total), row["score"]);
    EXPECT_EQ(json(exit_status(report)), row["status"]);
    EXPECT_TRUE(!faults || report.score().total < 100) << "100 means that all is well";
  }
}

}  // namespace
}  // namespace mtastsd::check
