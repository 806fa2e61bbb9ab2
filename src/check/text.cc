#include "mtastsd/check/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace mtastsd::check {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

struct Unit {
  Seconds size;
  std::string_view singular;
  std::string_view plural;
};
constexpr std::array<Unit, 3> kUnits = {Unit{Seconds(86400), "day", "days"},
                                        Unit{Seconds(3600), "hour", "hours"},
                                        Unit{Seconds(60), "minute", "minutes"}};

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool escaped = byte < 0x20 || byte > 0x7e;
    if (result.size() + (escaped ? 4 : 1) > limit) {
      return result + "...";
    }
    if (escaped) {
      result += {'\\', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 0xf]};
    } else {
      result += c;
    }
  }
  return result;
}

std::string counted(std::size_t number, std::string_view singular, std::string_view plural) {
  return std::to_string(number) + " " + std::string(number == 1 ? singular : plural);
}

std::string date_time(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day ymd(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ",
                static_cast<int>(ymd.year()), static_cast<unsigned>(ymd.month()),
                static_cast<unsigned>(ymd.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text.data();
}

std::string date(WallTime time) {
  const std::string text = date_time(time);
  return text.substr(0, text.find('T'));
}

std::string duration(Seconds time) {
  for (const Unit& unit : kUnits) {
    if (time >= unit.size && time % unit.size == Seconds(0)) {
      return counted(static_cast<std::size_t>(time / unit.size), unit.singular, unit.plural);
    }
  }
  if (time >= 2 * kUnits[0].size) {
    return "about " + duration(time / kUnits[0].size * kUnits[0].size);
  }
  return counted(static_cast<std::size_t>(std::max(time, Seconds(0)).count()), "second", "seconds");
}

std::int64_t days_left(WallTime end, WallTime now) {
  return std::chrono::floor<std::chrono::days>(end - now).count();
}

std::string wrapped(std::string_view first, std::size_t indent, std::string_view text,
                    std::size_t width) {
  const std::string margin(indent, ' ');
  std::string result(first);
  result.resize(std::max(result.size(), indent), ' ');
  std::size_t column = indent;
  const std::size_t room = std::max<std::size_t>(width - std::min(width, indent), 10);
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    std::string_view word = text.substr(0, text.find(' '));
    if (word.empty()) {
      break;
    }
    text.remove_prefix(word.size());
    while (!word.empty()) {
      const bool at_start = column == indent;
      if (column + (at_start ? 0 : 1) + word.size() <= indent + room) {
        result += (at_start ? "" : " ") + std::string(word);
        column += (at_start ? 0 : 1) + word.size();
        break;
      }
      if (at_start) {  // longer than a line
        result += word.substr(0, room);
        word.remove_prefix(room);
      }
      result += "\n" + margin;
      column = indent;
    }
  }
  result.erase(result.find_last_not_of(' ') + 1);
  return result + "\n";
}

}  // namespace mtastsd::check
