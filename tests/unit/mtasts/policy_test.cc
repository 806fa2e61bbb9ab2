#include "mtastsd/mtasts/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "unit/base/exact_copy.h"

namespace mtastsd::mtasts {
namespace {

using namespace std::literals;
using testing::ElementsAre;
using testing::HasSubstr;

// "enforce 604800 mail.example.com *.example.net", or "error".
std::string summary(std::string_view body) {
  const ExactCopy copy(body);
  const auto policy = parse_policy(copy.view());
  if (!policy) {
    EXPECT_LE(policy.error().offset, body.size());
    EXPECT_FALSE(policy.error().detail.empty());
    return "error";
  }
  std::string text(to_string(policy->mode));
  text += " " + std::to_string(policy->max_age.count());
  for (const MxPattern& pattern : policy->mx) {
    text += " " + pattern.str();
  }
  return text;
}

struct Row {
  std::string_view name;
  std::string_view section;
  std::string body;
  std::string expected;
};

void expect_policies(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.name) + ", RFC 8461 section " + std::string(row.section));
    EXPECT_EQ(summary(row.body), row.expected);
  }
}

const std::string kGood = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n";
const std::string kGoodSummary = "enforce 604800 mail.example.com";

std::string with_version(const std::string& value) {
  return "version:" + value + "\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n";
}
std::string with_mode(const std::string& value) {
  return "version: STSv1\nmode:" + value + "\nmx: mail.example.com\nmax_age: 604800\n";
}
std::string with_max_age(const std::string& value) {
  return "version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age:" + value + "\n";
}
std::string with_mx(const std::string& value) {
  return "version: STSv1\nmode: enforce\nmx:" + value + "\nmax_age: 604800\n";
}

TEST(ParsePolicy, TakesTheExampleOfTheRfc) {
  expect_policies({{"rfc-example", "3.2",
                    "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
                    "mx: backupmx.example.com\nmax_age: 604800\n",
                    "enforce 604800 mail.example.com *.example.net backupmx.example.com"}});
}

TEST(ParsePolicy, LinesEndInLfOrCrLf) {
  expect_policies({
      {"eol-lf", "3.2", kGood, kGoodSummary},
      {"eol-crlf", "3.2",
       "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmax_age: 604800\r\n",
       kGoodSummary},
      {"eol-none-at-end", "3.2", kGood.substr(0, kGood.size() - 1), kGoodSummary},
      {"eol-cr-only-at-end", "3.2", kGood.substr(0, kGood.size() - 1) + "\r", "error"},
      {"eol-two-crs", "3.2", with_mode(" enforce\r\r"), "error"},
      {"eol-cr-inside-value", "3.2", with_mx(" mail.example.com\rmx: evil.example.net"), "error"},
      {"eol-form-feed", "3.2", with_mx(" mail.example.com\fmx: evil.example.net"), "error"},
      {"eol-record-separator", "3.2", kGood + "note: x\x1emx: evil.example.net\n", "error"},
      {"eol-next-line-is-text", "3.2", kGood + "note: hello\xc2\x85mode: none\n", kGoodSummary},
      {"eol-line-separator-is-text", "3.2", kGood + "note: x\xe2\x80\xa8mx: evil.example.net\n",
       kGoodSummary},
      {"eol-html-br", "3.2", "version: STSv1<br>mode: enforce<br>max_age: 604800", "error"},
  });
}

TEST(ParsePolicy, SkipsBlankLines) {
  expect_policies({
      {"blank-several-at-end", "3.2", kGood + "\n\n\n", kGoodSummary},
      {"blank-at-end-crlf", "3.2", kGood + "\r\n", kGoodSummary},
      {"blank-at-beginning", "3.2", "\n\r\n" + kGood, kGoodSummary},
      {"blank-in-middle", "3.2", with_mode(" enforce\n\n\r\n"), kGoodSummary},
      {"blank-with-space", "3.2", kGood + " \n", "error"},
      {"blank-only", "3.2", "\n\n\n", "error"},
      {"empty", "3.2", "", "error"},
  });
}

