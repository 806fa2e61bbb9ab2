#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mtastsd/check/facts.h"

namespace mtastsd::check::test {

inline const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 22);

inline std::string policy_text(const std::string& mode = "enforce",
                               const std::vector<std::string>& mx = {"mx.example.com"},
                               const std::string& max_age = "1209600") {
  std::string text = "version: STSv1\r\nmode: " + mode + "\r\n";
  for (const auto& pattern : mx) {
    text += "mx: " + pattern + "\r\n";
  }
  return text + "max_age: " + max_age + "\r\n";
}

inline https::Certificate good_certificate(const std::string& name) {
  return {.subject = name,
          .issuer = "Some CA",
          .names = {name},
          .not_before = kNow - Seconds(86400),
          .not_after = kNow + Seconds(60 * 86400),
          .chain_trusted = true,
          .in_time = true,
          .name_matches = true};
}

inline AddressRecords one_address() {
  return {.v4 = {*IpAddress::parse("192.0.2.1")}, .v6 = {}, .chain = {}};
}

inline MxHost mx_host(const std::string& host, std::uint16_t preference = 10) {
  MxHost mx;
  mx.preference = preference;
  mx.host = host;
  mx.name = DomainName::parse(host);
  mx.addresses = Fact<AddressRecords>::is(one_address());
  mx.tlsa = Fact<std::vector<dns::Tlsa>>::none();
  Smtp smtp{.address = "192.0.2.1",
            .starttls = true,
            .tls_version = "TLSv1.3",
            .tls_error = "",
            .certificate = good_certificate(host)};
  mx.smtp = {Fact<Smtp>::is(std::move(smtp))};
  return mx;
}

inline Fact<TextRecords> text(std::vector<std::string> records) {
  return Fact<TextRecords>::is(
      {.records = std::move(records), .chain = {}, .ttl = Seconds(3600), .authenticated = false});
}

inline void serve(Facts& facts, std::string body) {
  Fetch fetch;
  fetch.seen = {.address = "192.0.2.1",
                .tls_version = "TLSv1.3",
                .certificate = good_certificate("mta-sts.example.com"),
                .status = 200,
                .media_type = "text/plain",
                .location = "",
                .body_size = body.size(),
                .took = Milliseconds(35)};
  fetch.body = std::move(body);
  facts.policy_host.fetch = Fact<Fetch>::is(std::move(fetch));
}

// The policy host answers, and the fetch fails.
inline Fetch& failed(Facts& facts, https::ErrorKind kind, const std::string& detail) {
  Fetch& fetch = facts.policy_host.fetch.value;
  fetch.body.clear();
  fetch.error = https::Error{kind, detail};
  return fetch;
}

inline Fact<MailServers> mail(std::vector<MxHost> hosts) {
  MailServers servers;
  servers.hosts = std::move(hosts);
  servers.ttl = Seconds(3600);
  return Fact<MailServers>::is(std::move(servers));
}

// A domain with nothing to find, and all points.
inline Facts sound() {
  Facts facts;
  facts.domain = "example.com";
  facts.at = kNow;
  facts.record = text({"v=STSv1; id=20261101000000Z;"});
  facts.apex_text = text({"v=spf1 -all"});
  facts.policy_host.name = "mta-sts.example.com";
  facts.policy_host.addresses = Fact<AddressRecords>::is(one_address());
  serve(facts, policy_text());
  facts.apex_host.name = "example.com";
  facts.apex_host.addresses = Fact<AddressRecords>::none();
  facts.apex_host.fetch = Fact<Fetch>::none();
  facts.mail = mail({mx_host("mx.example.com")});
  facts.tlsrpt = text({"v=TLSRPTv1; rua=mailto:reports@example.com"});
  facts.validating = Fact<bool>::is(true);
  return facts;
}

// A domain without MTA-STS.
inline Facts without() {
  Facts facts = sound();
  facts.record = Fact<TextRecords>::none();
  facts.policy_host.addresses = Fact<AddressRecords>::none();
  facts.policy_host.fetch = Fact<Fetch>::none("no address");
  facts.tlsrpt = Fact<TextRecords>::none();
  return facts;
}

}  // namespace mtastsd::check::test
