#include "mtastsd/base/domain_name.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "unit/base/exact_copy.h"

namespace mtastsd {
namespace {

using namespace std::literals;

std::string labels(std::size_t count, std::size_t size) {
  std::string name;
  for (std::size_t i = 0; i < count; ++i) {
    name += std::string(size, 'a') + ".";
  }
  return name;
}

const std::string kLabel63(63, 'a');
const std::string kName253 = labels(4, 62) + "a";  // 4 * 63 + 1

struct NameRow {
  std::string_view name;
  std::string_view section;
  std::string input;
  std::string expected;  // empty: no domain name
};

void expect_names(const std::vector<NameRow>& rows,
                  std::optional<DomainName> (*parse)(std::string_view)) {
  for (const NameRow& row : rows) {
    SCOPED_TRACE(std::string(row.name) + ", RFC " + std::string(row.section));
    const ExactCopy input(row.input);
    const auto name = parse(input.view());
    EXPECT_EQ(name ? name->str() : "", row.expected);
  }
}

TEST(DomainNameParse, TakesLettersDigitsAndInnerHyphens) {
  expect_names(
      {
          {"plain", "5321 section 4.1.2", "example.com", "example.com"},
          {"one-label", "5321 section 4.1.2", "localhost", "localhost"},
          {"folds-case", "8461 section 3.4", "EXAMPLE.Com", "example.com"},
          {"final-dot", "8461 section 3.4", "example.com.", "example.com"},
          {"digits-but-not-at-the-end", "5321 section 4.1.2", "1.1.1.1.example.com",
           "1.1.1.1.example.com"},
          {"digit-in-the-last-label", "5321 section 4.1.2", "example.4com", "example.4com"},
          {"inner-hyphens", "5321 section 4.1.2", "my-mail--x.example", "my-mail--x.example"},
          {"a-label", "5890 section 2.3.2.1", "XN--Bcher-Kva.example", "xn--bcher-kva.example"},
          {"a-label-that-does-not-decode", "8461 section 3.2", "xn--a.example", "xn--a.example"},
          {"label-63", "1035 section 2.3.4", kLabel63 + ".com", kLabel63 + ".com"},
          {"name-253", "1035 section 2.3.4", kName253, kName253},
          {"name-253-and-final-dot", "1035 section 2.3.4", kName253 + ".", kName253},
      },
      DomainName::parse);
}

TEST(DomainNameParse, RefusesWhatIsNoHostName) {
  expect_names(
      {
          {"empty", "5321 section 4.1.2", "", ""},
          {"dot", "5321 section 4.1.2", ".", ""},
          {"two-dots", "5321 section 4.1.2", "..", ""},
          {"leading-dot", "5321 section 4.1.2", ".example.com", ""},
          {"empty-label", "5321 section 4.1.2", "example..com", ""},
          {"two-final-dots", "5321 section 4.1.2", "example.com..", ""},
          {"hyphen-first", "5321 section 4.1.2", "-mail.example.com", ""},
          {"hyphen-last", "5321 section 4.1.2", "mail-.example.com", ""},
          {"hyphen-last-of-name", "5321 section 4.1.2", "mail.example.com-", ""},
          {"only-hyphen", "5321 section 4.1.2", "-", ""},
          {"underscore", "5321 section 4.1.2", "_tcp.example.com", ""},
          {"star", "8461 section 4.1", "*.example.com", ""},
          {"space", "5321 section 4.1.2", "exa mple.com", ""},
          {"nul", "5321 section 4.1.2", "example.com\0.evil.example"s, ""},
          {"colon", "5321 section 4.1.2", "example.com:25", ""},
          {"brackets", "5321 section 4.1.3", "[example.com]", ""},
          {"slash", "5321 section 4.1.2", "example.com/x", ""},
          {"non-ascii", "8461 section 3.2",
           "b\xc3\xbc"
           "cher.example",
           ""},
          {"ipv4", "8461 section 3.4", "192.0.2.1", ""},
          {"ipv4-final-dot", "8461 section 3.4", "192.0.2.1.", ""},
          {"number", "8461 section 3.4", "3221225985", ""},
          {"numeric-last-label", "3696 section 2", "example.25", ""},
          {"label-64", "1035 section 2.3.4", kLabel63 + "a.com", ""},
          {"last-label-64", "1035 section 2.3.4", "com." + kLabel63 + "a", ""},
          {"name-254", "1035 section 2.3.4", kName253 + "a", ""},
      },
      DomainName::parse);
}

// RFC 5891 section 5, with the mapping of UTS #46.
TEST(DomainNameParseUtf8, TurnsULabelsIntoALabels) {
  expect_names(
      {
          {"ascii", "5891 section 5", "Example.COM.", "example.com"},
          {"u-label", "5891 section 5",
           "b\xc3\xbc"
           "cher.example",
           "xn--bcher-kva.example"},
          {"upper-case", "5891 section 5.2",
           "B\xc3\x9c"
           "CHER.Example",
           "xn--bcher-kva.example"},
          {"decomposed", "5891 section 5.2",
           "bu\xcc\x88"
           "cher.example",
           "xn--bcher-kva.example"},
          {"sharp-s-stays", "5891 section 5",
           "stra\xc3\x9f"
           "e.example",
           "xn--strae-oqa.example"},
          {"ideographic-full-stop", "5895 section 2",
           "b\xc3\xbc"
           "cher\xe3\x80\x82"
           "example",
           "xn--bcher-kva.example"},
          {"final-dot", "5891 section 5",
           "b\xc3\xbc"
           "cher.example.",
           "xn--bcher-kva.example"},
      },
      DomainName::parse_utf8);
}

TEST(DomainNameParseUtf8, RefusesWhatHasNoALabelForm) {
  expect_names(
      {
          {"latin-1", "5891 section 5",
           "b\xfc"
           "cher.example",
           ""},
          {"overlong", "5891 section 5",
           "b\xc0\xaf"
           "cher.example",
           ""},
          {"bidi-override", "5892 section 2.6", "exa\xe2\x80\xaemple.com", ""},
          {"joiner-out-of-context", "5892 appendix A.2", "exam\xe2\x80\x8dple.com", ""},
          {"leading-combining-mark", "5891 section 5.4",
           "\xcc\x80"
           "a.example",
           ""},
          {"bidi-rule", "5893 section 2",
           "\xd7\x90"
           "a.example",
           ""},
          {"no-break-space", "5891 section 5",
           "a\xc2\xa0"
           "b.example",
           ""},
          {"nul-behind-a-good-name", "5891 section 5",
           "b\xc3\xbc"
           "cher.example\0.x"s,
           ""},
          {"leading-ideographic-dot", "5895 section 2",
           "\xe3\x80\x82"
           "example.com",
           ""},
          {"full-width-address", "8461 section 3.4",
           "\xef\xbc\x91.\xef\xbc\x92.\xef\xbc\x93.\xef\xbc\x94", ""},
          {"full-width-colon", "8461 section 3.4",
           "example.com\xef\xbc\x9a"
           "25",
           ""},
          {"underscore-beside-u-label", "5321 section 4.1.2",
           "_x.b\xc3\xbc"
           "cher.example",
           ""},
          {"soft-hyphen-only", "5891 section 5", "\xc2\xad.example", ""},
          {"too-long", "1035 section 2.3.4", std::string(2000, 'a') + "\xc3\xbc.example", ""},
          {"grows-over-63", "1035 section 2.3.4", kLabel63 + "\xc3\xbc.example", ""},
      },
      DomainName::parse_utf8);
}

TEST(DomainNameUnder, PutsALabelInFront) {
  const auto name = DomainName::parse("example.com");
  EXPECT_EQ(name->under("_mta-sts")->view(), "_mta-sts.example.com");
  EXPECT_EQ(name->under("mta-sts")->under("x")->view(), "x.mta-sts.example.com");
}

// RFC 1035 section 2.3.4.
TEST(DomainNameUnder, StaysWithin253Bytes) {
  const auto longest = DomainName::parse(kName253);
  EXPECT_FALSE(longest->under("a"));
  const auto name = DomainName::parse(kName253.substr(2));
  ASSERT_EQ(name->size(), 251u);
  EXPECT_EQ(name->under("x")->size(), 253u);
  EXPECT_FALSE(name->under("xy"));
}

TEST(DomainName, ComparesByValueWithoutRegardToCase) {
  const auto a = DomainName::parse("a.example");
  const auto upper = DomainName::parse("A.EXAMPLE.");
  const auto longer = DomainName::parse("a.example.com");
  EXPECT_EQ(*a, *upper);
  EXPECT_NE(*a, *longer);
  EXPECT_LT(*a, *longer);
  EXPECT_EQ(std::hash<DomainName>{}(*a), std::hash<DomainName>{}(*upper));
  const std::unordered_set<DomainName> set{*a, *upper, *longer};
  EXPECT_EQ(set.size(), 2u);
}

}  // namespace
}  // namespace mtastsd
