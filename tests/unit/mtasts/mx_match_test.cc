#include "mtastsd/mtasts/mx_match.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace mtastsd::mtasts {
namespace {

// RFC 8461 section 4.1.
TEST(MxMatch, WildcardStandsForExactlyOneLabel) {
  const struct {
    std::string_view pattern;
    std::string_view host;
    bool expected;
  } rows[] = {
      {"mail.example.com", "mail.example.com", true},
      {"Mail.Example.COM", "mAIL.example.com", true},
      {"mail.example.com", "mail.example.com.", true},
      {"mail.example.com", "amail.example.com", false},
      {"mail.example.com", "a.mail.example.com", false},
      {"mail.example.com", "example.com", false},
      {"mail.example.com", "mail.example.com.evil.example", false},
      {"*.example.com", "a.example.com", true},
      {"*.EXAMPLE.com", "A.example.com", true},
      {"*.example.com", "example.com", false},
      {"*.example.com", "a.b.example.com", false},
      {"*.example.com", "aexample.com", false},
      {"*.example.com", "a.example.com.evil.example", false},
      {"*.example.com", "a.example.org", false},
      {"*.com", "example.com", true},
      {"*.com", "com", false},
      {"localhost", "localhost", true},
      {"*.xn--bcher-kva.example", "mx.xn--bcher-kva.example", true},
  };
  for (const auto& row : rows) {
    const auto pattern = MxPattern::parse(row.pattern);
    const auto host = DomainName::parse(row.host);
    ASSERT_TRUE(pattern && host) << row.pattern << " " << row.host;
    EXPECT_EQ(matches(*pattern, *host), row.expected) << row.pattern << " " << row.host;
  }
}

TEST(MxMatch, AnyPatternSuffices) {
  const std::vector<MxPattern> patterns{*MxPattern::parse("mail.example.com"),
                                        *MxPattern::parse("*.example.net")};
  EXPECT_TRUE(matches_any(patterns, *DomainName::parse("mail.example.com")));
  EXPECT_TRUE(matches_any(patterns, *DomainName::parse("a.example.net")));
  EXPECT_FALSE(matches_any(patterns, *DomainName::parse("a.example.com")));
  EXPECT_FALSE(matches_any({}, *DomainName::parse("mail.example.com")));
}

}  // namespace
}  // namespace mtastsd::mtasts
