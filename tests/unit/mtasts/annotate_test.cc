#include "mtastsd/mtasts/annotate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/source_dir.h"
#include "unit/base/exact_copy.h"

namespace mtastsd::mtasts {
namespace {

using Missing = std::vector<std::string_view>;

const std::string kRest = "mode: enforce\nmx: a.example\nmax_age: 86400\n";
const std::string kGood = "version: STSv1\n" + kRest;

// The only line after a good policy, annotated.
PolicyLine after_good(const std::string& line) {
  static std::string body;  // the lines are views
  body = kGood + line;
  return annotate_policy(body).lines.at(4);
}

TEST(AnnotatePolicy, SaysOfEachLineWhatItIs) {
  struct Row {
    std::string line;
    LineVerdict verdict;
    LineIssue issue;
    std::string says;
  };
  const std::vector<Row> rows = {
      {"mx: b.example", LineVerdict::Good, LineIssue::None, ""},
      {"mx: *.b.example", LineVerdict::Good, LineIssue::None, ""},
      {"\n", LineVerdict::Note, LineIssue::Blank, "blank"},
      {"mx: A.example", LineVerdict::Note, LineIssue::RepeatedMx, "before"},
      {"mx: b.example.", LineVerdict::Fault, LineIssue::FinalDotMx, "final dot"},
      {"mx: 192.0.2.1", LineVerdict::Fault, LineIssue::UnmatchableMx, "no MX host"},
      {"mx: hostname", LineVerdict::Fault, LineIssue::UnmatchableMx, "no MX host"},
      {"mx: .b.example", LineVerdict::Error, LineIssue::BadMx, "\"*\" in front"},
      {"mx: a*.b.example", LineVerdict::Error, LineIssue::BadMx, "whole first label"},
      {"mx: *.*.example", LineVerdict::Error, LineIssue::BadMx, "whole first label"},
      {"mx:", LineVerdict::Error, LineIssue::BadMx, "no host name"},
      {"mx: a_b.example", LineVerdict::Error, LineIssue::BadMx, "is not a host name"},
      {"mode: enforce", LineVerdict::Fault, LineIssue::Duplicate, "a repetition"},
      {"mode: testing", LineVerdict::Fault, LineIssue::Duplicate, "another value"},
      {"mode: nonsense", LineVerdict::Fault, LineIssue::Duplicate, "another value"},
      {"mode:", LineVerdict::Error, LineIssue::BadValue, "no value"},
      {"Mode: testing", LineVerdict::Fault, LineIssue::MisspeltField, "\"mode\""},
      {"max-age: 1", LineVerdict::Fault, LineIssue::MisspeltField, "\"max_age\""},
      {"maxage: 1", LineVerdict::Fault, LineIssue::MisspeltField, "\"max_age\""},
      {"MX: b.example", LineVerdict::Fault, LineIssue::MisspeltField, "\"mx\""},
      {"mxs: b.example", LineVerdict::Fault, LineIssue::MisspeltField, "\"mx\""},
      {"verison: STSv1", LineVerdict::Fault, LineIssue::MisspeltField, "\"version\""},
      {"moed: testing", LineVerdict::Fault, LineIssue::MisspeltField, "\"mode\""},
      {"mx2: b.example", LineVerdict::Note, LineIssue::UnknownField, "unknown"},
      {"contact: x", LineVerdict::Note, LineIssue::UnknownField, "unknown"},
      {"contact: \x01", LineVerdict::Error, LineIssue::BadValue, "\\x01"},
      {"# comment", LineVerdict::Error, LineIssue::NotAField, "no \":\""},
      {" mode: none", LineVerdict::Error, LineIssue::NotAField, "at the beginning"},
      {"mode : none", LineVerdict::Error, LineIssue::NotAField, "before the \":\""},
      {"<a: b", LineVerdict::Error, LineIssue::NotAField, "not a field name"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.line);
    const PolicyLine line = after_good(row.line);
    EXPECT_EQ(line.number, 5U);
    EXPECT_EQ(line.verdict, row.verdict);
    EXPECT_EQ(line.issue, row.issue);
    EXPECT_NE(line.comment.find(row.says), std::string::npos) << line.comment;
    EXPECT_EQ(line.comment.empty(), row.verdict == LineVerdict::Good);
  }
}

TEST(AnnotatePolicy, JudgesTheFirstOfRequiredFields) {
  struct Row {
    std::string body;
    std::size_t line;
    LineIssue issue;
  };
  const std::vector<Row> rows = {
      {"version: STSv2\n" + kRest, 1, LineIssue::BadVersion},
      {"version: stsv1\n" + kRest, 1, LineIssue::BadVersion},
      {"version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1", 2, LineIssue::BadMode},
      {"version: STSv1\nmode: none\nmax_age: 1d", 3, LineIssue::BadMaxAge},
      {"version: STSv1\nmode: none\nmax_age: -1", 3, LineIssue::BadMaxAge},
      {"version: STSv1\nmode: none\nmax_age: 12345678901", 3, LineIssue::BadMaxAge},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.body);
    const auto policy = annotate_policy(row.body);
    EXPECT_FALSE(policy.policy);
    EXPECT_EQ(policy.missing, Missing{});
    EXPECT_EQ(policy.lines.at(row.line - 1).issue, row.issue);
    EXPECT_EQ(policy.lines.at(row.line - 1).verdict, LineVerdict::Error);
  }
}

TEST(AnnotatePolicy, NamesWhatIsMissing) {
  EXPECT_EQ(annotate_policy("").missing, (Missing{"version", "mode", "max_age", "mx"}));
  EXPECT_EQ(annotate_policy("version: STSv1\nmode: none\nmax_age: 1").missing, Missing{});
  EXPECT_EQ(annotate_policy("version: STSv1\nmode: testing\nmax_age: 1").missing, Missing{"mx"});
  EXPECT_EQ(annotate_policy("version: STSv1\nmode: testing\nmax_age: 1\nmx: 192.0.2.1").missing,
            Missing{"mx"});
}

TEST(AnnotatePolicy, KnowsLineEndsAndTheByteOrderMark) {
  const auto policy = annotate_policy("\xef\xbb\xbfversion: STSv1\r\nmode: none\nmax_age: 1");
  EXPECT_TRUE(policy.byte_order_mark);
  ASSERT_EQ(policy.lines.size(), 3U);
  EXPECT_EQ(policy.lines[0].offset, 3U);
  EXPECT_EQ(policy.lines[0].end, LineEnd::CrLf);
  EXPECT_EQ(policy.lines[1].offset, 19U);
  EXPECT_EQ(policy.lines[1].end, LineEnd::Lf);
  EXPECT_EQ(policy.lines[2].end, LineEnd::None);
}

TEST(AnnotatePolicy, KeepsMaxAgeAsWritten) {
  const auto over = annotate_policy("version: STSv1\nmode: none\nmax_age: 31557601");
  EXPECT_EQ(over.max_age, Seconds{31557601});
  EXPECT_EQ(over.lines[2].issue, LineIssue::MaxAgeOverLimit);
  EXPECT_TRUE(over.policy);
  const auto at_limit = annotate_policy("version: STSv1\nmode: none\nmax_age: 31557600");
  EXPECT_EQ(at_limit.lines[2].verdict, LineVerdict::Good);
}

TEST(AnnotatePolicy, LeavesAloneWhatIsTooLong) {
  const auto policy = annotate_policy(std::string(kMaxPolicyBytes + 1, '\n'));
  EXPECT_TRUE(policy.too_long);
  EXPECT_FALSE(policy.policy);
  EXPECT_TRUE(policy.lines.empty());
}

void expect_same_policy(std::string_view body) {
  const auto annotated = annotate_policy(body);
  const auto parsed = parse_policy(body);
  ASSERT_EQ(annotated.policy.has_value(), parsed.has_value()) << body;
  if (parsed) {
    EXPECT_EQ(*annotated.policy, *parsed) << body;
  }
  const bool error =
      std::any_of(annotated.lines.begin(), annotated.lines.end(),
                  [](const PolicyLine& line) { return line.verdict == LineVerdict::Error; });
  EXPECT_EQ(parsed.has_value(), !error && annotated.missing.empty()) << body;
}

// Every pair of lines, so that also what a line does to a later one is the same.
TEST(AnnotatePolicy, AgreesWithTheParser) {
  const std::vector<std::string> lines = {"version: STSv1",
                                          "version: 2",
                                          "mode: none",
                                          "mode: testing",
                                          "mode: x",
                                          "max_age: 1",
                                          "max_age: 1d",
                                          "mx: a.b",
                                          "mx: 192.0.2.1",
                                          "mx: hostname",
                                          "mx: *",
                                          "mx:",
                                          "",
                                          "x: y",
                                          "x:",
                                          "<html>",
                                          "\r",
                                          "\xef\xbb\xbf",
                                          "mode : none",
                                          "x: \xff",
                                          "Mode: none",
                                          "mx: a.b.",
                                          " "};
  const std::vector<std::string> bases = {"", "version: STSv1\n", "version: STSv1\nmax_age: 1\n",
                                          "version: STSv1\nmax_age: 1\nmode: enforce\n",
                                          "version: STSv1\nmax_age: 1\nmode: none\n"};
  for (const auto& base : bases) {
    for (const auto& first : lines) {
      for (const auto& second : lines) {
        for (const std::string end : {"\n", "\r\n"}) {
          const ExactCopy body(base + first + end + second);
          expect_same_policy(body.view());
        }
      }
    }
  }
}

TEST(AnnotatePolicy, AgreesWithTheParserOnTheFuzzCorpus) {
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(std::string(MTASTSD_SOURCE_DIR) +
                                                              "/tests/fuzz/policy/corpus")) {
    std::ifstream in(file.path(), std::ios::binary);
    const ExactCopy body(std::string{std::istreambuf_iterator<char>(in), {}});
    expect_same_policy(body.view());
    ++files;
  }
  EXPECT_GT(files, 10);
}

}  // namespace
}  // namespace mtastsd::mtasts
