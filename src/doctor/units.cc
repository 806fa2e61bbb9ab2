#include "units.h"

#include <sstream>
#include <string>
#include <utility>

namespace mtastsd::doctor {

std::vector<Unit> parse_units(std::string_view text) {
  std::vector<Unit> units;
  Unit unit;
  bool loaded = false;
  const auto finish = [&] {
    if (loaded) {
      units.push_back(std::move(unit));
    }
    unit = {};
    loaded = false;
  };
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equal = line.find('=');
    if (equal == std::string::npos) {
      finish();
      continue;
    }
    const std::string name = line.substr(0, equal);
    std::string value = line.substr(equal + 1);
    if (name == "Id") {
      unit.name = std::move(value);
    } else if (name == "LoadState") {
      loaded = value == "loaded";
    } else if (name == "ActiveState") {
      unit.active = std::move(value);
    } else if (name == "UnitFileState") {
      unit.enabled = std::move(value);
    }
  }
  finish();
  return units;
}

}  // namespace mtastsd::doctor
