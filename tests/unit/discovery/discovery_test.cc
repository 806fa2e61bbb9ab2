#include "mtastsd/discovery/discovery.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "fakes/fake_dialer.h"
#include "fakes/fake_dns.h"
#include "fakes/fake_fetcher.h"
#include "fakes/fake_loop.h"
#include "fakes/networks.h"

namespace mtastsd::discovery {
namespace {

using Problem = HostAddresses::Problem;

constexpr char kHost[] = "mta-sts.example.com";
constexpr char kPolicy[] = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 86400\n";

std::optional<IpAddress> ip(const char* text) {
  return IpAddress::parse(text);
}

std::vector<IpAddress> ips(const std::vector<std::string>& texts) {
  std::vector<IpAddress> all;
  for (const std::string& text : texts) {
    all.push_back(*IpAddress::parse(text));
  }
  return all;
}

dns::AddressAnswer found(const std::vector<std::string>& texts) {
  return dns::Addresses{ips(texts), Seconds(60)};
}
dns::AddressAnswer failed(dns::ErrorKind kind) {
  return failure(dns::Error{kind, "scripted"});
}

class DiscoveryTest : public testing::Test {
 protected:
  // Starts a step, and lets time run until it has an answer.
  template <typename T, typename Start>
  T run(Start start, Milliseconds limit = Milliseconds(70000), T otherwise = T{}) {
    std::optional<T> got;
    const Handle step = start([&](T result) { got = std::move(result); });
    EXPECT_FALSE(got) << "no callback before the start has returned";
    const SteadyTime began = loop_.steady();
    while (!got && loop_.steady() < began + limit) {
      loop_.advance(Milliseconds(1));
    }
    took_ = std::chrono::duration_cast<Milliseconds>(loop_.steady() - began);
    EXPECT_TRUE(got);
    return got ? *std::move(got) : std::move(otherwise);
  }
  Record record(const std::string& domain = "example.com") {
    return run<Record>(
        [&](auto callback) { return discovery_.record(*DomainName::parse(domain), callback); });
  }
  HostAddresses addresses() {
    return run<HostAddresses>(
        [&](auto callback) { return discovery_.policy_host(*DomainName::parse(kHost), callback); });
  }
  FetchedPolicy policy() {
    return run<FetchedPolicy>([&](auto callback) {
      return discovery_.policy(*DomainName::parse(kHost), https::Connection{Fd(), ip("192.0.2.1")},
                               {.total = Milliseconds(60000)}, callback);
    });
  }
  Connected connected(const HostAddresses& addresses) {
    return run<Connected>(
        [&](auto callback) { return discovery_.connect(addresses, Milliseconds(10000), callback); },
        Milliseconds(70000), failure(PolicyFailure{}));
  }

