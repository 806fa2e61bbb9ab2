// mtastsd.toml(5) against the reader and conf/mtastsd.toml: every key, once, in its section, with
// the same default.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "keys.h"
#include "tests/source_dir.h"

namespace mtastsd::config {
namespace {

using Defaults = std::map<std::string, std::string>;  // "dns.timeout" to "10s", in quotes

// Lines of the form `pattern` (key, default), each below a heading [section].
Defaults read(const std::string& path, const std::regex& heading, const std::regex& pattern) {
  std::ifstream file(std::string(MTASTSD_SOURCE_DIR) + path);
  Defaults found;
  std::string section;
  for (std::string line; std::getline(file, line);) {
    line.erase(std::remove(line.begin(), line.end(), '\\'), line.end());
    std::smatch match;
    if (std::regex_match(line, match, heading)) {
      section = match[1];
      if (section == "maps.outgoing") section = "maps.NAME";
    } else if (std::regex_match(line, match, pattern)) {
      EXPECT_TRUE(found.emplace(section + "." + match[1].str(), match[2]).second) << line;
    }
  }
  return found;
}

Defaults in_page() {
  return read("/contrib/man/mtastsd.toml.5.scd", std::regex(R"(# \[(.*)\])"),
              std::regex(R"(\*([a-z_]+)\* = (.*?)(?:\+\+)?)"));
}

TEST(ManualPage, HasEveryKeyOfTheReader) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : in_page()) keys.push_back(key);
  std::vector<std::string> known = known_keys();
  std::sort(known.begin(), known.end());
  EXPECT_EQ(keys, known);
}

TEST(ManualPage, HasTheDefaultsOfTheExample) {
  EXPECT_EQ(in_page(), read("/conf/mtastsd.toml", std::regex(R"(#?\[(.*)\])"),
                            std::regex(R"(#([a-z_]+) = (.*))")));
}

}  // namespace
}  // namespace mtastsd::config
