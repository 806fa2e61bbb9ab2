#include "log_line.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "mtastsd/base/utf8.h"

namespace mtastsd::log_line {
namespace {

using namespace std::string_literals;

// The value of field v in a logfmt line, as written.
std::string logfmt_value(std::string_view value) {
  const std::string body = make_body(LogFormat::Logfmt, "e", {{"v", value}});
  EXPECT_TRUE(body.starts_with("event=e v="));
  return body.substr(10);
}

// The value of field v in a JSON line, decoded.
std::string json_value(std::string_view value) {
  const std::string body = make_body(LogFormat::Json, "e", {{"v", value}});
  const auto object = nlohmann::json::parse(body, nullptr, false);
  EXPECT_FALSE(object.is_discarded()) << body;
  return object.is_discarded() ? "" : object.at("v").get<std::string>();
}

Time at(std::chrono::sys_days day, Milliseconds in_day) {
  return Time(day) + in_day;
}

TEST(LogLine, LogfmtHasTimeLevelEventThenFields) {
  using namespace std::chrono;
  std::string line;
  append_line(line, LogFormat::Logfmt, at(2026y / January / 1, hours(12) + milliseconds(123)),
              LogLevel::Info,
              make_body(LogFormat::Logfmt, "policy stored",
                        {{"domain", "example.com"}, {"max_age", 604800}}));
  EXPECT_EQ(line,
            "ts=2026-01-01T12:00:00.123Z level=info event=\"policy stored\" domain=example.com "
            "max_age=604800");
}

TEST(LogLine, JsonIsOneObject) {
  using namespace std::chrono;
  std::string line;
  append_line(line, LogFormat::Json, at(1969y / December / 31, milliseconds(86399007)),
              LogLevel::Warn,
              make_body(LogFormat::Json, "policy stored", {{"domain", "a\"b"}, {"n", -5}}));
  const auto object = nlohmann::json::parse(line);
  EXPECT_EQ(object.size(), 5u);
  EXPECT_EQ(object.at("ts"), "1969-12-31T23:59:59.007Z");
  EXPECT_EQ(object.at("level"), "warn");
  EXPECT_EQ(object.at("event"), "policy stored");
  EXPECT_EQ(object.at("domain"), "a\"b");
  EXPECT_EQ(object.at("n"), -5);
}

TEST(LogLine, NamesEveryLevel) {
  const std::pair<LogLevel, const char*> levels[] = {{LogLevel::Debug, "debug"},
                                                     {LogLevel::Info, "info"},
                                                     {LogLevel::Warn, "warn"},
                                                     {LogLevel::Error, "error"}};
  for (const auto& [level, name] : levels) {
    std::string line;
    append_line(line, LogFormat::Logfmt, Time{}, level, "event=e");
    EXPECT_EQ(line, "ts=1970-01-01T00:00:00.000Z level="s + name + " event=e");
  }
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
  for (int i = 0; i < 200; ++i) expected += "\\x80";
  EXPECT_EQ(value, expected + "…\"");
}

TEST(LogLine, CutsTheEventToo) {
  EXPECT_EQ(make_body(LogFormat::Logfmt, std::string(300, 'e'), {}),
            "event=" + std::string(200, 'e') + "…");
}

TEST(LogLine, KeysCannotBreakALine) {
  EXPECT_EQ(make_body(LogFormat::Logfmt, "e", {{"a b=\n\"c", 1}}), "event=e a_b___c=1");
  EXPECT_TRUE(nlohmann::json::accept(make_body(LogFormat::Json, "e", {{"a b=\n\"\xff", 1}})));
}

TEST(LogLine, PrintsWholeNumbers) {
  EXPECT_EQ(make_body(LogFormat::Logfmt, "e", {{"n", std::numeric_limits<std::int64_t>::min()}}),
            "event=e n=-9223372036854775808");
  EXPECT_EQ(make_body(LogFormat::Json, "e", {{"n", 4294967295u}}),
            "{\"event\":\"e\",\"n\":4294967295}");
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
    const std::string json = make_body(LogFormat::Json, bytes, {{"v", bytes}, {"w", 1}});
    ASSERT_TRUE(nlohmann::json::accept(json)) << json;
    ASSERT_EQ(json.find('\n'), std::string::npos);
    const std::string logfmt = make_body(LogFormat::Logfmt, bytes, {{"v", bytes}, {"w", 1}});
    ASSERT_TRUE(is_utf8(logfmt)) << logfmt;
    for (const char c : logfmt) ASSERT_GE(static_cast<unsigned char>(c), 0x20) << logfmt;
    ASSERT_TRUE(logfmt.ends_with(" w=1"));
  }
}

}  // namespace
}  // namespace mtastsd::log_line
