#include "mtastsd/term/wrapping.h"

#include <gtest/gtest.h>

namespace mtastsd::term {
namespace {

using Lines = std::vector<std::string>;

TEST(ColumnsOf, CountsCharacters) {
  EXPECT_EQ(columns_of(""), 0u);
  EXPECT_EQ(columns_of("b\xc3\xa4ume"), 5u);
  EXPECT_EQ(padded("b\xc3\xa4ume", 7), "b\xc3\xa4ume  ");
  EXPECT_EQ(padded("longer", 3), "longer");
}

TEST(Wrap, BreaksBetweenWords) {
  EXPECT_EQ(wrap("one two three", 10), (Lines{"one two", "three"}));
  EXPECT_EQ(wrap("one two 34", 10), Lines{"one two 34"});
  EXPECT_EQ(wrap("  one   two  ", 80), Lines{"one two"});
  EXPECT_EQ(wrap("", 80), Lines{""});
}

TEST(Wrap, CutsALongWordBetweenCharacters) {
  EXPECT_EQ(wrap("abcdefghijklmnop", 10), (Lines{"abcdefghij", "klmnop"}));
  EXPECT_EQ(wrap("x abcdefghijklmnop y", 10), (Lines{"x", "abcdefghij", "klmnop y"}));
  EXPECT_EQ(wrap("abcdefghi\xc3\xa4\xc3\xb6", 10), (Lines{"abcdefghi\xc3\xa4", "\xc3\xb6"}));
}

TEST(Wrapped, KeepsToTheWidth) {
  EXPECT_EQ(wrapped("  A", 6, "one two three", 16), "  A   one two\n      three\n");
  EXPECT_EQ(wrapped("", 2, "abcdefghijklmnop", 12), "  abcdefghij\n  klmnop\n");
  EXPECT_EQ(wrapped("label", 8, "", 20), "label\n");
}

}  // namespace
}  // namespace mtastsd::term
