#include "mtastsd/base/utf8.h"

#include <gtest/gtest.h>

#include <string_view>

#include "unit/base/exact_copy.h"

namespace mtastsd {
namespace {

using namespace std::literals;

// RFC 3629 section 4.
TEST(IsUtf8, AcceptsTheGrammarOfRfc3629Only) {
  const struct {
    std::string_view name;
    std::string_view text;
    bool expected;
  } rows[] = {
      {"empty", "", true},
      {"ascii-with-nul", "a\0b"sv, true},
      {"two-bytes-first", "\xc2\x80", true},
      {"two-bytes-last", "\xdf\xbf", true},
      {"three-bytes-first", "\xe0\xa0\x80", true},
      {"before-surrogates", "\xed\x9f\xbf", true},
      {"after-surrogates", "\xee\x80\x80", true},
      {"three-bytes-last", "\xef\xbf\xbf", true},
      {"four-bytes-first", "\xf0\x90\x80\x80", true},
      {"four-bytes-inner", "\xf1\x80\x80\x80", true},
      {"last-code-point", "\xf4\x8f\xbf\xbf", true},
      {"lone-continuation", "\x80", false},
      {"overlong-slash", "\xc0\xaf", false},
      {"overlong-c1", "\xc1\xbf", false},
      {"overlong-three", "\xe0\x9f\xbf", false},
      {"overlong-four", "\xf0\x8f\xbf\xbf", false},
      {"surrogate-first", "\xed\xa0\x80", false},
      {"surrogate-last", "\xed\xbf\xbf", false},
      {"above-last-code-point", "\xf4\x90\x80\x80", false},
      {"lead-f5", "\xf5\x80\x80\x80", false},
      {"lead-ff", "\xff", false},
      {"cut-after-two", "\xe2\x82", false},
      {"cut-after-one", "\xf0", false},
      {"cut-two-byte-form", "a\xc3", false},
      {"second-is-ascii", "\xc3(", false},
      {"third-is-ascii", "\xe2\x82(", false},
      {"fourth-is-lead", "\xf0\x90\x80\xc2", false},
      {"latin-1",
       "b\xfc"
       "cher",
       false},
  };
  for (const auto& row : rows) {
    const ExactCopy text(row.text);
    EXPECT_EQ(is_utf8(text.view()), row.expected) << row.name;
  }
}

TEST(IsAscii, EndsBelow0x80) {
  EXPECT_TRUE(is_ascii(""));
  EXPECT_TRUE(is_ascii("a\x7f\0"sv));
  EXPECT_FALSE(is_ascii("a\x80"));
}

}  // namespace
}  // namespace mtastsd
