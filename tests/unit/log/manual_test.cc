// The list of events in mtastsd(8) against the catalogue: every event, once, in the same order,
// with its level and its fields.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "log_line.h"
#include "mtastsd/log/events.h"
#include "tests/source_dir.h"

namespace mtastsd {
namespace {

// In the page: *policy_expired* (info): domain
std::vector<std::string> in_page() {
  std::ifstream file(std::string(MTASTSD_SOURCE_DIR) + "/contrib/man/mtastsd.8.scd");
  const std::regex pattern(R"(\*([a-z_]+)\* \((trace|debug|info|warn|error)\)(?:: ([a-z_ ]+))?)");
  std::vector<std::string> found;
  for (std::string line; std::getline(file, line);) {
    line.erase(std::remove(line.begin(), line.end(), '\\'), line.end());
    std::smatch match;
    if (std::regex_match(line, match, pattern)) {
      found.push_back(match[1].str() + " " + match[2].str() + ": " + match[3].str());
    }
  }
  return found;
}

TEST(ManualPage, HasEveryEvent) {
  std::vector<std::string> rows;
  for (const EventRow& row : kEvents) {
    rows.push_back(std::string(row.key) + " " + std::string(log_line::level_name(row.level)) +
                   ": " + std::string(row.fields));
  }
  EXPECT_EQ(in_page(), rows);
}

TEST(Events, KeysAreUniqueAndSentencesWhole) {
  std::set<std::string_view> keys;
  for (const EventRow& row : kEvents) {
    EXPECT_TRUE(keys.insert(row.key).second) << row.key;
    EXPECT_TRUE(std::regex_match(std::string(row.key), std::regex("[a-z]+(_[a-z]+)*")));
    EXPECT_TRUE(row.message.ends_with('.')) << row.key;
    EXPECT_LE(row.message.size(), 200u) << row.key << ": longer text is cut in the log";
    EXPECT_FALSE(std::regex_search(std::string(row.fields),
                                   std::regex("(^| )(ts|level|event|message)( |$)")))
        << row.key;
  }
}

}  // namespace
}  // namespace mtastsd
