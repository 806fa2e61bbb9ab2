// mtastsd.toml(5) against the reader and conf/mtastsd.toml: every key, once, in its section, with
// the same default.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <set>
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
      if (section == "maps.outgoing") {
        section = "maps.NAME";
      } else if (section.starts_with("override.")) {
        section = "override.NAME";
      }
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
  for (const auto& [key, value] : in_page()) {
    keys.push_back(key);
  }
  std::vector<std::string> known;
  for (const KnownKey& key : known_keys()) {
    known.push_back(key.name);
  }
  std::sort(known.begin(), known.end());
  EXPECT_EQ(keys, known);
}

// The section RELOADING names them: "*cache.max_size*".
TEST(ManualPage, SaysWhichKeysNeedARestart) {
  std::ifstream file(std::string(MTASTSD_SOURCE_DIR) + "/contrib/man/mtastsd.toml.5.scd");
  std::set<std::string> named;
  bool inside = false;
  const std::regex key(R"(\*([a-z]+\.[a-z_]+)\*)");
  for (std::string line; std::getline(file, line);) {
    line.erase(std::remove(line.begin(), line.end(), '\\'), line.end());
    if (line.starts_with("# ")) {
      inside = line == "# RELOADING";
    }
    for (std::sregex_iterator i(line.begin(), line.end(), key), end; inside && i != end; ++i) {
      named.insert((*i)[1]);
    }
  }
  std::set<std::string> known;
  for (const KnownKey& one : known_keys()) {
    if (one.needs_restart) {
      known.insert(one.name);
    }
  }
  EXPECT_EQ(named, known);
}

TEST(ManualPage, HasTheDefaultsOfTheExample) {
  EXPECT_EQ(in_page(), read("/conf/mtastsd.toml", std::regex(R"(#?\[(.*)\])"),
                            std::regex(R"(#([a-z_]+) = (.*))")));
}

}  // namespace
}  // namespace mtastsd::config
