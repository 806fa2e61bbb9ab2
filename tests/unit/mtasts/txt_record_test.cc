#include "mtastsd/mtasts/txt_record.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "unit/base/exact_copy.h"

namespace mtastsd::mtasts {
namespace {

using namespace std::literals;

struct RecordRow {
  std::string_view name;
  std::string_view section;
  std::string input;
  std::string id;  // empty: not valid
};

void expect_ids(const std::vector<RecordRow>& rows) {
  for (const RecordRow& row : rows) {
    SCOPED_TRACE(std::string(row.name) + ", RFC 8461 section " + std::string(row.section));
    const ExactCopy input(row.input);
    const auto record = parse_txt_record(input.view());
    EXPECT_EQ(record ? record->id : "", row.id);
    if (!record) {
      EXPECT_LE(record.error().offset, row.input.size());
      EXPECT_FALSE(record.error().detail.empty());
    }
  }
}

const std::string kId32 = "abcdefghijklmnopqrstuvwxyz012345";

TEST(ParseTxtRecord, TakesTheGrammar) {
  expect_ids({
      {"rfc-example", "3.1", "v=STSv1; id=20160831085700Z;", "20160831085700Z"},
      {"no-trailing-semicolon", "3.1", "v=STSv1; id=a", "a"},
      {"no-white-space", "3.1", "v=STSv1;id=a;x=1;", "a"},
      {"id-32-chars", "3.1", "v=STSv1; id=" + kId32, kId32},
      {"id-mixed-case", "3.1", "v=STSv1; id=AbC123xYz", "AbC123xYz"},
      {"delim-space-before-semicolon", "3.1", "v=STSv1 \t; id=a ;", "a"},
      {"delim-tabs-closed", "3.1", "v=STSv1;\t\tid=a\t\t;\t\tx=1\t;", "a"},
      {"white-space-after-last-semicolon", "3.1", "v=STSv1; id=a; \t", "a"},
      {"ext-before-id", "3.1", "v=STSv1; x=1; id=a", "a"},
      {"ext-after-id", "3.1", "v=STSv1; id=a; more=a; ext=2", "a"},
      {"ext-name-digit-first", "3.1", "v=STSv1; 9x=1; id=a", "a"},
      {"ext-name-alphabet", "3.1", "v=STSv1; a_-.Z9=1; id=a", "a"},
      {"ext-name-32", "3.1", "v=STSv1; id=a; " + kId32 + "=1", "a"},
      {"ext-value-alphabet", "3.1", "v=STSv1; id=a; x=!\"#$%&'()*+,-./:<>?@[\\]^_`{|}~", "a"},
      {"ext-name-case", "3.1", "v=STSv1; ID=b; id=a", "a"},
  });
}

TEST(ParseTxtRecord, RefusesWhatIsOutsideTheGrammar) {
  expect_ids({
      {"empty", "3.1", "", ""},
      {"version-only", "3.1", "v=STSv1", ""},
      {"version-and-delimiter-only", "3.1", "v=STSv1;", ""},
      {"version-lower-case", "3.1", "v=stsv1; id=a", ""},
      {"version-not-first", "3.1", "id=a; v=STSv1;", ""},
      {"version-ten", "3.1", "v=STSv10; id=a;", ""},
      {"no-id", "3.1", "v=STSv1; x=1;", ""},
      {"id-upper-case-name", "3.1", "v=STSv1; ID=a", ""},
      {"id-empty-at-end", "3.1", "v=STSv1; id=", ""},
      {"id-empty", "3.1", "v=STSv1; id=;", ""},
      {"id-33-chars", "3.1", "v=STSv1; id=" + kId32 + "6", ""},
      {"id-dot", "3.1", "v=STSv1; id=2024.01.31", ""},
      {"id-with-space-inside", "3.1", "v=STSv1; id=a b", ""},
      {"id-equals-inside", "3.1", "v=STSv1; id=a=b", ""},
      {"id-space-after-name", "3.1", "v=STSv1; id =a", ""},
      {"id-space-before-value", "3.1", "v=STSv1; id= a", ""},
      {"id-no-equals", "3.1", "v=STSv1; id", ""},
      {"delim-missing", "3.1", "v=STSv1 id=a", ""},
      {"delim-comma", "3.1", "v=STSv1; id=a, x=1", ""},
      {"delim-tabs-not-closed", "3.1", "v=STSv1;\t\tid=a\t\t;\t\tx=1\t", ""},
      {"delim-double", "3.1", "v=STSv1;; id=a", ""},
      {"delim-double-spaced-at-end", "3.1", "v=STSv1; id=a; ;", ""},
      {"delim-trailing-crlf", "3.1", "v=STSv1; id=a;\r\n", ""},
      {"delim-vertical-tab", "3.1", "v=STSv1;\vid=a", ""},
      {"ext-name-empty", "3.1", "v=STSv1; id=a; =x", ""},
      {"ext-name-underscore-first", "3.1", "v=STSv1; id=a; _x=1", ""},
      {"ext-name-33", "3.1", "v=STSv1; id=a; " + kId32 + "6=1", ""},
      {"ext-value-empty", "3.1", "v=STSv1; id=a; x=;", ""},
      {"ext-value-with-space", "3.1", "v=STSv1; id=a; note=has space;", ""},
      {"ext-value-equals", "3.1", "v=STSv1; id=a; x=a=b", ""},
      {"ext-value-del", "3.1", "v=STSv1; id=a; x=\x7f", ""},
      {"bytes-non-ascii-value", "3.1", "v=STSv1; id=a; note=caf\xc3\xa9;", ""},
      {"bytes-high-byte", "3.1", "v=STSv1; id=a; x=\xfe", ""},
      {"bytes-nul-after-delimiter", "3.1", "v=STSv1; id=a;\0"s, ""},
  });
}

TEST(ParseTxtRecord, FirstOfSeveralFieldsCounts) {
  expect_ids({
      {"dup-id-same", "3.2", "v=STSv1; id=a; id=a", "a"},
      {"dup-id-other", "3.2", "v=STSv1; id=a; id=b", "a"},
      {"dup-id-second-no-id", "3.2", "v=STSv1; id=a; id=b.c", "a"},
      {"dup-id-first-no-id", "3.2", "v=STSv1; id=b.c; id=a", ""},
      {"dup-id-second-no-field", "3.2", "v=STSv1; id=a; id=", ""},
      {"dup-pasted-record", "3.2", "v=STSv1; id=a; v=STSv1; id=b;", "a"},
      {"dup-version-bad-value", "3.2", "v=STSv1; id=a; v=a b", ""},
  });
}

TEST(ParseTxtRecord, TellsWhereAndEscapesWhatItShows) {
  const auto record = parse_txt_record("v=STSv1; id=a; x=\x1b[31m");
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().offset, 15u);
  EXPECT_EQ(record.error().detail, "not a field: \"x=\\x1b[31m\"");
  const auto far = parse_txt_record("v=STSv1; id=" + std::string(5000, '.'));
  ASSERT_FALSE(far);
  EXPECT_LT(far.error().detail.size(), 100u);
}

// RFC 8461 section 3.1; the grammar allows white space before the delimiter (erratum 6285).
TEST(ClaimsMtaSts, NeedsVersionAndDelimiterAtTheBeginning) {
  for (const std::string_view text :
       {"v=STSv1;"sv, "v=STSv1; id=a"sv, "v=STSv1 ;"sv, "v=STSv1\t ; x"sv, "v=STSv1;\xff"sv}) {
    EXPECT_TRUE(claims_mta_sts(ExactCopy(text).view())) << text;
  }
  for (const std::string_view text :
       {""sv, "v=STSv1"sv, "v=STSv1 "sv, "v=STSv10;"sv, "v=STSv"sv, "\tv=STSv1;"sv, "v=stsv1;"sv,
        "V=STSv1;"sv, "v =STSv1;"sv, "v= STSv1;"sv, "v=STSv1\r;"sv, "v=STSv1\xc2\xa0;"sv,
        "\"v=STSv1;\""sv, "\xe2\x80\x8bv=STSv1;"sv, "v=STSv1\0;"sv, "id=a; v=STSv1;"sv}) {
    EXPECT_FALSE(claims_mta_sts(ExactCopy(text).view())) << text;
  }
}

struct SelectRow {
  std::string_view name;
  std::vector<std::string> records;
  std::string id;
  TxtFault fault = TxtFault::NoRecord;
};

// RFC 8461 section 3.1: record selection.
TEST(SelectTxtRecord, NeedsExactlyOneClaim) {
  const SelectRow rows[] = {
      {"no-records", {}, ""},
      {"unrelated", {"v=spf1 -all", "", "v=TLSRPTv1; rua=mailto:a@example.com"}, ""},
      {"version-not-first", {"id=x; v=STSv1;"}, ""},
      {"one", {"v=STSv1; id=a"}, "a"},
      {"one-among-others", {"other=1", "v=STSv1; id=a", "v=STSv2; id=b"}, "a"},
      {"empty-string-and-valid", {"", "v=STSv1; id=a"}, "a"},
      {"space-before-semicolon-and-unrelated", {"v=STSv1 ; id=a", "other=1"}, "a"},
      {"one-invalid", {"v=STSv1; id="}, "", TxtFault::InvalidRecord},
      {"two-valid", {"v=STSv1; id=a", "v=STSv1; id=b"}, "", TxtFault::MultipleRecords},
      {"two-the-same", {"v=STSv1; id=a", "v=STSv1; id=a"}, "", TxtFault::MultipleRecords},
      {"two-one-invalid", {"v=STSv1; id=", "v=STSv1; id=b"}, "", TxtFault::MultipleRecords},
      {"space-before-semicolon-and-valid",
       {"v=STSv1 ; id=a", "v=STSv1; id=b"},
       "",
       TxtFault::MultipleRecords},
      {"split-across-records", {"v=STSv1; ", "id=a;"}, "", TxtFault::InvalidRecord},
  };
  for (const SelectRow& row : rows) {
    SCOPED_TRACE(row.name);
    const auto record = select_txt_record(row.records);
    EXPECT_EQ(record ? record->id : "", row.id);
    if (!record) {
      EXPECT_EQ(record.error().fault, row.fault);
    }
  }
}

TEST(SelectTxtRecord, SaysWhatIsWrongWithAnInvalidRecord) {
  const std::vector<std::string> records{"v=STSv1; id=a b"};
  const auto record = select_txt_record(records);
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().error.offset, 13u);
}

// Quadratic work on records of this size would take minutes.
TEST(SelectTxtRecord, WorkIsLinear) {
  std::vector<std::string> records{"v=STSv1; id=a" + std::string(4'000'000, ' ') + "x",
                                   "v=STSv1" + std::string(4'000'000, ' ')};
  std::string many = "v=STSv1; id=a";
  for (int i = 0; i < 500'000; ++i) {
    many += " ; x=1";
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(select_txt_record(records));
  EXPECT_TRUE(parse_txt_record(many));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

}  // namespace
}  // namespace mtastsd::mtasts
