#include "mtastsd/postfix/request.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "unit/base/exact_copy.h"

namespace mtastsd::postfix {
namespace {

using namespace std::literals;

TEST(SplitRequest, EndsTheMapNameAtTheFirstSpace) {
  const struct {
    std::string_view payload;
    std::string_view map;
    std::string_view key;
  } rows[] = {
      {"postfix example.com", "postfix", "example.com"},
      {"postfix  example.com", "postfix", " example.com"},
      {"postfix example.com ", "postfix", "example.com "},
      {"postfix", "postfix", ""},
      {"postfix ", "postfix", ""},
      {" example.com", "", "example.com"},
      {"", "", ""},
      {"a\tb c", "a\tb", "c"},
  };
  for (const auto& row : rows) {
    const ExactCopy payload(row.payload);
    const Request request = split_request(payload.view());
    EXPECT_EQ(request.map, row.map) << row.payload;
    EXPECT_EQ(request.key, row.key) << row.payload;
  }
}

struct KeyRow {
  std::string_view name;
  std::string_view section;
  std::string key;
  std::string domain;  // empty: nothing to look up
};

void expect_domains(const std::vector<KeyRow>& rows) {
  for (const KeyRow& row : rows) {
    SCOPED_TRACE(std::string(row.name) + ", RFC " + std::string(row.section));
    const ExactCopy key(row.key);
    const auto domain = policy_domain_of(key.view());
    EXPECT_EQ(domain ? domain->str() : "", row.domain);
  }
}

TEST(PolicyDomainOf, IsTheNextHop) {
  expect_domains({
      {"plain", "8461 section 3.4", "example.com", "example.com"},
      {"plain-upper", "8461 section 3.4", "MiXed.TEST", "mixed.test"},
      {"plain-final-dot", "8461 section 3.4", "example.com.", "example.com"},
      {"plain-digit-labels", "8461 section 3.4", "1.1.1.1.example.com", "1.1.1.1.example.com"},
      {"subdomain", "8461 section 3.4", "mail.example.com", "mail.example.com"},
      {"idn-a-label", "5891 section 5", "xn--bcher-kva.example", "xn--bcher-kva.example"},
      {"idn-u-label", "5891 section 5",
       "B\xc3\x9c"
       "CHER.example",
       "xn--bcher-kva.example"},
      {"special-local", "6761 section 6", "printer.local", "printer.local"},
  });
}

TEST(PolicyDomainOf, TakesBracketsAndPortsOff) {
  expect_domains({
      {"port", "8461 section 3.4", "example.com:25", "example.com"},
      {"port-upper", "8461 section 3.4", "Example.COM:2525", "example.com"},
      {"port-largest", "8461 section 3.4", "example.com:65535", "example.com"},
      {"port-service", "8461 section 3.4", "example.com:smtp", "example.com"},
      {"port-after-final-dot", "8461 section 3.4", "example.com.:25", "example.com"},
      {"bracketed", "8461 section 3.4", "[relay.example]", "relay.example"},
      {"bracketed-port", "8461 section 3.4", "[relay.example]:587", "relay.example"},
      {"bracketed-service", "8461 section 3.4", "[relay.example]:submission", "relay.example"},
      {"bracketed-final-dot", "8461 section 3.4", "[mail.example.com.]:25", "mail.example.com"},
      {"bracketed-u-label", "5891 section 5",
       "[b\xc3\xbc"
       "cher.example]:25",
       "xn--bcher-kva.example"},
      {"service-15", "6335 section 5.1", "example.com:a23456789012-45", "example.com"},
  });
}

TEST(PolicyDomainOf, IsNothingForParentsAddressesAndSingleLabels) {
  expect_domains({
      {"parent", "8461 section 3.4", ".example.com", ""},
      {"parent-top", "8461 section 3.4", ".com", ""},
      {"parent-bracketed", "8461 section 3.4", "[.example.com]", ""},
      {"parent-port", "8461 section 3.4", ".example.com:25", ""},
      {"ipv4", "8461 section 3.4", "192.0.2.1", ""},
      {"ipv4-bracketed", "8461 section 3.4", "[192.0.2.1]", ""},
      {"ipv4-bracketed-port", "8461 section 3.4", "[192.0.2.1]:25", ""},
      {"ipv4-port", "8461 section 3.4", "192.0.2.1:25", ""},
      {"ipv4-octal", "8461 section 3.4", "0300.0250.0.1", ""},
      {"ipv4-hex", "8461 section 3.4", "0xC0.0x0.0x2.0x1", ""},
      {"ipv4-hex-empty", "8461 section 3.4", "192.0.2.0x", ""},
      {"ipv6", "8461 section 3.4", "2001:db8::1", ""},
      {"ipv6-any", "8461 section 3.4", "::", ""},
      {"ipv6-bracketed", "8461 section 3.4", "[2001:db8::1]", ""},
      {"ipv6-tagged", "8461 section 3.4", "[IPv6:2001:db8::1]", ""},
      {"ipv6-mapped", "8461 section 3.4", "[IPv6:::ffff:192.0.2.1]:25", ""},
      {"ipv6-zone", "8461 section 3.4", "[fe80::1%eth0]:25", ""},
      {"single", "8461 section 3.4", "localhost", ""},
      {"single-final-dot", "8461 section 3.4", "com.", ""},
      {"single-port", "8461 section 3.4", "mailhub:25", ""},
      {"single-bracketed", "8461 section 3.4", "[mailhub]", ""},
      {"single-u-label", "5891 section 5",
       "b\xc3\xbc"
       "cher",
       ""},
      {"onion", "7686 section 2", "example.onion", ""},
      {"onion-bracketed", "7686 section 2", "[a.Example.ONION.]:25", ""},
  });
  EXPECT_TRUE(policy_domain_of("onion.example"));
  EXPECT_TRUE(policy_domain_of("example.0xyz"));
}

TEST(PolicyDomainOf, IsNothingForWhatIsNoDomain) {
  for (const std::string_view key : {""sv,
                                     "."sv,
                                     ".."sv,
                                     "example..com"sv,
                                     "*"sv,
                                     "*.example.com"sv,
                                     "[]"sv,
                                     "[]:25"sv,
                                     "["sv,
                                     "]"sv,
                                     ":"sv,
                                     ":25"sv,
                                     "[example.com"sv,
                                     "example.com]"sv,
                                     "[[example.com]]"sv,
                                     "[example.com]x"sv,
                                     "[example.com].evil.example"sv,
                                     "[example.com]25"sv,
                                     "[example.com]:"sv,
                                     "[example.com]:25:25"sv,
                                     "[example.com:25]"sv,
                                     "example.com:"sv,
                                     "example.com:25:25"sv,
                                     "inet:example.com:25"sv,
                                     "example.com:65536"sv,
                                     "example.com:99999"sv,
                                     "example.com:4294967321"sv,
                                     "example.com:-1"sv,
                                     "example.com:25x"sv,
                                     "example.com:+25"sv,
                                     "example.com: 25"sv,
                                     "example.com:a234567890123456"sv,
                                     "example.com:-smtp"sv,
                                     "example.com:443/x"sv,
                                     "a.example,b.example"sv,
                                     "user@example.com"sv,
                                     "\"example.com\""sv,
                                     "example\\.com"sv,
                                     "evil\\046example.com"sv,
                                     "{example.com}"sv,
                                     "example.com/"sv,
                                     "../../etc/passwd"sv,
                                     "evil.example#.example.com"sv,
                                     "example.com?x"sv,
                                     "example.com\r"sv,
                                     "example.com\n"sv,
                                     "example.com "sv,
                                     " example.com"sv,
                                     "\texample.com"sv,
                                     "example.com\0"sv,
                                     "example.com\0.evil.example"sv,
                                     "example.com:25\0"sv,
                                     "example-.com"sv,
                                     "-example.com"sv,
                                     "_tcp.example.com"sv,
                                     "b\xfc"
                                     "cher.example"sv,
                                     "exa\xe2\x80\xaemple.com"sv,
                                     "example.com:\xc2\xb2"
                                     "5"sv}) {
    const ExactCopy copy(key);
    EXPECT_FALSE(policy_domain_of(copy.view())) << key;
  }
}

// RFC 8461 section 3.1: "_mta-sts." goes in front; RFC 1035 section 2.3.4: 253 bytes in all.
TEST(PolicyDomainOf, LeavesRoomForTheRecordLabel) {
  const std::string label60 = std::string(60, 'x') + ".";
  const std::string name244 = label60 + label60 + label60 + std::string(61, 'y');
  ASSERT_EQ(name244.size(), 244u);
  const auto domain = policy_domain_of(name244);
  ASSERT_TRUE(domain);
  EXPECT_EQ(domain->under("_mta-sts")->size(), 253u);
  EXPECT_FALSE(policy_domain_of(name244 + "y"));
  EXPECT_FALSE(policy_domain_of(std::string(10000, 'a') + ".example"));
}

TEST(TargetOf, IsWherePostfixDeliversTo) {
  struct Row {
    const char* key;
    bool by_mx;
    std::uint16_t port;
  };
  for (const Row& row : {Row{"example.com", true, 25},
                         {"example.com:26", true, 26},
                         {"example.com:smtp", true, 25},
                         {"[relay.example]", false, 25},
                         {"[relay.example]:587", false, 587},
                         {"[relay.example]:Submission", false, 587},
                         {"[relay.example]:smtps", false, 465},
                         {"[relay.example]:submissions", false, 465},
                         {"[relay.example]:ftp", false, 25}}) {
    EXPECT_EQ(target_of(row.key), (dane::Target{row.by_mx, row.port})) << row.key;
  }
}

}  // namespace
}  // namespace mtastsd::postfix