TEST(ParsePolicy, WhiteSpaceStandsAroundValuesOnly) {
  expect_policies({
      {"ws-none", "3.2", "version:STSv1\nmode:enforce\nmx:mail.example.com\nmax_age:604800",
       kGoodSummary},
      {"ws-trailing-spaces", "3.2", with_mode(" enforce  \t"), kGoodSummary},
      {"ws-tabs", "3.2", with_mode("\t\tenforce"), kGoodSummary},
      {"ws-before-crlf", "3.2", with_mode(" enforce \r"), kGoodSummary},
      {"ws-leading-spaces", "3.2", "  " + kGood, "error"},
      {"ws-space-before-colon", "3.2", kGood + "note : x\n", "error"},
      {"ws-nbsp-after-colon", "3.2", with_mx("\xc2\xa0mail.example.com"), "error"},
      {"ws-vertical-tab", "3.2", with_mode("\venforce"), "error"},
  });
}

TEST(ParsePolicy, NeedsVersionModeMaxAgeInAnyOrder) {
  expect_policies({
      {"field-order-reversed", "3.2",
       "max_age: 604800\nmx: mail.example.com\nmode: enforce\nversion: STSv1\n", kGoodSummary},
      {"field-missing-version", "3.2", "mode: enforce\nmx: a.example\nmax_age: 1\n", "error"},
      {"field-missing-mode", "3.2", "version: STSv1\nmx: a.example\nmax_age: 1\n", "error"},
      {"field-missing-max-age", "3.2", "version: STSv1\nmode: enforce\nmx: a.example\n", "error"},
      {"field-misspelt-maxage", "3.2",
       "version: STSv1\nmode: enforce\nmx: a.example\nmaxage: 604800\n", "error"},
      {"field-key-upper-mode", "3.2", "version: STSv1\nMode: enforce\nmx: a.example\nmax_age: 1\n",
       "error"},
      {"field-key-upper-mx-extra", "3.2", kGood + "MX: other.example.com\n", kGoodSummary},
  });
}

TEST(ParsePolicy, RequiresMxUnlessModeIsNone) {
  expect_policies({
      {"none-without-mx", "3.2", "version: STSv1\nmode: none\nmax_age: 86400\n", "none 86400"},
      {"none-with-mx", "3.2", with_mode(" none"), "none 604800 mail.example.com"},
      {"none-with-bad-mx", "3.2", "version: STSv1\nmode: none\nmx: -\nmax_age: 1\n", "error"},
      {"enforce-without-mx", "3.2", "version: STSv1\nmode: enforce\nmax_age: 1\n", "error"},
      {"testing-without-mx", "3.2", "version: STSv1\nmode: testing\nmax_age: 1\n", "error"},
  });
}

TEST(ParsePolicy, VersionIsTheLiteralSTSv1) {
  for (const char* value : {" STSv2", " stsv1", " STSv1;", " v=STSv1", " STSv1.0", " \"STSv1\"",
                            " STSv10", "", " STSv1 STSv1"}) {
    EXPECT_EQ(summary(with_version(value)), "error") << value;
  }
}

TEST(ParsePolicy, ModeIsOneOfThreeWords) {
  EXPECT_EQ(summary(with_mode(" testing")), "testing 604800 mail.example.com");
  for (const char* value : {" Enforce", " None", " report", " \"enforce\"", " [enforce]", "",
                            " enforce servername=evil.example", " enforced", " enforc"}) {
    EXPECT_EQ(summary(with_mode(value)), "error") << value;
  }
}

TEST(ParsePolicy, MaxAgeIsUpToTenDigitsAndCapped) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {" 0", "0"},
      {" 31557600", "31557600"},
      {" 31557601", "31557600"},
      {" 2147483648", "31557600"},
      {" 9999999999", "31557600"},
      {" 0000604800", "604800"},
      {" 10000000000", "error"},
      {" 00000604800", "error"},
      {" 18446744073709551616", "error"},
      {" -1", "error"},
      {" -0", "error"},
      {" +604800", "error"},
      {" 604_800", "error"},
      {" 604800;", "error"},
      {" 604800s", "error"},
      {" 6048 00", "error"},
      {" 1e5", "error"},
      {" 0x10", "error"},
      {" 1.5", "error"},
      {" \xd9\xa6\xd9\xa0", "error"},
      {"", "error"},
  };
  for (const auto& [value, expected] : rows) {
    const bool bad = expected == "error";
    EXPECT_EQ(summary(with_max_age(value)),
              bad ? expected : "enforce " + expected + " mail.example.com")
        << value;
  }
}

