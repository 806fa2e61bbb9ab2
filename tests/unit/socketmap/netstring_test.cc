#include "mtastsd/socketmap/netstring.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>

#include "unit/base/exact_copy.h"

namespace mtastsd::socketmap {
namespace {

using namespace std::literals;

TEST(ReadNetstring, TellsCompleteIncompleteMalformedAndTooLong) {
  const struct {
    std::string_view name;
    std::string_view input;
    NetstringStatus status;
    std::string_view payload = "";
    std::size_t consumed = 0;
    std::size_t total = 0;
  } rows[] = {
      {"whole", "5:hello,", NetstringStatus::Complete, "hello", 8, 8},
      {"postfix-request", "18:postfix plain.test,", NetstringStatus::Complete, "postfix plain.test",
       22, 22},
      {"empty-payload", "0:,", NetstringStatus::Complete, "", 3, 3},
      {"first-of-two", "1:a,1:b,", NetstringStatus::Complete, "a", 4, 4},
      {"any-bytes", "4:\0,:\n,"sv, NetstringStatus::Complete, "\0,:\n"sv, 7, 7},
      {"longest", "20:aaaaaaaaaaaaaaaaaaaa,", NetstringStatus::Complete, "aaaaaaaaaaaaaaaaaaaa", 24,
       24},
      {"nothing", "", NetstringStatus::Incomplete},
      {"length-only", "5", NetstringStatus::Incomplete},
      {"zero-only", "0", NetstringStatus::Incomplete},
      {"length-and-colon", "5:", NetstringStatus::Incomplete, "", 0, 8},
      {"cut", "5:hel", NetstringStatus::Incomplete, "", 0, 8},
      {"no-comma-yet", "5:hello", NetstringStatus::Incomplete, "", 0, 8},
      {"no-comma-yet-empty", "0:", NetstringStatus::Incomplete, "", 0, 3},
      {"wrong-end", "5:hello;", NetstringStatus::Malformed},
      {"wrong-end-empty", "0:x", NetstringStatus::Malformed},
      {"no-length", ":,", NetstringStatus::Malformed},
      {"leading-zero", "05:hello,", NetstringStatus::Malformed},
      {"leading-zeros", "00:,", NetstringStatus::Malformed},
      {"space-first", " 5:hello,", NetstringStatus::Malformed},
      {"space-after-length", "5 :hello,", NetstringStatus::Malformed},
      {"minus", "-1:,", NetstringStatus::Malformed},
      {"plus", "+5:hello,", NetstringStatus::Malformed},
      {"letter", "5a:hello,", NetstringStatus::Malformed},
      {"newline", "\n", NetstringStatus::Malformed},
      {"text", "GET / HTTP/1.1\r\n", NetstringStatus::Malformed},
      {"one-too-long", "21:", NetstringStatus::TooLong},
      {"too-long-before-the-colon", "21", NetstringStatus::TooLong},
      {"too-long-with-more-digits", "100", NetstringStatus::TooLong},
      {"overflow", "18446744073709551617:a,", NetstringStatus::TooLong},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const ExactCopy input(row.input);
    const Netstring read = read_netstring(input.view(), 20);
    EXPECT_EQ(read.status, row.status);
    EXPECT_EQ(read.payload, row.payload);
    EXPECT_EQ(read.consumed, row.consumed);
    EXPECT_EQ(read.total, row.total);
  }
}

TEST(ReadNetstring, LimitsAtTheEdges) {
  EXPECT_EQ(read_netstring("0:,", 0).status, NetstringStatus::Complete);
  EXPECT_EQ(read_netstring("1", 0).status, NetstringStatus::TooLong);
  EXPECT_EQ(read_netstring("9", 9).status, NetstringStatus::Incomplete);
  EXPECT_EQ(read_netstring("9", 8).status, NetstringStatus::TooLong);
  EXPECT_EQ(read_netstring("100000:", 100000).total, 100008u);
  EXPECT_EQ(read_netstring("99999999999999999999", std::numeric_limits<std::size_t>::max()).status,
            NetstringStatus::TooLong);
}

// Bytes come in any portions: what was said of a beginning must hold for the whole.
TEST(ReadNetstring, PrefixesOfACompleteOneAreIncomplete) {
  const std::string whole = "12:postfix a.de,";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const ExactCopy input(whole.substr(0, size));
    const Netstring read = read_netstring(input.view(), 100);
    EXPECT_EQ(read.status, NetstringStatus::Incomplete) << size;
    EXPECT_EQ(read.total, size < 3 ? 0 : whole.size()) << size;
  }
  EXPECT_EQ(read_netstring(whole, 100).payload, "postfix a.de");
}

TEST(AppendNetstring, AppendsWhatTheReaderReads) {
  std::string out = "x";
  append_netstring(out, "NOTFOUND ");
  append_netstring(out, "");
  EXPECT_EQ(out, "x9:NOTFOUND ,0:,");
  const std::string big(123456, 'a');
  std::string framed;
  append_netstring(framed, big);
  EXPECT_EQ(read_netstring(framed, big.size()).payload, big);
}

}  // namespace
}  // namespace mtastsd::socketmap
