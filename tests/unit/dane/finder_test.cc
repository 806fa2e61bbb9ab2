#include "mtastsd/dane/finder.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "fakes/fake_dns.h"
#include "fakes/fake_loop.h"

namespace mtastsd::dane {
namespace {

class FinderTest : public testing::Test {
 protected:
  FinderTest() {
    dns_.signed_zones = {"signed.test"};
    dns_.set_a("mx1.signed.test", "192.0.2.1");
    dns_.set_a("mx2.signed.test", "192.0.2.2");
  }

  Found find(const std::string& domain, const Target& target = {}) {
    std::optional<Found> result;
    const Handle step = finder_.find(*DomainName::parse(domain), target,
                                     [&](Found found) { result = std::move(found); });
    EXPECT_FALSE(result) << "before find() has returned";
    for (int i = 0; i < 1000 && !result; ++i) {
      loop_.advance(Milliseconds(100));
    }
    EXPECT_TRUE(result);
    return result.value_or(Found{});
  }

  // "usable none": the hosts in their order.
  std::string statuses(const std::string& domain, const Target& target = {}) {
    std::string text;
    for (const FoundHost& host : find(domain, target).hosts) {
      text += (text.empty() ? "" : " ") + std::string(to_string(host.status));
    }
    return text;
  }

  void set_alias(const std::string& name, const std::string& to, dns::Security security) {
    dns_.set_a(name, "192.0.2.1");
    auto& answer = dns_.a_records.at(name);
    answer.provenance.chain = {to};
    answer.provenance.security = security;
  }

  void set_record(const std::string& host, dns::Tlsa record) {
    dns_.set_tlsa(host);
    std::get<dns::TlsaRecords>(*dns_.tlsa_records.at("_25._tcp." + host)).records = {
        std::move(record)};
  }

