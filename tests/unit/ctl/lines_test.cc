#include "lines.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "trouble.h"

namespace mtastsd::ctl {
namespace {

class LinesTest : public testing::Test {
 protected:
  LinesTest() { EXPECT_EQ(pipe(ends_.data()), 0); }
  ~LinesTest() override {
    close(ends_[0]);
    finish();
  }
  void say(const std::string& text) {
    ASSERT_EQ(write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void finish() {
    if (ends_[1] >= 0) {
      close(ends_[1]);
      ends_[1] = -1;
    }
  }
  std::vector<std::string> all(Lines& lines) {
    std::vector<std::string> found;
    while (auto line = lines.read()) {
      found.push_back(*line);
    }
    return found;
  }

  std::array<int, 2> ends_{};
};

TEST_F(LinesTest, PassesOverBlanksAndRemarks) {
  Lines lines(ends_[0], 100);
  say("a.test\r\n\n  # remark\n\t b.test \n   \nc.test");
  finish();
  EXPECT_EQ(all(lines), (std::vector<std::string>{"a.test", "b.test", "c.test"}));
  EXPECT_EQ(lines.number(), 6u);
}

TEST_F(LinesTest, GivesALineBeforeTheEndComes) {
  Lines lines(ends_[0], 100);
  EXPECT_FALSE(lines.ready());
  say("a.test\nb.te");
  lines.fill();
  EXPECT_TRUE(lines.ready());
  EXPECT_EQ(lines.next(), "a.test");
  EXPECT_FALSE(lines.ready());
  EXPECT_EQ(lines.next(), std::nullopt);
  EXPECT_FALSE(lines.at_end());
  say("st\n");
  lines.fill();
  EXPECT_EQ(lines.next(), "b.test");
}

TEST_F(LinesTest, ALineWithoutAnEndIsBounded) {
  Lines lines(ends_[0], 10);
  say("0123456789\n");
  lines.fill();
  EXPECT_EQ(lines.next(), "0123456789");
  say("short\n01234567890");
  try {
    lines.fill();
    FAIL() << "the line is too long";
  } catch (const Trouble& trouble) {
    EXPECT_STREQ(trouble.what(), "standard input: line 3 is longer than 10 bytes");
  }
}

TEST(NamesGiven, AreBoundedAndNoOptions) {
  EXPECT_EQ(names_given("verb", {"a.test", "[b.test]:25"}, 2),
            (std::vector<std::string>{"a.test", "[b.test]:25"}));
  EXPECT_THROW(names_given("verb", {"a.test", "b.test", "c.test"}, 2), Trouble);
  EXPECT_THROW(names_given("verb", {"a.test", "--forec"}, 2), Trouble);
}

TEST_F(LinesTest, NothingIsNoLine) {
  Lines lines(ends_[0], 10);
  finish();
  EXPECT_EQ(all(lines), std::vector<std::string>{});
}

}  // namespace
}  // namespace mtastsd::ctl