TEST(ParsePolicy, MxIsADomainOrAWildcardAndADomain) {
  const std::string label63(63, 'a');
  for (const auto& [value, expected] : std::vector<std::pair<std::string, std::string>>{
           {"*.a.b", "*.a.b"},
           {"*.com", "*.com"},
           {"localhost", "localhost"},
           {"Mail.Example.Com", "mail.example.com"},
           {"contoso-com.mail.protection.outlook.com", "contoso-com.mail.protection.outlook.com"},
           {"*.xn--bcher-kva.example", "*.xn--bcher-kva.example"},
           {"mail.xn--a.example", "mail.xn--a.example"},
           {"1.2.3.example", "1.2.3.example"},
           {"mail.example.com.", "mail.example.com"},
           {"*.example.com.", "*.example.com"},
           {label63 + ".example", label63 + ".example"}}) {
    EXPECT_EQ(summary(with_mx(" " + value)), "enforce 604800 " + expected) << value;
  }
}

TEST(ParsePolicy, AnyOtherMxIsAnError) {
  for (const std::string_view value : {""sv,
                                       "*"sv,
                                       "*."sv,
                                       "*.."sv,
                                       "."sv,
                                       ".example.com"sv,
                                       "mx*.example.com"sv,
                                       "*.*.example.com"sv,
                                       "a.*.example.com"sv,
                                       "**.example.com"sv,
                                       "-mail.example.com"sv,
                                       "mail-.example.com"sv,
                                       "mx_2.example.com"sv,
                                       "mail..example.com"sv,
                                       "mail.example.com.."sv,
                                       "*.b\xc3\xbc"
                                       "cher.example"sv,
                                       "[192.0.2.1]"sv,
                                       "2001:db8::1"sv,
                                       "192.0.2.1:25"sv,
                                       "-.192.0.2.1"sv,
                                       "192..2"sv,
                                       ".1"sv,
                                       "1.."sv,
                                       "https://mail.example.com/"sv,
                                       "<mail.example.com>"sv,
                                       "mail.example.com # primary"sv,
                                       "a.example b.example"sv,
                                       "a.example,b.example"sv,
                                       "mail.example.com:"sv,
                                       ":mail.example.com"sv,
                                       "{servername=evil.example}"sv,
                                       "mail.example.com match=nexthop"sv,
                                       "mail.exam\xe2\x80\x8bple.com"sv,
                                       "mail\xff.example.com"sv,
                                       "mail.example.com\0"sv,
                                       "mail.example.com\0.evil.example"sv}) {
    EXPECT_EQ(summary(with_mx(" " + std::string(value))), "error") << value;
    EXPECT_EQ(summary(kGood + "mx: " + std::string(value) + "\n"), "error") << value;
  }
  EXPECT_EQ(summary(with_mx(" " + std::string(64, 'a') + ".example")), "error");
  EXPECT_EQ(summary(with_mx(" " + std::string(5000, '1'))), "error");
}

// RFC 8461 sections 3.2 and 4.1: within the grammar, but no MX host can have such a name.
TEST(ParsePolicy, LeavesOutMxThatEndInANumber) {
  for (const char* value : {"192.0.2.25", "192.0.2.25.", "*.0.2.25", "mail.25", "25"}) {
    EXPECT_EQ(summary(kGood + "mx: " + value + "\n"), kGoodSummary) << value;
    EXPECT_EQ(summary(with_mx(value)), "error") << value;
  }
  EXPECT_EQ(summary("version: STSv1\nmode: none\nmx: 192.0.2.1\nmax_age: 1\n"), "none 1");
}

// Postfix takes these words in match= for the name that DNS gave: no pattern of the policy.
TEST(ParsePolicy, LeavesOutWordsThatMeanSomethingElseToPostfix) {
  for (const char* value : {"hostname", "Nexthop", "dot-nexthop", "hostname."}) {
    EXPECT_EQ(summary(kGood + "mx: " + value + "\n"), kGoodSummary) << value;
    EXPECT_EQ(summary(with_mx(value)), "error") << value;
  }
}