  test::FakeLoop loop_;
  test::FakeDns dns_{loop_};
  test::FakeDialer dialer_{loop_};
  test::FakeFetcher fetcher_{loop_};
  Discovery discovery_{{loop_, dns_, dialer_, fetcher_},
                       {.allow_networks = test::documentation_networks()}};
  Milliseconds took_{};
};

// --- the record -------------------------------------------------------------------------------

TEST_F(DiscoveryTest, ARecordIsFoundAmongOthers) {  // RFC 8461 section 3.1
  dns::TxtAnswer answer = dns::TxtRecords{{"v=spf1 -all", "v=STSv1; id=7;"}, Seconds(90)};
  answer.provenance.authenticated = true;
  dns_.txt_records.insert_or_assign("_mta-sts.example.com", answer);
  const Record got = record();
  EXPECT_EQ(got.status, Record::Status::Found);
  EXPECT_EQ(got.id, "7");
  EXPECT_EQ(got.ttl, Seconds(90));
  EXPECT_EQ(got.detail, "");
  EXPECT_EQ(std::get<dns::TxtRecords>(*got.answer).records.size(), 2U);
  EXPECT_TRUE(got.answer.provenance.authenticated);
}

TEST_F(DiscoveryTest, NoRecordIsNotAnError) {
  Record got = record();
  EXPECT_EQ(got.status, Record::Status::None);
  EXPECT_EQ(got.ttl, dns_.negative_ttl);
  EXPECT_EQ(got.detail, "no MTA-STS record");
  dns_.set_txt("example.com", "v=spf1 -all", Seconds(90));
  got = record();
  EXPECT_EQ(got.status, Record::Status::None);
  EXPECT_EQ(got.ttl, Seconds(90));
}

TEST_F(DiscoveryTest, AChainOfCnamesThatEndsInNothingSaysSo) {
  dns::TxtAnswer nothing = dns::NoSuchRecord{};
  nothing.provenance.chain = {"_mta-sts.provider.example"};
  dns_.txt_records.insert_or_assign("_mta-sts.example.com", nothing);
  EXPECT_EQ(record().detail,
            "no MTA-STS record: the CNAME leads to _mta-sts.provider.example, which has no TXT "
            "record");
  nothing.provenance.no_such_name = true;
  dns_.txt_records.insert_or_assign("_mta-sts.example.com", nothing);
  EXPECT_EQ(
      record().detail,
      "no MTA-STS record: the CNAME leads to _mta-sts.provider.example, which does not exist");
  dns::AddressAnswer nowhere = dns::NoSuchRecord{};
  nowhere.provenance = nothing.provenance;
  nowhere.provenance.chain = {"a.example", "host.provider.example"};
  dns_.a_records.insert_or_assign(kHost, nowhere);
  EXPECT_EQ(addresses().detail,
            "mta-sts.example.com has no address: the CNAME leads to host.provider.example, which "
            "does not exist");
}

TEST_F(DiscoveryTest, UnusableRecordsSayWhy) {
  dns_.txt_records.insert_or_assign(
      "_mta-sts.example.com",
      dns::TxtAnswer(dns::TxtRecords{{"v=STSv1; id=1;", "v=STSv1; id=2;"}, Seconds(60)}));
  Record got = record();
  EXPECT_EQ(got.status, Record::Status::Unusable);
  EXPECT_EQ(got.detail, "more than one MTA-STS record");
  dns_.set_txt("example.com", "v=STSv1; id=not-an-id;", Seconds(60));
  got = record();
  EXPECT_EQ(got.status, Record::Status::Unusable);
  EXPECT_TRUE(got.detail.starts_with("invalid MTA-STS record: ")) << got.detail;
}

TEST_F(DiscoveryTest, DnsThatFailsIsNoAbsence) {
  for (const auto kind : {dns::ErrorKind::Timeout, dns::ErrorKind::ServFail}) {
    dns_.fail_txt("example.com", kind);
    const Record got = record();
    EXPECT_EQ(got.status, Record::Status::DnsFailed);
    EXPECT_EQ(got.ttl, Seconds(0));
    EXPECT_TRUE(got.detail.starts_with("DNS: ")) << got.detail;
  }
}

TEST_F(DiscoveryTest, ADomainTooLongForARecordHasNone) {
  std::string longest = "example";
  while (longest.size() + 2 <= DomainName::kMaxSize - 4) {
    longest = "a." + longest;
  }
  EXPECT_EQ(record(longest).status, Record::Status::None);
  EXPECT_TRUE(dns_.asked.empty());
}

TEST_F(DiscoveryTest, AStepThatIsDroppedNeverCallsBack) {
  dns_.set_txt("example.com", "v=STSv1; id=1;", Seconds(60));
  Handle step = discovery_.record(*DomainName::parse("example.com"), [](const Record&) { FAIL(); });
  step.reset();
  step = discovery_.policy_host(*DomainName::parse(kHost), [](const HostAddresses&) { FAIL(); });
  step.reset();
  for (const bool by_proxy : {false, true}) {
    step = discovery_.connect({.usable = ips({"192.0.2.1"}), .by_proxy = by_proxy},
                              Milliseconds(1000), [](const Connected&) { FAIL(); });
    step.reset();
  }
  step = discovery_.policy(*DomainName::parse(kHost), {}, {.total = Milliseconds(1000)},
                           [](const FetchedPolicy&) { FAIL(); });
  step.reset();
  loop_.advance(Milliseconds(60000));
  EXPECT_EQ(loop_.armed_count(), 0U);
}

// --- addresses --------------------------------------------------------------------------------

// Whether there is a route to them, the dialler finds out.
TEST_F(DiscoveryTest, BothFamiliesAreAskedForAndIpv6ComesFirst) {
  dns_.a_records.insert_or_assign(kHost, found({"192.0.2.1"}));
  dns_.aaaa_records.insert_or_assign(kHost, found({"2001:db8::1"}));
  const HostAddresses got = addresses();
  EXPECT_EQ(dns_.asked,
            (std::vector<std::string>{std::string("A ") + kHost, std::string("AAAA ") + kHost}));
  EXPECT_FALSE(got.v4) << "only for a report";
  EXPECT_EQ(got.usable, ips({"2001:db8::1", "192.0.2.1"}));
  EXPECT_EQ(got.problem, Problem::None);
  EXPECT_EQ(got.detail, "");
}

TEST_F(DiscoveryTest, EightAddressesOfAFamilyAreEnough) {
  std::vector<std::string> many = {"127.0.0.1"};  // refused, and counts for nothing
  for (int i = 1; i <= 20; ++i) {
    many.push_back("192.0.2." + std::to_string(i));
  }
  dns_.a_records.insert_or_assign(kHost, found(many));
  const HostAddresses got = addresses();
  ASSERT_EQ(got.usable.size(), kMaxAddressesPerFamily);
  EXPECT_EQ(got.usable.back(), *IpAddress::parse("192.0.2.8"));
}

TEST_F(DiscoveryTest, AHostWithoutAddressCannotBeConnectedTo) {
  const HostAddresses got = addresses();
  EXPECT_FALSE(got.can_connect());
  EXPECT_EQ(got.problem, Problem::NoAddress);
  EXPECT_EQ(got.detail, "mta-sts.example.com has no address");
}

TEST_F(DiscoveryTest, AddressesOfSpecialUseAreRefused) {
  dns_.aaaa_records.insert_or_assign(kHost, failed(dns::ErrorKind::ServFail));
  for (const char* address : {"127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1"}) {
    dns_.a_records.insert_or_assign(kHost, found({address}));
    const HostAddresses got = addresses();
    EXPECT_FALSE(got.can_connect()) << address;
    EXPECT_EQ(got.problem, Problem::Forbidden) << "rather than the failure of the other family";
  }
  dns_.a_records.clear();
  for (const char* address : {"::1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
                              "::ffff:10.1.2.3", "::10.1.2.3", "2002:a01:203::1"}) {
    dns_.aaaa_records.insert_or_assign(kHost, found({address}));
    EXPECT_EQ(addresses().problem, Problem::Forbidden) << address;
  }
}

TEST_F(DiscoveryTest, ARefusalNamesTheAddressTheReasonAndTheSetting) {
  dns_.a_records.insert_or_assign(kHost, found({"10.1.2.3"}));
  EXPECT_EQ(addresses().detail,
            "mta-sts.example.com has no public address: 10.1.2.3 is special (private use, RFC "
            "1918), and [https] allow_networks does not name it");
}

TEST_F(DiscoveryTest, SpecialAddressesAreUsedWhereTheSettingsAllowThem) {
  dns_.a_records.insert_or_assign(kHost, found({"127.0.0.1", "10.1.2.3", "11.0.0.1"}));
  dns_.aaaa_records.insert_or_assign(
      kHost, found({"fd00::1", "fe80::1", "64:ff9b::10.9.9.9", "64:ff9b::127.0.0.1"}));
  discovery_.set_settings(
      {.allow_networks = {*IpNetwork::parse("10.0.0.0/8"), *IpNetwork::parse("fd00::/8")}});
  EXPECT_EQ(addresses().usable, ips({"fd00::1", "64:ff9b::10.9.9.9", "10.1.2.3", "11.0.0.1"}));
  discovery_.set_settings({.allow_networks = {*IpNetwork::parse("64:ff9b::/96")}});
  EXPECT_EQ(addresses().usable, ips({"64:ff9b::10.9.9.9", "64:ff9b::127.0.0.1", "11.0.0.1"}));
  discovery_.set_settings({.allow_local_addresses = true});
  EXPECT_EQ(addresses().usable.size(), 7U);
}

TEST_F(DiscoveryTest, AddressesOfTheSettingsNeedNoDnsAndHoldForTheirHostAlone) {
  Settings settings;
  settings.addresses[*DomainName::parse(kHost)] = ips({"10.0.0.1", "fd00::1"});
  settings.for_report = true;
  discovery_.set_settings(settings);
  const HostAddresses got = addresses();
  EXPECT_EQ(got.usable, ips({"10.0.0.1", "fd00::1"}));
  EXPECT_EQ(std::get<dns::Addresses>(**got.v4).addresses, ips({"10.0.0.1"}));
  EXPECT_EQ(std::get<dns::Addresses>(**got.v6).addresses, ips({"fd00::1"}));
  EXPECT_TRUE(dns_.asked.empty());

  dns_.set_a("mta-sts.example.net", "10.0.0.1");
  const auto other = run<HostAddresses>([&](auto callback) {
    return discovery_.policy_host(*DomainName::parse("mta-sts.example.net"), callback);
  });
  EXPECT_EQ(other.problem, Problem::Forbidden);
  const auto mail = run<HostAddresses>(
      [&](auto callback) { return discovery_.mail_host(*DomainName::parse(kHost), callback); });
  EXPECT_FALSE(mail.can_connect()) << "it is no mail server";
  fetcher_.proxy = true;
  EXPECT_TRUE(addresses().by_proxy);
}

TEST_F(DiscoveryTest, DnsThatFailsForOneFamilyIsNoAbsence) {
  dns_.aaaa_records.insert_or_assign(kHost, failed(dns::ErrorKind::ServFail));
  HostAddresses got = addresses();
  EXPECT_EQ(got.problem, Problem::DnsFailed);
  EXPECT_EQ(got.detail, "mta-sts.example.com: DNS: SERVFAIL: scripted");
  dns_.a_records.insert_or_assign(kHost, found({"192.0.2.1"}));
  got = addresses();
  EXPECT_EQ(got.usable, ips({"192.0.2.1"})) << "one family is enough";
  EXPECT_EQ(got.problem, Problem::None);
}

TEST_F(DiscoveryTest, TheSecondFamilyIsWaitedForOneSecond) {
  dns_.a_records.insert_or_assign(kHost, found({"192.0.2.1"}));
  dns_.aaaa_records.insert_or_assign(kHost, found({"2001:db8::1"}));
  dns_.aaaa_delay = Milliseconds(900);
  EXPECT_EQ(addresses().usable, ips({"2001:db8::1", "192.0.2.1"}));
  dns_.aaaa_delay = Milliseconds(5000);
  EXPECT_EQ(addresses().usable, ips({"192.0.2.1"}));
  EXPECT_EQ(took_, Milliseconds(1001));
  // Without an address of the first family it is waited for to its end.
  dns_.a_records.clear();
  EXPECT_EQ(addresses().usable, ips({"2001:db8::1"}));
  EXPECT_EQ(took_, Milliseconds(5000));
}

TEST_F(DiscoveryTest, AProxyLooksUpTheHostItself) {
  fetcher_.proxy = true;
  const HostAddresses got = addresses();
  EXPECT_TRUE(got.can_connect());
  EXPECT_TRUE(got.by_proxy);
  EXPECT_TRUE(got.usable.empty());
  EXPECT_TRUE(dns_.asked.empty());

  dns_.a_records.insert_or_assign(kHost, found({"192.0.2.1"}));
  const auto mail = run<HostAddresses>(
      [&](auto callback) { return discovery_.mail_host(*DomainName::parse(kHost), callback); });
  EXPECT_EQ(mail.usable, ips({"192.0.2.1"})) << "no mail server is reached by an HTTPS proxy";
}

TEST_F(DiscoveryTest, AReportHearsOfAddressesBehindAProxy) {
  discovery_.set_settings({.allow_networks = test::documentation_networks(), .for_report = true});
  dns_.aaaa_records.insert_or_assign(kHost, found({"2001:db8::1"}));
  HostAddresses got = addresses();
  EXPECT_EQ(got.usable, ips({"2001:db8::1"}));
  ASSERT_TRUE(got.v6 && *got.v6);
  EXPECT_TRUE(std::holds_alternative<dns::NoSuchRecord>(**got.v4));
  fetcher_.proxy = true;
  got = addresses();
  EXPECT_TRUE(got.by_proxy && got.usable.empty() && got.v6);
}

// --- the connection ---------------------------------------------------------------------------

TEST_F(DiscoveryTest, AConnectionLeadsToTheAddressThatAnswers) {
  dialer_.silent = {"192.0.2.1"};
  const Connected got = connected({.usable = ips({"192.0.2.1", "192.0.2.2"})});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->address, ip("192.0.2.2"));
  EXPECT_EQ(dialer_.running, 0U);
}

TEST_F(DiscoveryTest, WithoutAConnectionThereIsAFetchError) {  // RFC 8460 section 4.3
  dialer_.silent = {"192.0.2.1"};
  const Connected got = connected({.usable = ips({"192.0.2.1"})});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, PolicyFailure::Kind::Fetch);
  EXPECT_EQ(got.error().detail, "no address answered");
  EXPECT_EQ(took_, Milliseconds(10000));
}

