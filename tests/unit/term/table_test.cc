#include "mtastsd/term/table.h"

#include <gtest/gtest.h>

namespace mtastsd::term {
namespace {

const Terminal kPipe{};
const Terminal kNarrow{true, false, 40};
const Terminal kColoured{true, true, 40};

TEST(Table, FillsTheLineOfATerminal) {
  const Table table(kNarrow, {{"DOMAIN", 0}, {"MODE", 7}, {"UNTIL", 5}});
  EXPECT_EQ(table.head(), "DOMAIN                    MODE     UNTIL");
  const std::string row = table.row({{"a.very.long.name.that.does.not.fit", Colour::None},
                                     {"enforce", Colour::None},
                                     {"in 5m", Colour::None}});
  EXPECT_EQ(row, "a.very.long.name.that...  enforce  in 5m");
  EXPECT_EQ(row.size(), 40u);
}

TEST(Table, CutsNothingInAPipe) {
  const Table table(kPipe, {{"DOMAIN", 0}, {"MODE", 7}});
  const std::string name(60, 'x');
  EXPECT_EQ(table.row({{name, Colour::Red}, {"enforce", Colour::None}}), name + "  enforce");
  EXPECT_EQ(table.row({{"short", Colour::Red}, {"enforce", Colour::None}}),
            "short" + std::string(37, ' ') + "enforce");
}

TEST(Table, ColoursDoNotCountAsWidth) {
  const Table table(kColoured, {{"A", 0}, {"B", 4}});
  EXPECT_EQ(table.row({{"x", Colour::Green}, {"y", Colour::None}}),
            "\x1b[32mx" + std::string(33, ' ') + "\x1b[0m  y");
}

TEST(Field, GoesOnBelowItsValue) {
  EXPECT_EQ(field(kNarrow, "Name", "one two three four five six"),
            "Name:             one two three four\n"
            "                  five six\n");
  EXPECT_EQ(field(kNarrow, "Name", std::string(50, 'x')),
            "Name:             " + std::string(22, 'x') + "\n" + std::string(18, ' ') +
                std::string(22, 'x') + "\n" + std::string(18, ' ') + "xxxxxx\n");
  EXPECT_EQ(field(kPipe, "Name", std::string(200, 'x')),
            "Name:             " + std::string(200, 'x') + "\n");
  EXPECT_EQ(field(kNarrow, "", ""), std::string(18, ' ') + "\n");
}

TEST(SizeText, IsRounded) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1536), "1.5 KiB");
  EXPECT_EQ(size_text(std::size_t{1} << 30), "1.0 GiB");
}

TEST(CountText, HasItsThousandsApart) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(1234567), "1,234,567");
}

}  // namespace
}  // namespace mtastsd::term
