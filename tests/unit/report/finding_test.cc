#include "mtastsd/report/finding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "mtastsd/base/text.h"
#include "mtastsd/base/utf8.h"

namespace mtastsd::report {
namespace {

enum class Code { First, Second };
using Rows = std::array<Kind<Code>, 2>;
static_assert(is_complete(Rows{
    {{Code::First, "a", Severity::Low}, {Code::Second, "b", Severity::Low}}}));
static_assert(!is_complete(Rows{
    {{Code::Second, "a", Severity::Low}, {Code::First, "b", Severity::Low}}}));
static_assert(!is_complete(Rows{
    {{Code::First, "a", Severity::Low}, {Code::Second, "a", Severity::Low}}}));
static_assert(!is_complete(Rows{{{Code::First, "a", Severity::Low}, {}}}));

const std::vector<FixLine> kLines = {{"main.cf", "relayhost ="}};
const Shown kFinding{"some_code", Severity::High, "here", "It is wrong.", "Put it right.", kLines};
constexpr std::size_t kWidth = 40;

TEST(Severity, HasANameThatIsReadInEitherCase) {
  for (const Severity severity : {Severity::Ok, Severity::Info, Severity::Unknown, Severity::Low,
                                  Severity::Medium, Severity::High}) {
    EXPECT_EQ(parse_severity(to_string(severity)), severity);
  }
  EXPECT_EQ(parse_severity("mEdium"), Severity::Medium);
  EXPECT_EQ(parse_severity(""), std::nullopt);
}

TEST(TextOf, HasOneLayout) {
  EXPECT_EQ(text_of(kFinding, {}, kWidth),
            "  HIGH     some_code: here\n"
            "           It is wrong.\n"
            "           Fix: Put it right.\n"
            "           Fix in main.cf:\n"
            "               relayhost =\n");
  EXPECT_EQ(text_of({"c", Severity::Ok, "", "", "", {}}, {true, true, 80}, kWidth),
            "  \x1b[32mOK\x1b[0m       c\n");
}

TEST(JsonOf, HasNullForWhatIsEmpty) {
  EXPECT_EQ(json_of(kFinding).dump(),
            R"({"code":"some_code","severity":"HIGH","detail":"here","meaning":"It is wrong.",)"
            R"("fix":"Put it right.","lines":[{"file":"main.cf","line":"relayhost ="}]})");
  EXPECT_TRUE(json_of({"c", Severity::Ok, "", "", "", {}})["detail"].is_null());
}

TEST(Findings, NothingInThemCanActOnATerminal) {
  const std::string hostile = "\x1b[2J\r\x7f\xc2\x9b\xe2\x80\xae\xd8\x9c\xef\xbb\xbf\xff";
  const std::vector<FixLine> lines = {{hostile, hostile}};
  const Shown finding{"c", Severity::Low, hostile, hostile, hostile, lines};
  std::string text = text_of(finding, {}, kWidth);
  std::erase(text, '\n');
  EXPECT_EQ(printable(text), text);
  std::string json = to_text(json_of(finding));
  std::erase(json, '\n');
  EXPECT_EQ(printable(json), json);
  EXPECT_TRUE(is_ascii(json));
}

}  // namespace
}  // namespace mtastsd::report
