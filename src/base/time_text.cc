#include "mtastsd/base/time_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"

namespace mtastsd {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::sys_days;
using std::chrono::year;

constexpr WallTime kFirst = sys_days(year(0) / 1 / 1);
constexpr WallTime kLast = sys_days(year(9999) / 12 / 31) + days(1) - Seconds(1);

struct Unit {
  Seconds size;
  char letter;
  std::string_view singular;
  std::string_view plural;
};
constexpr std::array<Unit, 4> kUnits = {{{Seconds(86400), 'd', "day", "days"},
                                         {Seconds(3600), 'h', "hour", "hours"},
                                         {Seconds(60), 'm', "minute", "minutes"},
                                         {Seconds(1), 's', "second", "seconds"}}};

// By a format of printf(3) that takes the year, month, day, hour, minute and second.
std::string formatted(const char* format, WallTime time) {
  time = std::clamp(time, kFirst, kLast);
  const std::chrono::year_month_day date(floor<days>(time));
  const std::chrono::hh_mm_ss clock(time - floor<days>(time));
  std::array<char, 32> text;
  const int size = std::snprintf(
      text.data(), text.size(), format, static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()));
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace

std::string timestamp(WallTime time) {
  return formatted("%04d-%02u-%02uT%02d:%02d:%02dZ", time);
}

std::optional<WallTime> parse_timestamp(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  if (text.size() != kForm.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == '0' ? !is_digit(text[i]) : text[i] != kForm[i]) {
      return std::nullopt;
    }
  }
  const auto number = [text](std::size_t at, std::size_t size) {
    int value = 0;
    std::from_chars(text.data() + at, text.data() + at + size, value);
    return value;
  };
  const auto day = year(number(0, 4)) / number(5, 2) / number(8, 2);
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  return sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute) + Seconds(second);
}

std::string day_text(WallTime time) {
  return formatted("%04d-%02u-%02u", time);
}

std::string date_text(WallTime time) {
  return time == WallTime{} ? "never" : formatted("%04d-%02u-%02u %02d:%02d:%02d UTC", time);
}

std::string span_text(Seconds span) {
  span = std::chrono::abs(span);
  const auto* unit = std::find_if(kUnits.begin(), kUnits.end() - 1,
                                  [&](const Unit& one) { return span >= one.size; });
  std::string text = std::to_string(span / unit->size) + unit->letter;
  span %= unit->size;
  if (++unit != kUnits.end() && span >= unit->size) {
    text += " " + std::to_string(span / unit->size) + unit->letter;
  }
  return text;
}

std::string relative_text(WallTime time, WallTime now) {
  if (time == WallTime{}) {
    return "never";
  }
  if (time == now) {
    return "now";
  }
  return time > now ? "in " + span_text(time - now) : span_text(now - time) + " ago";
}

std::string duration_text(Seconds duration) {
  duration = std::max(duration, Seconds(0));
  const auto in = [&](const Unit& unit) {
    return counted(static_cast<std::size_t>(duration / unit.size), unit.singular, unit.plural);
  };
  for (const Unit& unit : kUnits) {
    const bool whole = duration >= unit.size && duration % unit.size == Seconds(0);
    if (whole && (unit.size > Seconds(1) || duration < days(2))) {
      return in(unit);
    }
  }
  return duration < days(2) ? in(kUnits.back()) : "about " + in(kUnits.front());
}

}  // namespace mtastsd
