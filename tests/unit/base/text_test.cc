#include "mtastsd/base/text.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "mtastsd/base/utf8.h"
#include "unit/base/exact_copy.h"

namespace mtastsd {
namespace {

using namespace std::literals;

std::string utf8(std::uint32_t code) {
  const auto continuation = [](std::uint32_t bits) {
    return static_cast<char>(0x80 | (bits & 0x3f));
  };
  if (code < 0x80) {
    return {static_cast<char>(code)};
  }
  if (code < 0x800) {
    return {static_cast<char>(0xc0 | code >> 6), continuation(code)};
  }
  if (code < 0x10000) {
    return {static_cast<char>(0xe0 | code >> 12), continuation(code >> 6), continuation(code)};
  }
  return {static_cast<char>(0xf0 | code >> 18), continuation(code >> 12), continuation(code >> 6),
          continuation(code)};
}

TEST(Printable, LeavesOrdinaryTextAsItIs) {
  for (const char* text : {"", "plain text", "b\xc3\xa4ume.test", "\xe4\xbe\x8b\xe3\x81\x88",
                           "\xf0\x9f\x93\xa7", "a\\b\"c", "\xc2\xa0"}) {
    EXPECT_EQ(printable(ExactCopy(text).view()), text);
  }
}

TEST(Printable, EscapesEachByteOfWhatIsNotPrintable) {
  EXPECT_EQ(printable("\x1b[31mred\n\t\x7f"), "\\x1b[31mred\\x0a\\x09\\x7f");
  EXPECT_EQ(printable("a\0b"sv), "a\\x00b");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // C1
  EXPECT_EQ(printable(ExactCopy("\xff\xc3").view()), "\\xff\\xc3");
  EXPECT_EQ(printable(ExactCopy("\xe2\x80").view()), "\\xe2\\x80");
}

// Each control, and each character that hides or reorders what stands around it.
TEST(Printable, LeavesNothingThatATerminalObeysOrThatDeceives) {
  std::vector<std::uint32_t> codes = {0x7f,   0xad,   0x61c,   0x180e, 0x2028,
                                      0x2029, 0xfeff, 0x1d173, 0xe0001};
  const auto add = [&](std::uint32_t first, std::uint32_t last) {
    for (std::uint32_t code = first; code <= last; ++code) {
      codes.push_back(code);
    }
  };
  add(0, 0x1f);
  add(0x80, 0x9f);
  add(0x200b, 0x200f);
  add(0x202a, 0x202e);
  add(0x2060, 0x2069);
  add(0xfff9, 0xfffb);
  add(0xe0020, 0xe007f);
  for (const std::uint32_t code : codes) {
    const std::string shown = printable("a" + utf8(code) + "b");
    EXPECT_TRUE(is_ascii(shown)) << std::hex << code;
    EXPECT_TRUE(shown.starts_with("a\\x") && shown.ends_with('b')) << std::hex << code;
    EXPECT_EQ(printable(shown), shown);
  }
  for (const std::uint32_t code : {0x200a, 0x2010, 0x202f, 0x205f, 0x2070, 0xfffd}) {
    EXPECT_EQ(printable(utf8(code)), utf8(code)) << std::hex << code;
  }
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("a\x01\x01", 5), "a\\x01...");
  EXPECT_EQ(printable("a\x01\x01", 8), "a\\x01...");
  EXPECT_EQ(printable("ab\xc3\xa4", 3), "ab...");
}

TEST(InQuotes, EscapesAndCuts) {
  EXPECT_EQ(in_quotes("a\x1b\n\xc3\xbc"), "\"a\\x1b\\x0a\xc3\xbc\"");
  EXPECT_EQ(in_quotes("say \"\\\""), "\"say \\\"\\\\\\\"\"");
  EXPECT_EQ(in_quotes(std::string(60, 'x')), "\"" + std::string(60, 'x') + "\"");
  EXPECT_EQ(in_quotes(std::string(61, 'x')), "\"" + std::string(60, 'x') + "...\"");
  EXPECT_EQ(in_quotes("abc", 2), "\"ab...\"");
}

TEST(CutBytes, SplitsNoCharacter) {
  EXPECT_EQ(cut_bytes("abc", 3), "abc");
  EXPECT_EQ(cut_bytes("abcd", 3), "abc");
  EXPECT_EQ(cut_bytes("ab\xc3\xa4", 3), "ab");
  EXPECT_EQ(cut_bytes("ab\xc3\xa4x", 4), "ab\xc3\xa4");
  EXPECT_EQ(cut_bytes("\xf0\x9f\x93\xa7x", 3), "");
  EXPECT_EQ(cut_bytes("\x80\x80\x80\x80\x80\x80", 5).size(), 5u);
}

TEST(Hex, HasTwoDigitsForEachByte) {
  EXPECT_EQ(hex("\x00\x0f\xf0\xff"sv), "000ff0ff");
  EXPECT_EQ(hex(""), "");
}

TEST(Counted, KnowsOneFromMany) {
  EXPECT_EQ(counted(0, "host", "hosts"), "0 hosts");
  EXPECT_EQ(counted(1, "host", "hosts"), "1 host");
  EXPECT_EQ(counted(2, "host", "hosts"), "2 hosts");
}

TEST(Joined, SeparatesItems) {
  EXPECT_EQ(joined(std::vector<std::string>{}), "");
  EXPECT_EQ(joined(std::vector<std::string>{"a"}), "a");
  EXPECT_EQ(joined(std::vector<std::string>{"a", "b"}), "a, b");
  EXPECT_EQ(joined(std::array{1, 2}, " ", [](int n) { return std::to_string(n); }), "1 2");
}

TEST(EditDistance, CountsChangesAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("mode", "mode"), 0u);
  EXPECT_EQ(edit_distance("", "mode"), 4u);
  EXPECT_EQ(edit_distance("mode", "mod"), 1u);
  EXPECT_EQ(edit_distance("mode", "mods"), 1u);
  EXPECT_EQ(edit_distance("mode", "mdoe"), 1u);
  EXPECT_EQ(edit_distance("mode", "xmdoe"), 2u);
}

TEST(Nearest, FindsWhatWasProbablyMeant) {
  const std::vector<std::string> names = {"answer_timeout", "recheck_min", "recheck_max", "port"};
  EXPECT_EQ(nearest("answer_timout", names), "answer_timeout");
  EXPECT_EQ(nearest("asnwer_timeout", names), "answer_timeout");
  EXPECT_EQ(nearest("answer-timeout", names), "answer_timeout");
  EXPECT_EQ(nearest("recheck_mix", names), "recheck_min");
  EXPECT_EQ(nearest("prot", names), "port");
  EXPECT_EQ(nearest("colour", names), std::nullopt);
  EXPECT_EQ(nearest("", names), std::nullopt);
  EXPECT_EQ(nearest(std::string(100000, 'x'), names), std::nullopt);
}

}  // namespace
}  // namespace mtastsd