  test::FakeLoop loop_;
  test::FakeDns dns_{loop_};
  Finder finder_{loop_, loop_, dns_};
};

TEST_F(FinderTest, FindsTheRecordsOfEachHost) {
  dns_.set_mx("signed.test", {"mx1.signed.test", "mx2.signed.test", "mx.plain.test"});
  dns_.set_tlsa("mx2.signed.test");
  const Found found = find("signed.test");
  EXPECT_EQ(found.mail, Mail::Secure);
  ASSERT_EQ(found.hosts.size(), 3U);
  EXPECT_EQ(found.hosts[0].name, "mx1.signed.test");
  EXPECT_EQ(found.hosts[0].status, HostStatus::None);
  EXPECT_EQ(found.hosts[1].status, HostStatus::Usable);
  EXPECT_EQ(found.hosts[2].status, HostStatus::None);
}

TEST_F(FinderTest, AsksNothingMoreWhereTheMxRecordsAreNotSigned) {  // RFC 7672 section 2.2.1
  dns_.set_mx("plain.test", {"mx1.signed.test"});
  dns_.set_tlsa("mx1.signed.test");
  EXPECT_EQ(find("plain.test").mail, Mail::Insecure);
  EXPECT_EQ(dns_.asked, std::vector<std::string>{"MX plain.test"});
}

TEST_F(FinderTest, AsksNoServerOfAnUnsignedZoneForTlsa) {  // RFC 7672 section 2.2.2
  dns_.set_mx("signed.test", {"mx.plain.test"});
  dns_.set_a("mx.plain.test", "192.0.2.1");
  EXPECT_EQ(statuses("signed.test"), "none");
  EXPECT_EQ(dns_.count("TLSA _25._tcp.mx.plain.test"), 0U);
}

TEST_F(FinderTest, WithoutMxTheDomainIsItsOwnHost) {
  dns_.set_a("signed.test", "192.0.2.1");
  dns_.set_tlsa("signed.test");
  EXPECT_EQ(statuses("signed.test"), "usable");
  EXPECT_EQ(find("plain.test").mail, Mail::Insecure);
}

TEST_F(FinderTest, NamesWhatTakesNoMail) {
  dns_.set_mx("null.signed.test", {"."});
  EXPECT_EQ(find("null.signed.test").mail, Mail::Null);  // RFC 7505
  dns::Answer<dns::MxRecords> none(dns::NoSuchRecord{Seconds(60)});
  none.provenance.no_such_name = true;
  dns_.mx_records.insert_or_assign("gone.signed.test", none);
  EXPECT_EQ(find("gone.signed.test").mail, Mail::NoDomain);
}

TEST_F(FinderTest, IsBounded) {
  std::vector<std::string> hosts;
  for (int i = 0; i < 40; ++i) {
    hosts.push_back("h" + std::to_string(i) + ".signed.test");
  }
  dns_.set_mx("signed.test", hosts);
  const Found found = find("signed.test");
  EXPECT_EQ(found.hosts.size(), kMaxHosts);
  EXPECT_EQ(found.more_hosts, 40 - kMaxHosts);
  EXPECT_EQ(found.hosts.front().name, "h0.signed.test");
  EXPECT_EQ(dns_.asked.size(), 1 + 2 * kMaxHosts);
}

TEST_F(FinderTest, OnlyUsableRecordsCount) {
  dns_.set_mx("signed.test", {"mx1.signed.test"});
  set_record("mx1.signed.test", {3, 1, 9, std::string(32, 'x')});
  EXPECT_EQ(statuses("signed.test"), "unusable");
}

TEST_F(FinderTest, RecordsThatAreNotSignedDoNotCount) {
  dns_.set_mx("signed.test", {"mx1.signed.test"});
  dns_.set_tlsa("mx1.signed.test");
  dns_.tlsa_records.at("_25._tcp.mx1.signed.test").provenance.security = dns::Security::Insecure;
  EXPECT_EQ(statuses("signed.test"), "none");
}

TEST_F(FinderTest, ASecureAliasIsLookedAtByItsTargetFirst) {  // RFC 7672 section 2.2.3
  dns_.set_mx("signed.test", {"alias.signed.test"});
  set_alias("alias.signed.test", "mx1.signed.test", dns::Security::Secure);
  set_record("mx1.signed.test", {3, 1, 9, "x"});
  dns_.set_tlsa("alias.signed.test");
  EXPECT_EQ(statuses("signed.test"), "unusable");
}

TEST_F(FinderTest, ASecureAliasHasRecordsOfItsOwnWhereTheTargetHasNone) {
  dns_.set_mx("signed.test", {"alias.signed.test"});
  set_alias("alias.signed.test", "mx1.signed.test", dns::Security::Secure);
  dns_.set_tlsa("alias.signed.test");
  EXPECT_EQ(statuses("signed.test"), "usable");
  EXPECT_EQ(dns_.count("TLSA _25._tcp.mx1.signed.test"), 1U);
}

TEST_F(FinderTest, AnUnsignedAddressBehindASignedAliasDoesNotMatter) {  // RFC 7672 section 2.2.2
  dns_.set_mx("signed.test", {"alias.signed.test"});
  set_alias("alias.signed.test", "mx.plain.test", dns::Security::Insecure);
  dns_.set_tlsa("alias.signed.test");
  dns_.set_tlsa("mx.plain.test");
  EXPECT_EQ(statuses("signed.test"), "usable");
  EXPECT_EQ(dns_.count("TLSA _25._tcp.mx.plain.test"), 0U);
}

TEST_F(FinderTest, ASmartHostIsThatHost) {
  dns_.set_mx("mx1.signed.test", {"mx2.signed.test"});
  dns_.set_tlsa("mx1.signed.test", Seconds(60), 587);
  EXPECT_EQ(statuses("mx1.signed.test", {.by_mx = false, .port = 587}), "usable");
  EXPECT_EQ(statuses("mx1.signed.test", {.by_mx = false, .port = 25}), "none");
  EXPECT_EQ(dns_.count("MX mx1.signed.test"), 0U);
}

TEST_F(FinderTest, AnotherPortHasRecordsOfItsOwn) {
  dns_.set_mx("signed.test", {"mx1.signed.test"});
  dns_.set_tlsa("mx1.signed.test", Seconds(60), 26);
  EXPECT_EQ(statuses("signed.test", {.by_mx = true, .port = 26}), "usable");
  EXPECT_EQ(statuses("signed.test"), "none");
}

TEST_F(FinderTest, OneDeadHostChangesNothingForTheOthers) {
  dns_.set_mx("signed.test", {"mx1.signed.test", "mx2.signed.test"});
  dns_.set_tlsa("mx2.signed.test");
  dns_.fail_tlsa("mx1.signed.test");
  const Found found = find("signed.test");
  EXPECT_EQ(found.hosts[0].status, HostStatus::Unknown);
  EXPECT_EQ(found.hosts[1].status, HostStatus::Usable);
  EXPECT_NE(found.detail.find("mx1.signed.test"), std::string::npos) << found.detail;
}

TEST_F(FinderTest, SaysThatMxRecordsCouldNotBeAskedFor) {
  dns_.silent_names = {"signed.test"};
  const Found found = find("signed.test");
  EXPECT_EQ(found.mail, Mail::Unknown);
  EXPECT_FALSE(found.detail.empty());
}

TEST_F(FinderTest, WithoutUsableVerdictsNothingIsKnown) {
  dns_.set_mx("plain.test", {"mx1.signed.test"});
  for (const auto security : {dns::Security::NotValidating, dns::Security::Untrusted}) {
    dns_.unsigned_is = security;
    dns_.mx_records.at("plain.test").provenance.server = "192.0.2.53:53";
    const Found found = find("plain.test");
    EXPECT_EQ(found.mail, Mail::Unknown);
    EXPECT_EQ(found.without_dnssec_at, "192.0.2.53:53");
  }
}

TEST_F(FinderTest, AHostOfManyDomainsIsAskedAboutOnce) {
  dns_.set_tlsa("mx1.signed.test");
  std::vector<Handle> steps;
  int usable = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".signed.test";
    dns_.set_mx(domain, {"mx1.signed.test"});
    steps.push_back(finder_.find(*DomainName::parse(domain), {}, [&](const Found& found) {
      usable += found.hosts.at(0).status == HostStatus::Usable ? 1 : 0;
    }));
  }
  loop_.advance(Milliseconds(1000));
  EXPECT_EQ(usable, 2000);
  EXPECT_EQ(dns_.count("A mx1.signed.test"), 1U);
  EXPECT_EQ(dns_.count("TLSA _25._tcp.mx1.signed.test"), 1U);
}

TEST_F(FinderTest, WhatIsSharedIsAskedForAgainAfterItsTtl) {
  dns_.set_mx("signed.test", {"mx1.signed.test"});
  dns_.set_tlsa("mx1.signed.test", Seconds(120));
  dns_.set_a("mx1.signed.test", "192.0.2.1");
  const auto count = [this] { return dns_.count("TLSA _25._tcp.mx1.signed.test"); };
  find("signed.test");
  loop_.advance(Milliseconds(50'000));
  EXPECT_LE(find("signed.test").hosts.at(0).ttl, Seconds(11));  // the 60 s of its address
  EXPECT_EQ(count(), 1U);
  loop_.advance(Milliseconds(20'000));
  find("signed.test");
  EXPECT_EQ(count(), 2U);
}

TEST_F(FinderTest, AFailureIsNotSharedForLong) {
  dns_.set_mx("signed.test", {"mx1.signed.test"});
  dns_.fail_tlsa("mx1.signed.test");
  EXPECT_EQ(statuses("signed.test"), "unknown");
  dns_.set_tlsa("mx1.signed.test");
  EXPECT_EQ(statuses("signed.test"), "unknown");
  loop_.advance(Milliseconds(31'000));
  EXPECT_EQ(statuses("signed.test"), "usable");
}

TEST_F(FinderTest, ADroppedStepNeverCallsBack) {
  for (const int after : {0, 1, 2}) {
    const std::string domain = "d" + std::to_string(after) + ".signed.test";
    dns_.set_mx(domain, {"mx." + domain});
    dns_.set_tlsa("mx." + domain);
    Handle step = finder_.find(*DomainName::parse(domain), {},
                               [](const Found&) { FAIL() << "it was dropped"; });
    loop_.advance(Milliseconds(after));
    step.reset();
    loop_.advance(Milliseconds(10));
    EXPECT_EQ(statuses(domain), "usable");
  }
}

TEST_F(FinderTest, ANameTooLongForRecordsHasNone) {
  std::string host = "signed.test";
  while (host.size() < 245) {
    host.insert(0, "aaaaaaa.");
  }
  dns_.set_mx("signed.test", {host});
  EXPECT_EQ(statuses("signed.test"), "none");
}

}  // namespace
}  // namespace mtastsd::dane
