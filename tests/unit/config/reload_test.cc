#include "mtastsd/config/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mtastsd::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> differences(const std::string& text) {
  const auto next = parse(text, "test.toml");
  EXPECT_TRUE(next) << next.error().message;
  return settings_that_need_restart(defaults(), *next);
}

TEST(Reload, TheSameConfigurationNeedsNoRestart) {
  EXPECT_THAT(differences(""), IsEmpty());
  EXPECT_THAT(differences("[cache]\nmax_size = \"1GiB\"\n"), IsEmpty());
}

TEST(Reload, NamesEachSettingThatStaysAsItWas) {
  EXPECT_THAT(
      differences("[cache]\nmax_size = \"2GiB\"\nmax_negative = 5\n"
                  "[socketmap]\nsocket_mode = \"0600\"\n[log]\nformat = \"json\"\n"),
      ElementsAre("socketmap.socket_mode", "cache.max_size", "cache.max_negative", "log.format"));
}

TEST(Reload, WhatTakesEffectAtOnceIsNotNamed) {
  EXPECT_THAT(differences("[log]\nlevel = \"debug\"\n[https]\nallow_local_addresses = true\n"
                          "timeout = \"5s\"\n[dns]\nservers = [\"127.0.0.1\"]\n"
                          "[resolver]\nanswer_timeout = \"1s\"\n[maps.old]\n"
                          "postfix_version = \"3.1\"\n"),
              IsEmpty());
}

}  // namespace
}  // namespace mtastsd::config
