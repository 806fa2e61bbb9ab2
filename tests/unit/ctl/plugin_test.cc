#include "plugin.h"

#include <gtest/gtest.h>

#include "mtastsd/control/readiness.h"

#include <functional>
#include <string>

namespace mtastsd::ctl {
namespace {

using control::Status;

Status healthy() {
  Status status;
  status.version = "1.2.3";
  status.connections.open = 2;
  status.connections.most = 10;
  status.cache.writable = true;
  status.dns.push_back({.server = "127.0.0.53:53"});
  return status;
}

TEST(Plugin, SaysWhatIsWrongAndHowBadItIs) {
  struct Case {
    const char* name;
    std::function<void(Status&)> change;
    Health health;
    const char* begin;
  };
  const Case cases[] = {
      {"nothing", [](Status&) {}, Health::Ok,
       "MTASTSD OK - version 1.2.3, 0 queries, 0 policies |"},
      {"cache", [](Status& it) { it.cache.writable = false; }, Health::Critical,
       "MTASTSD CRITICAL - the cache cannot be written"},
      {"authorities", [](Status& it) { it.ca_problem = "ca.pem: no such file"; }, Health::Critical,
       "MTASTSD CRITICAL - no policy can be fetched, because the CA file is of no use: ca.pem: "
       "no such file |"},
      {"DNS error", [](Status& it) { it.dns[0].last_error = "SERVFAIL"; }, Health::Warning,
       "MTASTSD WARNING - no DNS server gave"},
      {"silent", [](Status& it) { it.dns[0].silent = true; }, Health::Warning,
       "MTASTSD WARNING - no DNS server gave"},
      {"one of two DNS servers",
       [](Status& it) {
         it.dns[0].silent = true;
         it.dns.push_back({.server = "[::1]:53"});
       },
       Health::Ok, "MTASTSD OK"},
      {"overdue", [](Status& it) { it.overdue_refreshes = 1; }, Health::Warning,
       "MTASTSD WARNING - 1 policy in force waited"},
      {"connections", [](Status& it) { it.connections.open = 10; }, Health::Warning,
       "MTASTSD WARNING - all 10 connections are in use |"},
      {"failing, which strangers can bring about", [](Status& it) { it.failing.count = 1000; },
       Health::Ok, "MTASTSD OK"},
      {"a counter since the start", [](Status& it) { it.cache.not_kept = 7; }, Health::Ok,
       "MTASTSD OK"},
      {"the worst of two",
       [](Status& it) {
         it.overdue_refreshes = 3;
         it.cache.writable = false;
       },
       Health::Critical,
       "MTASTSD CRITICAL - the cache cannot be written, so new policies are lost at a restart; "
       "3 policies in force waited"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    Status status = healthy();
    one.change(status);
    const PluginResult result = plugin_result(status);
    EXPECT_EQ(result.health, one.health);
    EXPECT_TRUE(result.line.starts_with(one.begin)) << result.line;
  }
}

TEST(Plugin, HasPerformanceData) {
  Status status = healthy();
  status.uptime_s = Seconds(60);
  status.queries.total = 5;
  status.cache.used_bytes = 4096;
  status.cache.max_bytes = 8192;
  status.failing.count = 2;
  status.dns[0].errors = 3;
  status.dns.push_back({.server = "[::1]:53", .errors = 4});
  const std::string line = plugin_result(status).line;
  const std::string data = line.substr(line.find(" | ") + 2) + " ";
  for (const char* one : {" uptime=60s ", " connections=2;;;0;10 ", " cache=4096B;;;0;8192 ",
                          " queries=5c ", " failing=2 ", " dns_errors=7c "}) {
    EXPECT_NE(data.find(one), std::string::npos) << one << " in" << data;
  }
}

TEST(Plugin, TextFromOutsideStaysInTheText) {
  Status status = healthy();
  status.ca_problem = "a|b\nc\x1b[31m" + std::string(5000, 'x');
  const std::string line = plugin_result(status).line;
  EXPECT_EQ(line.find('|'), line.find(" | uptime=") + 1);
  EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_LT(line.size(), 2000u);
  EXPECT_EQ(plugin_result(Health::Unknown, "no|pe\n").line, "MTASTSD UNKNOWN - no/pe\\x0a");
}

TEST(Ready, NeedsACacheAndAuthoritiesAndNoDns) {
  Status status = healthy();
  EXPECT_EQ(control::not_ready(status), std::nullopt);
  status.dns[0].silent = true;
  EXPECT_EQ(control::not_ready(status), std::nullopt);
  status.ca_problem = "gone";
  EXPECT_TRUE(control::not_ready(status).value_or("").ends_with("gone"));
  status.cache.writable = false;
  EXPECT_TRUE(control::not_ready(status).value_or("").starts_with("the cache"));
}

}  // namespace
}  // namespace mtastsd::ctl
