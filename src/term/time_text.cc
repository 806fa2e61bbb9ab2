#include "mtastsd/term/time_text.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace mtastsd::term {

std::string span_text(Seconds span) {
  struct Unit {
    std::int64_t seconds;
    char name;
  };
  constexpr std::array<Unit, 4> kUnits = {{{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}}};
  std::int64_t left = std::abs(static_cast<std::int64_t>(span.count()));
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    if (left < kUnits[i].seconds && i + 1 < kUnits.size()) {
      continue;
    }
    std::string text = std::to_string(left / kUnits[i].seconds) + kUnits[i].name;
    left %= kUnits[i].seconds;
    if (i + 1 < kUnits.size() && left / kUnits[i + 1].seconds > 0) {
      text += " " + std::to_string(left / kUnits[i + 1].seconds) + kUnits[i + 1].name;
    }
    return text;
  }
  return "0s";
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

std::string date_text(WallTime time) {
  if (time == WallTime{}) {
    return "never";
  }
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm parts{};
  std::array<char, 40> text{};
  if (gmtime_r(&seconds, &parts) == nullptr ||
      std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
    return "out of range";
  }
  return text.data();
}

}  // namespace mtastsd::term
