#include "mtastsd/postfix/profile.h"

#include <gtest/gtest.h>

#include <string_view>

#include "unit/base/exact_copy.h"

namespace mtastsd::postfix {
namespace {

TEST(ProfileForPostfix, ComparesVersionsAsNumbers) {
  const struct {
    std::string_view version;
    bool servername;
    bool report_attributes;
  } rows[] = {
      {"2.10", false, false},  {"2.11.3", false, false},      {"3.0", false, false},
      {"3.3.9", false, false}, {"3.4", true, false},          {"3.4.0", true, false},
      {"3.7.11", true, false}, {"3.9", true, false},          {"3.9.14", true, false},
      {"3.10", true, true},    {"3.10.2", true, true},        {"3.10.13", true, true},
      {"3.11", true, true},    {"3.12-20260821", true, true}, {"3.10-RC1", true, true},
      {"4.0", true, true},     {"4.1.2-x", true, true},       {"10.0", true, true},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.version);
    const ExactCopy version(row.version);
    const auto profile = profile_for_postfix(version.view());
    ASSERT_TRUE(profile);
    EXPECT_EQ(profile->servername, row.servername);
    EXPECT_EQ(profile->report_attributes, row.report_attributes);
    EXPECT_FALSE(profile->enforce_testing);
  }
}

TEST(ProfileForPostfix, RefusesVersionsWithoutSocketmapAndOtherText) {
  for (const std::string_view version :
       {"2.9",  "2.9.15", "2.1",   "1.99",          "0.0",           "",      "3",
        "3.",   ".10",    "3.x",   "x.10",          "v3.10",         "3.10 ", " 3.10",
        "3,10", "3.10.",  "3.10-", "3.10x",         "3.10.2 x",      "-3.10", "+3.10",
        "3.-1", "3.+10",  "3..10", "99999999999.0", "3.99999999999", "latest"}) {
    const ExactCopy copy(version);
    EXPECT_FALSE(profile_for_postfix(copy.view())) << version;
  }
}

}  // namespace
}  // namespace mtastsd::postfix