TEST_F(DiscoveryTest, AProxyIsNotDialled) {
  const Connected got = connected({.by_proxy = true});
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->address);
  EXPECT_TRUE(dialer_.dialled.empty());
}

// --- the policy -------------------------------------------------------------------------------

TEST_F(DiscoveryTest, APolicyIsParsedAndItsTextKept) {
  fetcher_.set_policy("example.com", kPolicy);
  const FetchedPolicy got = policy();
  ASSERT_TRUE(got.policy);
  EXPECT_EQ(got.policy->mode, mtasts::Mode::Enforce);
  EXPECT_EQ(got.fetched->body, kPolicy);
  EXPECT_EQ(fetcher_.addresses.front(), ip("192.0.2.1"));
}

TEST_F(DiscoveryTest, AFailedFetchHasItsTypeOfRfc8460) {
  using Kind = https::ErrorKind;
  for (const Kind kind : {Kind::Connect, Kind::Timeout, Kind::Tls, Kind::Certificate, Kind::Status,
                          Kind::MediaType, Kind::TooLarge, Kind::Protocol}) {
    fetcher_.fail("example.com", kind);
    const FetchedPolicy got = policy();
    ASSERT_FALSE(got.policy);
    EXPECT_EQ(got.policy.error().kind, kind == Kind::Certificate ? PolicyFailure::Kind::Certificate
                                                                 : PolicyFailure::Kind::Fetch);
    EXPECT_EQ(got.policy.error().detail, "scripted");
    EXPECT_EQ(got.fetched.error().kind, kind);
  }
  fetcher_.silent[kHost] = true;
  EXPECT_EQ(policy().fetched.error().kind, Kind::Timeout);
  EXPECT_EQ(took_, Milliseconds(60000));
}

TEST_F(DiscoveryTest, ABodyThatIsNoPolicyIsNamedWithItsOffset) {
  fetcher_.set_policy("example.com", "version: STSv1\nmode: None\nmax_age: 86400\n");
  const FetchedPolicy got = policy();
  ASSERT_FALSE(got.policy);
  EXPECT_EQ(got.policy.error().kind, PolicyFailure::Kind::Syntax);
  EXPECT_TRUE(got.policy.error().detail.starts_with("policy at byte 15: "))
      << got.policy.error().detail;
  EXPECT_TRUE(got.fetched) << "the body is there for a report";
}

}  // namespace
}  // namespace mtastsd::discovery
