#include "mtastsd/base/keyed_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "mtastsd/base/domain_name.h"
#include "tests/source_dir.h"

namespace mtastsd {
namespace {

constexpr const char* kName = "victim.example";

// What another process of this program makes of the name.
std::string hash_in_another_process() {
  std::array<char, PATH_MAX> program{};
  EXPECT_GT(::readlink("/proc/self/exe", program.data(), program.size() - 1), 0);
  const std::string command = std::string("'") + program.data() +
                              "' --gtest_also_run_disabled_tests"
                              " --gtest_filter=KeyedHash.DISABLED_Print 2>&1";
  FILE* const pipe = ::popen(command.c_str(), "r");
  std::string output;
  std::array<char, 4096> bytes{};
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(bytes.data(), 1, bytes.size(), pipe);
    output.append(bytes.data(), got);
  }
  EXPECT_EQ(::pclose(pipe), 0) << output;
  std::smatch found;
  return std::regex_search(output, found, std::regex("hash=([0-9]+)")) ? found.str(1) : "";
}

TEST(KeyedHash, DISABLED_Print) {
  std::printf("hash=%llu\n", static_cast<unsigned long long>(keyed_hash(kName)));
}

TEST(KeyedHash, IsTheSameWithinAProcess) {
  EXPECT_EQ(keyed_hash(kName), keyed_hash(kName));
  EXPECT_EQ(KeyedHash{}(kName), keyed_hash(kName));
  EXPECT_EQ(std::hash<DomainName>{}(*DomainName::parse(kName)), keyed_hash(kName));
}

TEST(KeyedHash, NobodyOutsideKnowsIt) {
  const std::string one = hash_in_another_process();
  const std::string other = hash_in_another_process();
  EXPECT_FALSE(one.empty());
  EXPECT_NE(one, other);
}

// Who can choose the names of a table whose hash has no key makes it slow.
TEST(KeyedHash, NoTableHashesStringsWithoutAKey) {
  namespace fs = std::filesystem;
  const std::regex unkeyed("std::hash<std::string|unordered_(map|set)<std::string");
  std::vector<std::string> found;
  std::size_t read = 0;
  for (const char* directory : {"/src", "/include"}) {
    for (const auto& file :
         fs::recursive_directory_iterator(std::string(MTASTSD_SOURCE_DIR) + directory)) {
      if (file.path().extension() != ".h" && file.path().extension() != ".cc") {
        continue;
      }
      ++read;
      std::ifstream in(file.path());
      for (std::string line; std::getline(in, line);) {
        if (std::regex_search(line, unkeyed) && line.find("KeyedHash") == std::string::npos) {
          found.push_back(file.path().filename().string() + ": " + line);
        }
      }
    }
  }
  EXPECT_GT(read, 100U);
  EXPECT_THAT(found, testing::IsEmpty());
}

}  // namespace
}  // namespace mtastsd