TEST(ParsePolicy, RepeatedMxIsOnePattern) {
  const auto policy = parse_policy(
      "version: STSv1\nmode: enforce\nmx: b.example\nmx: *.a.example\nmx: B.example.\n"
      "mx: a.example\nmx: *.a.example\nmx: b.example\nmax_age: 1\n");
  ASSERT_TRUE(policy);
  std::vector<std::string> names;
  for (const MxPattern& pattern : policy->mx) {
    names.push_back(pattern.str());
  }
  EXPECT_THAT(names, ElementsAre("b.example", "*.a.example", "a.example"));
}

TEST(ParsePolicy, FirstOfSeveralFieldsCountsExceptMx) {
  expect_policies({
      {"dup-version", "3.2", "version: STSv1\n" + kGood, kGoodSummary},
      {"dup-version-first-other", "3.2", "version: STSv2\n" + kGood, "error"},
      {"dup-version-second-other", "3.2", kGood + "version: STSv2\n", kGoodSummary},
      {"dup-mode", "3.2", kGood + "mode: none\n", kGoodSummary},
      {"dup-mode-second-unknown", "3.2", kGood + "mode: bogus\n", kGoodSummary},
      {"dup-mode-first-unknown", "3.2", "mode: bogus\n" + kGood, "error"},
      {"dup-mode-second-no-field", "3.2", kGood + "mode:\n", "error"},
      {"dup-max-age", "3.2", kGood + "max_age: 1\n", kGoodSummary},
      {"dup-max-age-second-bad", "3.2", kGood + "max_age: soon\n", kGoodSummary},
      {"dup-max-age-first-bad", "3.2", "max_age: soon\n" + kGood, "error"},
      {"dup-extension", "3.2", kGood + "note: a\nnote: b\n", kGoodSummary},
      {"mx-many", "3.2", kGood + "mx: b.example\n", kGoodSummary + " b.example"},
  });
}

TEST(ParsePolicy, IgnoresWellFormedExtensions) {
  const std::string name32(32, 'n');
  expect_policies({
      {"ext-inner-spaces", "3.2", kGood + "note: ext e  ns ion\n", kGoodSummary},
      {"ext-colon-in-value", "3.2", kGood + "url: https://example.com/policy:1\n", kGoodSummary},
      {"ext-utf8", "3.2", kGood + "note: caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\xa7\n",
       kGoodSummary},
      {"ext-name-alphabet", "3.2", kGood + "9a_-.Z: x\n", kGoodSummary},
      {"ext-name-32", "3.2", kGood + name32 + ": x\n", kGoodSummary},
      {"ext-name-like-attribute", "3.2", kGood + "servername: evil.example\n", kGoodSummary},
  });
}

TEST(ParsePolicy, EveryLineIsAField) {
  const std::string name33(33, 'n');
  expect_policies({
      {"ext-name-33", "3.2", kGood + name33 + ": x\n", "error"},
      {"ext-name-underscore-first", "3.2", kGood + "_note: x\n", "error"},
      {"ext-name-space", "3.2", kGood + "my note: x\n", "error"},
      {"ext-name-empty", "3.2", kGood + ": x\n", "error"},
      {"ext-name-utf8", "3.2", kGood + "caf\xc3\xa9: x\n", "error"},
      {"ext-no-colon", "3.2", kGood + "note\n", "error"},
      {"ext-empty-value", "3.2", kGood + "note:\n", "error"},
      {"ext-blank-value", "3.2", kGood + "note: \t\n", "error"},
      {"ext-inner-tab", "3.2", kGood + "note: a\tb\n", "error"},
      {"ext-del", "3.2",
       kGood + "note: a\x7f"
               "b\n",
       "error"},
      {"ext-nul", "3.2", kGood + "note: a\0b\n"s, "error"},
      {"ext-comment", "3.2", "# comment: x\n" + kGood, "error"},
      {"enc-overlong", "3.2", kGood + "note: \xc0\xaf\n", "error"},
      {"enc-surrogate", "3.2", kGood + "note: \xed\xa0\x80\n", "error"},
      {"enc-latin-1", "3.2", kGood + "note: caf\xe9\n", "error"},
      {"enc-nul-padding", "3.2", kGood + "\0\0\0\0"s, "error"},
      {"body-html", "3.2", "<!DOCTYPE html>\n<html></html>\n", "error"},
      {"body-html-with-policy", "3.2", "<pre>\n" + kGood + "</pre>\n", "error"},
      {"body-json", "3.2", "{\n  \"version\": \"STSv1\"\n}\n", "error"},
      {"body-txt-record", "3.1", "v=STSv1; id=a;\n", "error"},
  });
}

