#include "mtastsd/term/terminal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace mtastsd::term {
namespace {

TEST(Cut, KeepsTheWidthAndWholeCharacters) {
  EXPECT_EQ(cut("example.com", 11), "example.com");
  EXPECT_EQ(cut("example.com", 10), "example...");
  EXPECT_EQ(cut("b\xc3\xa4ume.test", 10), "b\xc3\xa4ume.test");
  EXPECT_EQ(cut("b\xc3\xa4ume.test", 5), "b\xc3\xa4...");
  EXPECT_EQ(cut("example.com", 2), "..");
  EXPECT_EQ(cut("", 0), "");
}

TEST(ProgressText, HasABarWhereTheEndIsKnown) {
  EXPECT_EQ(progress_text("asking", 0, 8, Milliseconds(1500), 79),
            "asking  [>                       ] 0 of 8  1s");
  EXPECT_EQ(progress_text("asking", 2, 8, Milliseconds(61000), 79),
            "asking  [======>                 ] 2 of 8  1m 1s");
  EXPECT_EQ(progress_text("asking", 8, 8, Milliseconds(61000), 79),
            "asking  [========================] 8 of 8  1m 1s");
  EXPECT_EQ(progress_text("asking", 9, 8, Milliseconds(0), 79),
            "asking  [========================] 8 of 8  0s");
  EXPECT_EQ(progress_text("asking", 0, 0, Milliseconds(0), 79), "asking  0s");
  EXPECT_EQ(progress_text("waiting", 0, std::nullopt, Milliseconds(3000), 79), "waiting  3s");
  EXPECT_EQ(progress_text("reading", 12, std::nullopt, Milliseconds(3000), 79), "reading  12  3s");
  EXPECT_EQ(progress_text("asking", 2, 8, Milliseconds(0), 20).size(), 20u);
}

TEST(Terminal, APipeIsNone) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const Terminal terminal = look_at(ends[1]);
  EXPECT_FALSE(terminal.is_terminal);
  EXPECT_FALSE(terminal.colours);
  EXPECT_EQ(paint(terminal, Colour::Red, "x"), "x");
  EXPECT_EQ(paint(Terminal{true, true, 80}, Colour::Red, "x"), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(paint(Terminal{true, true, 80}, Colour::None, "x"), "x");
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace mtastsd::term
