#include "log_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "mtastsd/base/utf8.h"

namespace mtastsd::log_line {
namespace {

using namespace std::string_literals;

constexpr EventRow kRow{Event::PolicyStored, LogLevel::Info, "e", "A sentence.", "v"};

// The value of field v in a logfmt line, as written.
std::string logfmt_value(std::string_view value) {
  constexpr std::string_view kHead = "level=info event=e v=";
  constexpr std::string_view kTail = " message=\"A sentence.\"";
  const std::string body = make_body(LogFormat::Logfmt, kRow, {{"v", value}});
  EXPECT_TRUE(body.starts_with(kHead)) << body;
  EXPECT_TRUE(body.ends_with(kTail)) << body;
  return body.substr(kHead.size(), body.size() - kHead.size() - kTail.size());
}

nlohmann::json json_object(const EventRow& row, Log::Fields fields) {
  const std::string body = "{" + make_body(LogFormat::Json, row, fields);
  auto object = nlohmann::json::parse(body, nullptr, false);
  EXPECT_FALSE(object.is_discarded()) << body;
  return object;
}

// The value of field v in a JSON line, decoded.
std::string json_value(std::string_view value) {
  return json_object(kRow, {{"v", value}}).value("v", "");
}

TEST(LogLine, LogfmtHasLevelEventFieldsThenTheSentence) {
  EXPECT_EQ(make_body(LogFormat::Logfmt, row_of(Event::PolicyExpired), {{"domain", "example.com"}}),
            "level=info event=policy_expired domain=example.com message=\"" +
                std::string(row_of(Event::PolicyExpired).message) + "\"");
}

TEST(LogLine, JsonHasTheSameKeys) {
  const auto object = json_object(kRow, {{"domain", "a\"b"}, {"n", -5}});
  EXPECT_EQ(object.dump(),
            R"({"domain":"a\"b","event":"e","level":"info","message":"A sentence.","n":-5})");
}

TEST(LogLine, NamesEveryLevel) {
  const std::pair<LogLevel, const char*> levels[] = {{LogLevel::Debug, "debug"},
                                                     {LogLevel::Info, "info"},
                                                     {LogLevel::Warn, "warn"},
                                                     {LogLevel::Error, "error"}};
  for (const auto& [level, name] : levels) {
    EXPECT_EQ(make_body(LogFormat::Logfmt, {{}, level, "e", "M", ""}, {}),
              "level="s + name + " event=e message=M");
  }
}

TEST(LogLine, FieldsAreThoseOfTheRowInItsOrder) {
  constexpr EventRow row{{}, LogLevel::Info, "e", "M", "domain took_ms"};
  EXPECT_TRUE(has_fields_of(row, {{"domain", "a"}, {"took_ms", 1}}));
  EXPECT_FALSE(has_fields_of(row, {{"took_ms", 1}, {"domain", "a"}}));
  EXPECT_FALSE(has_fields_of(row, {{"domain", "a"}}));
  EXPECT_FALSE(has_fields_of(row, {{"domain", "a"}, {"took_ms", 1}, {"mode", "none"}}));
  EXPECT_FALSE(has_fields_of(row, {}));
  EXPECT_TRUE(has_fields_of({{}, LogLevel::Info, "e", "M", ""}, {}));
}

TEST(LogLine, QuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(logfmt_value("example.com"), "example.com");
  EXPECT_EQ(logfmt_value("bücher.example"), "bücher.example");
  EXPECT_EQ(logfmt_value("[::1]:25"), "[::1]:25");
  EXPECT_EQ(logfmt_value(""), "\"\"");
  EXPECT_EQ(logfmt_value("a b"), "\"a b\"");
  EXPECT_EQ(logfmt_value("a=b"), "\"a=b\"");
}

TEST(LogLine, EscapesWhatCouldForgeALineOrStartATerminalSequence) {
  EXPECT_EQ(logfmt_value("a\nts=1"), "\"a\\x0ats=1\"");
  EXPECT_EQ(logfmt_value("\x1b[31m"), "\"\\x1b[31m\"");
  EXPECT_EQ(logfmt_value("a\0b"s), "\"a\\x00b\"");
  EXPECT_EQ(logfmt_value("\x7f"), "\"\\x7f\"");
  EXPECT_EQ(logfmt_value("\xc2\x9b"), "\"\\xc2\\x9b\"");           // CSI in one character
  EXPECT_EQ(logfmt_value("\xe2\x80\xae"), "\"\\xe2\\x80\\xae\"");  // right-to-left override
  EXPECT_EQ(logfmt_value("\xe2\x80\xa8"), "\"\\xe2\\x80\\xa8\"");  // line separator
  EXPECT_EQ(logfmt_value("\xe2\x81\xa6"), "\"\\xe2\\x81\\xa6\"");  // isolate
  EXPECT_EQ(logfmt_value("\xe2\x80\xa7"), "\xe2\x80\xa7");
  EXPECT_EQ(logfmt_value("a\"b\\c"), "\"a\\\"b\\\\c\"");
}

TEST(LogLine, ShowsInvalidUtf8AsBytes) {
  EXPECT_EQ(logfmt_value("a\xff"), "\"a\\xff\"");
  EXPECT_EQ(logfmt_value("\xc3"), "\"\\xc3\"");
  EXPECT_EQ(logfmt_value("\xc0\xaf"), "\"\\xc0\\xaf\"");
  EXPECT_EQ(logfmt_value("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");
  EXPECT_EQ(json_value("a\xff"), "a\\xff");
}

TEST(LogLine, JsonKeepsControlCharactersReadable) {
  EXPECT_EQ(json_value("a\nb\0c\x1f"s), "a\nb\0c\x1f"s);
  EXPECT_EQ(json_value("back\\slash"), "back\\slash");
  EXPECT_EQ(json_value("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");
}

TEST(LogLine, CutsAt200BytesOnACharacterBoundary) {
  const std::string full(200, 'x');
  EXPECT_EQ(logfmt_value(full), full);
  EXPECT_EQ(logfmt_value(full + "y"), full + "…");
  for (std::size_t before = 196; before <= 200; ++before) {
    const std::string start(before, 'x');
    for (const std::string character : {"ü", "…", "\xf0\x9f\x93\xa7"}) {
      const std::string text = start + character + "tail";
      const std::string kept = before + character.size() <= 200 ? start + character : start;
      EXPECT_TRUE(logfmt_value(text).starts_with(kept));
      EXPECT_TRUE(logfmt_value(text).ends_with("…") || text.size() <= 200);
      EXPECT_TRUE(is_utf8(logfmt_value(text)));
    }
  }
  EXPECT_EQ(logfmt_value(std::string(199, 'x') + "üy"), std::string(199, 'x') + "…");
  EXPECT_EQ(json_value(full + "y"), full + "…");
}

TEST(LogLine, CutsRunsOfInvalidBytesAtTheLimit) {
  const std::string value = logfmt_value(std::string(300, '\x80'));
  std::string expected = "\"";
  for (int i = 0; i < 200; ++i) {
    expected += "\\x80";
  }
  EXPECT_EQ(value, expected + "…\"");
}

TEST(LogLine, PrintsWholeNumbers) {
  const auto smallest = std::numeric_limits<std::int64_t>::min();
  EXPECT_NE(make_body(LogFormat::Logfmt, kRow, {{"v", smallest}}).find(" v=-9223372036854775808 "),
            std::string::npos);
  EXPECT_EQ(json_object(kRow, {{"v", 4294967295u}}).at("v"), 4294967295u);
}

TEST(LogLine, AnyBytesGiveOneValidLine) {
  std::mt19937 random(8461);
  // Mostly bytes that mean something: quotes, backslashes, controls, pieces of UTF-8.
  const std::string interesting = "\"\\\n\r\t\0 =\x1b\x7f\x80\xbf\xc2\xe2\x80\xa8\xed\xf0\xf4\xff"s;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random() % 260, '\0');
    for (char& c : bytes) {
      c = random() % 2 ? static_cast<char>(random()) : interesting[random() % interesting.size()];
    }
    const std::string json = "{" + make_body(LogFormat::Json, kRow, {{"v", bytes}});
    ASSERT_TRUE(nlohmann::json::accept(json)) << json;
    ASSERT_EQ(json.find('\n'), std::string::npos);
    const std::string logfmt = make_body(LogFormat::Logfmt, kRow, {{"v", bytes}});
    ASSERT_TRUE(is_utf8(logfmt)) << logfmt;
    for (const char c : logfmt) {
      ASSERT_GE(static_cast<unsigned char>(c), 0x20) << logfmt;
    }
    ASSERT_TRUE(logfmt.ends_with(" message=\"A sentence.\""));
  }
}

}  // namespace
}  // namespace mtastsd::log_line