// RFC 8461 section 3.2 knows no byte order mark.
TEST(ParsePolicy, SkipsOneByteOrderMark) {
  EXPECT_EQ(summary("\xef\xbb\xbf" + kGood), kGoodSummary);
  EXPECT_EQ(summary("\xef\xbb\xbf\xef\xbb\xbf" + kGood), "error");
  EXPECT_EQ(summary("\n\xef\xbb\xbf" + kGood), "error");
  EXPECT_EQ(summary("\xef\xbb" + kGood), "error");
  EXPECT_EQ(summary("\xff\xfe" + kGood), "error");
}

// RFC 8461 section 3.3.
TEST(ParsePolicy, EndsAt65536Bytes) {
  std::string body = kGood + "note: ";
  body += std::string(kMaxPolicyBytes - body.size(), 'x');
  EXPECT_EQ(summary(body), kGoodSummary);
  EXPECT_EQ(summary(body + "x"), "error");
  EXPECT_EQ(summary(body + "\n"), "error");
}

TEST(ParsePolicy, TellsWhereAndEscapesWhatItShows) {
  const auto policy = parse_policy("version: STSv1\nmode: \"\x1b[2J\"\n");
  ASSERT_FALSE(policy);
  EXPECT_EQ(policy.error().offset, 15u);
  EXPECT_EQ(policy.error().detail, "mode must be plain text, not \"\\\"\\x1b[2J\\\"\"");
  const auto far = parse_policy("version: " + std::string(60000, 'x'));
  ASSERT_FALSE(far);
  EXPECT_LT(far.error().detail.size(), 100u);
  EXPECT_THAT(far.error().detail, HasSubstr("version must be STSv1"));
}

// The slowest bodies of 64 KiB: many patterns, all alike or with long common beginnings. Work
// that grows with the square of their number would take much longer than this.
TEST(ParsePolicy, WorkStaysNearLinear) {
  const std::string head = "version: STSv1\nmode: enforce\nmax_age: 1\n";
  std::string same = head;
  while (same.size() + 5 <= kMaxPolicyBytes) {
    same += "mx:a\n";
  }
  std::string distinct = head;
  for (int i = 0; distinct.size() + 12 <= kMaxPolicyBytes; ++i) {
    distinct += "mx:a" + std::to_string(i) + "\n";
  }
  const std::clock_t begin = std::clock();  // of this process, whatever else runs
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(parse_policy(same)->mx.size(), 1u);
    EXPECT_GT(parse_policy(distinct)->mx.size(), 5000u);
  }
  EXPECT_LT(std::clock() - begin, 3 * CLOCKS_PER_SEC);
}

TEST(MxPattern, RoundTrips) {
  for (const std::string text : {"mail.example.com", "*.example.com", "localhost"}) {
    const auto pattern = MxPattern::parse(text);
    ASSERT_TRUE(pattern);
    EXPECT_EQ(pattern->str(), text);
    EXPECT_EQ(MxPattern::parse(pattern->str()), pattern);
  }
  EXPECT_NE(MxPattern::parse("*.example.com"), MxPattern::parse("example.com"));
  EXPECT_FALSE(MxPattern::parse("192.0.2.1"));
}

TEST(Mode, HasTheWordsOfTheRfc) {
  EXPECT_EQ(to_string(Mode::None), "none");
  EXPECT_EQ(to_string(Mode::Testing), "testing");
  EXPECT_EQ(to_string(Mode::Enforce), "enforce");
}

}  // namespace
}  // namespace mtastsd::mtasts
