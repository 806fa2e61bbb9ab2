#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>
#include <sstream>
#include <string>

#include "keys.h"
#include "mtastsd/config/config.h"
#include "tests/source_dir.h"

namespace mtastsd::config {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

std::string errors_in(const std::string& text) {
  const auto parsed = parse(text, "mtastsd.toml");
  return parsed ? "no error" : parsed.error().message;
}

Config parsed(const std::string& text) {
  auto config = parse(text, "mtastsd.toml");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(Config());
}

TEST(Parse, EmptyTextIsTheDefaults) {
  EXPECT_EQ(parsed(""), defaults());
  EXPECT_EQ(parsed("# nothing\n[socketmap]\n[maps]\n[log]\n"), defaults());
  EXPECT_EQ(parsed("\xef\xbb\xbf"), defaults());
}

TEST(Defaults, AreTheOnesPromised) {
  const Config config = defaults();
  ASSERT_EQ(config.socketmap.listen.size(), 1u);
  EXPECT_EQ(config.socketmap.listen[0].str(), "inet:127.0.0.1:8461");
  ASSERT_EQ(config.maps.size(), 6u);
  EXPECT_EQ(config.maps.at("postfix"), postfix::Profile{});
  EXPECT_EQ(config.maps.at("postfixWithTLSRPT"), (postfix::Profile{true, true, false, false}));
  EXPECT_EQ(config.maps.at("dane"), (postfix::Profile{false, true, false, true}));
  EXPECT_EQ(config.maps.at("daneWithTLSRPT"), (postfix::Profile{true, true, false, true}));
  EXPECT_EQ(config.maps.at("QUERY"), config.maps.at("dane"));
  EXPECT_EQ(config.maps.at("QUERYwithTLSRPT"), config.maps.at("daneWithTLSRPT"));
}

TEST(Parse, AnotherServersYamlIsNamed) {
  for (const char* text :
       {"---\nhost: 127.0.0.1\n", "# mine\n\nserver:\n  address: 127.0.0.1:8642\n"}) {
    EXPECT_TRUE(std::regex_search(errors_in(text), std::regex("^mtastsd.toml:[1-3]: this is YAML")))
        << errors_in(text);
    EXPECT_NE(errors_in(text).find("contrib/migrate"), std::string::npos);
  }
  EXPECT_NE(errors_in("host = 1:2\n").find("not valid TOML"), std::string::npos);
  EXPECT_NE(errors_in("[dns\nhost: 1\n").find("not valid TOML"), std::string::npos);
}

// What ReadsEveryKey and ReadsEveryKeyFromTheEnvironment set, but for the maps.
Config every_key() {
  Config expected = defaults();
  expected.socketmap = {{*parse_listen("inet:[::1]:0"), *parse_listen("unix:/run/mtastsd/s")},
                        64,
                        5,
                        0600,
                        "mtastsd",
                        "postfix"};
  expected.daemon.observe = true;
  for (auto& [map, profile] : expected.maps) {
    profile.observe = true;
  }
  expected.dns = {{"127.0.0.1:5353", "::1"}, "/tmp/resolv.conf", 100ms};
  expected.https = {"/tmp/ca.pem",
                    1s,
                    65535,
                    "http://proxy:3128",
                    {*IpNetwork::parse("10.0.0.0/8"), *IpNetwork::parse("fd00::1/128")},
                    true,
                    "",
                    "/etc/mtastsd/proxy",
                    {*IpAddress::parse("192.0.2.25"), *IpAddress::parse("2001:db8::25")},
                    {{*DomainName::parse("mta-sts.example.com"),
                      {*IpAddress::parse("10.0.0.1"), *IpAddress::parse("fd00::1")}}},
                    16};
  expected.resolver = {95s, 1s, 2s, 3s, 4s, 5s, 6h, 168h};
  expected.cache = {"/var/tmp/c", 1 << 20, 0, 50};
  expected.control = {"/run/c", "adm"};
  expected.alarm = {{"/usr/bin/notify", "--to", "admin"}};
  expected.http = {{*parse_listen("inet:127.0.0.1:8460"), *parse_listen("unix:/run/http")},
                   "www-data",
                   "/mta-sts"};
  expected.log = {LogLevel::Debug, LogFormat::Json, LogTarget::Syslog};
  return expected;
}

TEST(Parse, ReadsEveryKey) {
  const Config config = parsed(R"(
[daemon]
mode = "observe"
[socketmap]
listen = ["inet:[::1]:0", "unix:/run/mtastsd/s"]
threads = 64
max_connections = 5
socket_mode = "0600"
socket_owner = "mtastsd"
socket_group = "postfix"
[maps.old]
postfix_version = "3.3.1"
[maps.new]
postfix_version = "3.10"
enforce_testing = true
[dns]
servers = ["127.0.0.1:5353", "::1"]
resolv_conf = "/tmp/resolv.conf"
timeout = "100ms"
[https]
ca_file = "/tmp/ca.pem"
timeout = "1s"
threads = 16
port = 65535
proxy = "http://proxy:3128"
proxy_credentials = "/etc/mtastsd/proxy"
source_address = ["192.0.2.25", "2001:db8::25"]
addresses = { "mta-sts.example.com" = ["10.0.0.1", "fd00::1"] }
ca_directory = ""
allow_networks = ["10.0.0.0/8", "fd00::1"]
allow_local_addresses = true
[resolver]
answer_timeout = "95s"
recheck_min = "1s"
recheck_max = "2s"
negative_min = "3s"
negative_max = "4s"
retry_interval = "5s"
refresh_interval = "6h"
idle_after = "7d"
[cache]
directory = "/var/tmp/c"
max_size = "1MiB"
max_negative = 0
history = 50
[control]
socket = "/run/c"
socket_group = "adm"
[alarm]
command = ["/usr/bin/notify", "--to", "admin"]
[http]
listen = ["inet:127.0.0.1:8460", "unix:/run/http"]
socket_group = "www-data"
base_path = "/mta-sts"
[log]
level = "debug"
format = "json"
target = "syslog"
)");
  Config expected = every_key();
  expected.maps["old"] = {.servername = false, .observe = true};
  expected.maps["new"] = {.report_attributes = true, .enforce_testing = true, .observe = true};
  EXPECT_EQ(config, expected);
}

TEST(Parse, TheAlarmCommandIsNoShellsLine) {
  EXPECT_EQ(parsed("[alarm]\ncommand = []\n").alarm.command.size(), 0u);
  EXPECT_EQ(parsed("[alarm]\ncommand = \"/usr/bin/notify\"\n").alarm.command.size(), 1u);
  EXPECT_NE(errors_in("[alarm]\ncommand = [\"notify\"]\n").find("absolute path"),
            std::string::npos);
  EXPECT_NE(errors_in("[alarm]\ncommand = [\"/a\", \"b\\u0000\"]\n").find("control characters"),
            std::string::npos);
  std::string many = "[alarm]\ncommand = [\"/a\"";
  for (int i = 0; i < 64; ++i) {
    many += ", \"b\"";
  }
  EXPECT_NE(errors_in(many + "]\n").find("more than 64"), std::string::npos);
}

TEST(Environment, SetsEveryKey) {
  const Environment environment = {
      {"MTASTSD_DAEMON_USER", "mtastsd"},
      {"MTASTSD_DAEMON_MODE", "observe"},
      {"MTASTSD_SOCKETMAP_LISTEN", "inet:[::1]:0,unix:/run/mtastsd/s"},
      {"MTASTSD_SOCKETMAP_THREADS", "64"},
      {"MTASTSD_SOCKETMAP_MAX_CONNECTIONS", "5"},
      {"MTASTSD_SOCKETMAP_SOCKET_MODE", "0600"},
      {"MTASTSD_SOCKETMAP_SOCKET_OWNER", "mtastsd"},
      {"MTASTSD_SOCKETMAP_SOCKET_GROUP", "postfix"},
      {"MTASTSD_DNS_SERVERS", "127.0.0.1:5353, ::1"},
      {"MTASTSD_DNS_RESOLV_CONF", "/tmp/resolv.conf"},
      {"MTASTSD_DNS_TIMEOUT", "100ms"},
      {"MTASTSD_DNS_TRUST_AD", "false"},
      {"MTASTSD_HTTPS_CA_FILE", "/tmp/ca.pem"},
      {"MTASTSD_HTTPS_TIMEOUT", "1s"},
      {"MTASTSD_HTTPS_THREADS", "16"},
      {"MTASTSD_HTTPS_PORT", "65535"},
      {"MTASTSD_HTTPS_PROXY", "http://proxy:3128"},
      {"MTASTSD_HTTPS_CA_DIRECTORY", ""},
      {"MTASTSD_HTTPS_PROXY_CREDENTIALS", "/etc/mtastsd/proxy"},
      {"MTASTSD_HTTPS_SOURCE_ADDRESS", "192.0.2.25,2001:db8::25"},
      {"MTASTSD_HTTPS_ADDRESSES", "mta-sts.example.com=10.0.0.1,mta-sts.example.com=fd00::1"},
      {"MTASTSD_HTTPS_ALLOW_NETWORKS", "10.0.0.0/8 , fd00::1"},
      {"MTASTSD_HTTPS_ALLOW_LOCAL_ADDRESSES", "true"},
      {"MTASTSD_ALARM_COMMAND", "/usr/bin/notify,--to,admin"},
      {"MTASTSD_RESOLVER_ANSWER_TIMEOUT", "95s"},
      {"MTASTSD_RESOLVER_RECHECK_MIN", "1s"},
      {"MTASTSD_RESOLVER_RECHECK_MAX", "2s"},
      {"MTASTSD_RESOLVER_NEGATIVE_MIN", "3s"},
      {"MTASTSD_RESOLVER_NEGATIVE_MAX", "4s"},
      {"MTASTSD_RESOLVER_RETRY_INTERVAL", "5s"},
      {"MTASTSD_RESOLVER_REFRESH_INTERVAL", "6h"},
      {"MTASTSD_RESOLVER_IDLE_AFTER", "7d"},
      {"MTASTSD_CACHE_DIRECTORY", "/var/tmp/c"},
      {"MTASTSD_CACHE_MAX_SIZE", "1MiB"},
      {"MTASTSD_CACHE_MAX_NEGATIVE", "0"},
      {"MTASTSD_CACHE_HISTORY", "50"},
      {"MTASTSD_HTTP_LISTEN", "inet:127.0.0.1:8460,unix:/run/http"},
      {"MTASTSD_HTTP_SOCKET_GROUP", "www-data"},
      {"MTASTSD_HTTP_BASE_PATH", "/mta-sts"},
      {"MTASTSD_CONTROL_SOCKET", "/run/c"},
      {"MTASTSD_CONTROL_SOCKET_GROUP", "adm"},
      {"MTASTSD_LOG_LEVEL", "debug"},
      {"MTASTSD_LOG_FORMAT", "json"},
      {"MTASTSD_LOG_TARGET", "syslog"},
  };
  const auto config = parse("", "", environment);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config, every_key());
  std::size_t keys = 0;
  for (const KnownKey& key : known_keys()) {
    if (!key.name.starts_with("maps.") && !key.name.starts_with("override.")) {
      EXPECT_TRUE(environment.contains(variable_for(key.name))) << key.name;
      ++keys;
    }
  }
  EXPECT_EQ(keys, environment.size());
}

TEST(Parse, AMapObservesByItselfOrWithAll) {
  const Config one = parsed("[maps.postfix]\nmode = \"observe\"\n");
  EXPECT_TRUE(one.maps.at("postfix").observe);
  EXPECT_FALSE(one.maps.at("dane").observe);
  const Config all =
      parsed("[daemon]\nmode = \"observe\"\n[maps.postfix]\nmode = \"enforce\"\n[maps.mine]\n");
  for (const auto& [name, profile] : all.maps) {
    EXPECT_TRUE(profile.observe) << name;
  }
  EXPECT_THAT(errors_in("[daemon]\nmode = \"off\"\n"),
              testing::HasSubstr("daemon.mode = \"off\": must be one of \"enforce\", \"observe\""));
}

TEST(Environment, CountsMoreThanTheFile) {
  const auto config = parse("[dns]\nservers = [\"::1\"]\ntimeout = \"1s\"\n", "mtastsd.toml",
                            {{"MTASTSD_DNS_TIMEOUT", "2s"}});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->dns.timeout, 2s);
  EXPECT_EQ(config->dns.servers, std::vector<std::string>{"::1"});
}

// An empty variable is an empty text or list, and not one that is not there.
TEST(Environment, AnEmptyVariableIsAValue) {
  const auto config = parse("[dns]\nservers = [\"::1\"]\n[control]\nsocket = \"/s\"\n", "",
                            {{"MTASTSD_DNS_SERVERS", ""}, {"MTASTSD_CONTROL_SOCKET", ""}});
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->dns.servers.empty());
  EXPECT_EQ(config->control.socket, "");
}

// --- overrides --------------------------------------------------------------------------------

TEST(Overrides, AreRead) {
  const Config config = parsed(
      "[override.\"Broken.Example\"]\naction = \"ignore\"\nreason = \"ticket 4711\"\n"
      "until = 2027-01-15\n"
      "[override.\"*.partner.example\"]\naction = \"pin\"\nmx = [\"mx.p.example\", "
      "\"*.q.example\"]\nreason = \"contract\"\npermanent = true\n"
      "[override.\"c.example\"]\naction = \"dane\"\nreason = \"x\"\n"
      "until = 2027-01-15T12:00:00Z\n");
  ASSERT_EQ(config.overrides.size(), 3U);
  // Tables are sorted by key.
  const auto& pin = config.overrides[0];
  EXPECT_EQ(pin.scope.str(), "*.partner.example");
  EXPECT_EQ(pin.action, overrides::Action::Pin);
  ASSERT_EQ(pin.mx.size(), 2U);
  EXPECT_EQ(pin.mx[1].str(), "*.q.example");
  EXPECT_EQ(pin.until, std::nullopt);
  const auto& ignore = config.overrides[1];
  EXPECT_EQ(ignore.scope.str(), "broken.example");
  EXPECT_EQ(ignore.reason, "ticket 4711");
  EXPECT_EQ(ignore.until, WallTime(std::chrono::sys_days(std::chrono::year(2027) / 1 / 16)));
  EXPECT_EQ(config.overrides[2].until,
            WallTime(std::chrono::sys_days(std::chrono::year(2027) / 1 / 15)) + 12h);
}

TEST(Overrides, AreRefusedWithASentenceThatHelps) {
  const auto with = [](const std::string& lines) {
    return errors_in("[override.\"a.example\"]\n" + lines);
  };
  const std::string full = "action = \"ignore\"\nreason = \"x\"\n";
  EXPECT_EQ(with(full + "permanent = true\n"), "no error");
  const std::pair<std::string, const char*> rows[] = {
      {full, "needs an end: until = a date such as 2027-01-15, or permanent = true"},
      {full + "permanent = true\nuntil = 2027-01-15\n", "cannot be permanent and have an end"},
      {"reason = \"x\"\npermanent = true\n", "needs an action"},
      {"action = \"ignore\"\npermanent = true\n", "needs a reason"},
      {"action = \"pin\"\nreason = \"x\"\npermanent = true\n", "pins no MX host"},
      {full + "permanent = true\nmx = [\"mx.a.example\"]\n", "only the action \"pin\" takes"},
      {"action = \"allow\"\n", "must be one of \"ignore\", \"testing\", \"pin\", \"dane\""},
      {full + "until = \"7d\"\n", "must be a date such as 2027-01-15"},
      {full + "until = 2027-01-15T12:00:00\n", "must be a date such as 2027-01-15"},
      {full + "until = 7\n", "must be a date such as 2027-01-15"},
      {full + "reson = \"x\"\n", "did you mean \"reason\"?"},
      {"mx = [\"a b\"]\n", "must be a host name"},
  };
  for (const auto& [lines, words] : rows) {
    EXPECT_NE(with(lines).find(words), std::string::npos) << lines << with(lines);
  }
  EXPECT_EQ(errors_in("[override.broken.example]\naction = \"ignore\"\n"),
            "mtastsd.toml:1: [override.broken.example]: a name with dots stands in quotes: "
            "[override.\"broken.example\"]");
  EXPECT_NE(errors_in("[override]\n\"a.example\" = 1\n").find("must be a section"),
            std::string::npos);
  const std::string end = full + "permanent = true\n";
  EXPECT_NE(errors_in("[override.\"a.example\"]\n" + end + "[override.\"A.example\"]\n" + end)
                .find("twice"),
            std::string::npos);
  const auto variable = parse("", "", {{"MTASTSD_OVERRIDE_ACTION", "ignore"}});
  ASSERT_FALSE(variable);
  EXPECT_NE(variable.error().message.find("in the file only"), std::string::npos);
}

struct BadVariable {
  const char* name;
  const char* value;
  const char* words;
};

TEST(Environment, SaysWhatIsWrong) {
  const BadVariable rows[] = {
      {"MTASTSD_DNS_TIMOUT", "1s",
       "MTASTSD_DNS_TIMOUT: there is no such setting; did you mean MTASTSD_DNS_TIMEOUT?"},
      {"MTASTSD_DNS_SPEED", "1", "MTASTSD_DNS_SPEED: there is no such setting"},
      {"MTASTSD_DSN_TIMEOUT", "1s",
       "MTASTSD_DSN_TIMEOUT: there is no such setting; did you mean MTASTSD_DNS_TIMEOUT?"},
      {"MTASTSD_MAPS_OLD_POSTFIX_VERSION", "3.3",
       "MTASTSD_MAPS_OLD_POSTFIX_VERSION: maps can be set in the file only, in [maps.NAME]"},
      {"MTASTSD_DNS_TRUST_AD", "yes",
       "MTASTSD_DNS_TRUST_AD = \"yes\": must be true or false, without quotes"},
      {"MTASTSD_HTTPS_PORT", "4x3",
       "MTASTSD_HTTPS_PORT = \"4x3\": must be a whole number, without quotes"},
      {"MTASTSD_HTTPS_PORT", "", "MTASTSD_HTTPS_PORT = \"\": must be a whole number"},
      {"MTASTSD_HTTPS_PORT", "65536",
       "MTASTSD_HTTPS_PORT = \"65536\": must be between 1 and 65535"},
      {"MTASTSD_DNS_SERVERS", "::1,,::2", "MTASTSD_DNS_SERVERS = \"\": "},
      {"MTASTSD_SOCKETMAP_LISTEN", " ",
       "MTASTSD_SOCKETMAP_LISTEN = \" \": must name at least one address"},
      {"MTASTSD_CACHE_DIRECTORY", "a\nb",
       "MTASTSD_CACHE_DIRECTORY = \"a\\x0ab\": must not contain control characters"},
      {"MTASTSD_RESOLVER_RECHECK_MIN", "2h",
       "resolver.recheck_min (2h) must not be more than resolver.recheck_max (1h, the default)"},
  };
  for (const BadVariable& row : rows) {
    const auto config = parse("", "", {{row.name, row.value}});
    ASSERT_FALSE(config) << row.name;
    EXPECT_TRUE(config.error().message.starts_with(row.words)) << config.error().message;
  }
}

TEST(Environment, WhatOthersHaveSetIsLeftAlone) {
  const Environment environment = {{"MTASTSD_PORT", "tcp://10.0.0.1:8461"},
                                   {"MTASTSD_PORT_8461_TCP_ADDR", "10.0.0.1"},
                                   {"MTASTSD_SERVICE_HOST", "10.0.0.1"},
                                   {"MTASTSD_BIN", "/usr/sbin/mtastsd"}};
  EXPECT_EQ(parse("", "", environment).value(), defaults());
}

TEST(Environment, ASecretIsNotRepeated) {
  const auto config = parse("", "", {{"MTASTSD_HTTPS_PROXY", "ftp://u:secret@h"}});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message.find("secret"), std::string::npos);
}

TEST(Origins, NameTheLineOrTheVariable) {
  Origins origins;
  ASSERT_TRUE(
      parse("[dns]\nservers = [ \"::1\",\n  \"::2\" ]\ntimeout = \"1s\"\n"
            "[https]\nproxy = \"http://u:secret@h\"\n[maps.old]\npostfix_version = \"3.3\"\n",
            "/m.toml", {{"MTASTSD_DNS_TIMEOUT", "2s"}}, &origins));
  std::string all;
  for (const auto& [setting, origin] : origins) {
    all += setting + " = " + origin.value + " (" + origin.place + ")\n";
  }
  EXPECT_EQ(all,
            "dns.servers = [ \"::1\", \"::2\" ] (/m.toml:2)\n"
            "dns.timeout = \"2s\" (MTASTSD_DNS_TIMEOUT)\n"
            "https.proxy = (not shown) (/m.toml:6)\n"
            "maps.old.postfix_version = \"3.3\" (/m.toml:8)\n");
}

TEST(Load, ReadsTheEnvironmentWithoutAFileToo) {
  ::setenv("MTASTSD_LOG_LEVEL", "error", 1);
  ::setenv("MTASTSDX", "is not one of them", 1);
  std::string path = "/dev/null";
  const auto config = load_or_defaults(path);
  ::unsetenv("MTASTSD_LOG_LEVEL");
  ::unsetenv("MTASTSDX");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->log.level, LogLevel::Error);
}

TEST(Parse, OneTextStandsForAListOfOne) {
  EXPECT_EQ(parsed("socketmap.listen = \"unix:/s\"").socketmap.listen[0].path, "/s");
  EXPECT_EQ(parsed("[dns]\nservers = \"::1\"").dns.servers, std::vector<std::string>{"::1"});
}

TEST(Parse, ASectionForABuiltInMapChangesOnlyWhatItSays) {
  const Config config = parsed(
      "[maps.QUERYwithTLSRPT]\nenforce_testing = true\n"
      "[maps.QUERY]\npostfix_version = \"2.11\"\n"
      "[maps.dane]\ndane = false\n");
  EXPECT_EQ(config.maps.at("QUERYwithTLSRPT"), (postfix::Profile{true, true, true, true}));
  EXPECT_EQ(config.maps.at("QUERY"), (postfix::Profile{false, false, false, true}));
  EXPECT_EQ(config.maps.at("dane"), postfix::Profile{});
  EXPECT_EQ(config.maps.at("postfix"), postfix::Profile{});
}

struct BadRow {
  std::string text;
  std::string error;
};

TEST(Parse, SaysWhereAndWhatIsWrong) {
  const BadRow rows[] = {
      {"\n\n[resolver]\nanswer_timout = \"20s\"\n",
       R"(mtastsd.toml:4: unknown key "answer_timout" in [resolver]; did you mean "answer_timeout"?)"},
      {"[resolver]\nanswer_timeout = \"20\"\n",
       R"(mtastsd.toml:2: resolver.answer_timeout = "20": a duration needs a unit, for example "20s")"},
      {"[resolver]\nanswer_timeout = 20\n",
       R"(mtastsd.toml:2: resolver.answer_timeout = 20: must be text in quotes, for example "20s")"},
      {"[resolver]\nanswer_timeout = \"96s\"\n",
       R"(mtastsd.toml:2: resolver.answer_timeout = "96s": must be between 100ms and 95s, because )"
       R"(Postfix gives up after 100s)"},
      {"[resolver]\nanswer_timeout = \"99ms\"\n",
       R"(mtastsd.toml:2: resolver.answer_timeout = "99ms": must be between 100ms and 95s, because )"
       R"(Postfix gives up after 100s)"},
      {"[resolver]\nrecheck_min = \"1500ms\"\n",
       R"(mtastsd.toml:2: resolver.recheck_min = "1500ms": must be a whole number of seconds)"},
      {"[resolver]\nretry_interval = \"0s\"\n",
       R"(mtastsd.toml:2: resolver.retry_interval = "0s": must be between 1s and 366d)"},
      {"[resolver]\ncolour = 1\n", R"(mtastsd.toml:2: unknown key "colour" in [resolver])"},
      {"[resolver]\ntimeout = \"1s\"\n",
       R"(mtastsd.toml:2: unknown key "timeout" in [resolver]; there is one in [dns] or [https])"},
      {"[https]\ntimeout = \"61s\"\n",
       R"(mtastsd.toml:2: https.timeout = "61s": must be between 1s and 1m)"},
      {"[https]\nport = 0\n", "mtastsd.toml:2: https.port = 0: must be between 1 and 65535"},
      {"[https]\nport = \"443\"\n",
       R"(mtastsd.toml:2: https.port = "443": must be a whole number, without quotes)"},
      {"[https]\nport = 443.0\n",
       "mtastsd.toml:2: https.port: must be a whole number, without quotes"},
      {"[https]\nproxy = \"me:secret@proxy\"\n",
       R"(mtastsd.toml:2: https.proxy: must be a URL that begins with "http://")"},
      {"[https]\nallow_networks = [\"10.0.0.0/8\", \"10.0.0.0/6\"]\n",
       R"(mtastsd.toml:2: https.allow_networks = "10.0.0.0/6": must end in a length of the prefix behind which the address has only zero bits, for example "10.0.0.0/8")"},
      {"[https]\nallow_networks = [\"intranet\"]\n",
       R"(mtastsd.toml:2: https.allow_networks = "intranet": must be an IP network, for example "10.0.0.0/8" or "fd12:3456:789a::/48")"},
      {"[https]\nsource_address = [\"::1\", \"::2\"]\n",
       R"(mtastsd.toml:2: https.source_address = "::2": is the second address of its family)"},
      {"[https]\naddresses = { \"mta-sts.example.com\" = [\"here\"] }\n",
       R"(mtastsd.toml:2: https.addresses."mta-sts.example.com" = "here": must be an IP address, for example "192.0.2.1" or "2001:db8::1")"},
      {"[https]\naddresses = { \"example.com\" = \"10.0.0.1\" }\n",
       R"(mtastsd.toml:2: https.addresses."example.com" = "10.0.0.1": is for "example.com", which must be a policy host, for example "mta-sts.example.com")"},
      {"[https]\naddresses = [\"10.0.0.1\"]\n",
       R"(mtastsd.toml:2: https.addresses: must be a table, for example { "NAME" = ["192.0.2.1"] })"},
      {"[https]\nca_file = \"/a\"\nca_directory = \"/b\"\n",
       "mtastsd.toml:3: https.ca_directory: must be empty where https.ca_file names the "
       "authorities"},
      {"[https]\nallow_local_addresses = \"yes\"\n",
       R"(mtastsd.toml:2: https.allow_local_addresses = "yes": must be true or false, without quotes)"},
      {"[socketmap]\nthreads = 65\n",
       "mtastsd.toml:2: socketmap.threads = 65: must be between 1 and 64"},
      {"[socketmap]\nthreads = -1\n",
       "mtastsd.toml:2: socketmap.threads = -1: must be between 1 and 64"},
      {"[socketmap]\nsocket_mode = 0o660\n",
       R"(mtastsd.toml:2: socketmap.socket_mode = 432: must be text in quotes, for example "0660")"},
      {"[socketmap]\nsocket_mode = \"rw\"\n",
       R"(mtastsd.toml:2: socketmap.socket_mode = "rw": must be an octal file mode from "0000" to )"
       R"("0777", for example "0660")"},
      {"[socketmap]\nsocket_owner = \"a\\u0000b\"\n",
       R"(mtastsd.toml:2: socketmap.socket_owner = "a\x00b": must not contain control characters)"},
      {"[socketmap]\nlisten = []\n",
       R"(mtastsd.toml:2: socketmap.listen: must name at least one address, for example )"
       R"("inet:127.0.0.1:8461")"},
      {"[socketmap]\nlisten = [\n \"unix:/a\",\n 5,\n]\n",
       R"(mtastsd.toml:4: socketmap.listen: must be text in quotes, for example "inet:127.0.0.1:8461")"},
      {"[socketmap]\nlisten = [\n \"unix:/a\",\n \"inet:[::1]:25\",\n \"inet:[0::1]:25\"]\n",
       R"(mtastsd.toml:5: socketmap.listen = "inet:[0::1]:25": is listed twice)"},
      {"[http]\nlisten = \"inet:127.0.0.1:8461\"\n",
       R"(mtastsd.toml:2: http.listen: "inet:127.0.0.1:8461" is where Postfix asks)"},
      {"[http]\nbase_path = \"mtasts/\"\n",
       R"(mtastsd.toml:2: http.base_path = "mtasts/": must be empty, or a path such as "/mtasts", )"
       R"(with a slash at its beginning and none at its end)"},
      {"[http]\nbase_path = \"//evil.example\"\n",
       R"(mtastsd.toml:2: http.base_path = "//evil.example": must be empty, or a path such as )"
       R"("/mtasts", with a slash at its beginning and none at its end)"},
      {"[socketmap]\nlisten = \"inet:127.0.0.1:70000\"\n",
       R"(mtastsd.toml:2: socketmap.listen = "inet:127.0.0.1:70000": the port "70000" must be a )"
       R"(number up to 65535)"},
      {"[dns]\nservers = [\"127.0.0.1\", \"dns.example\"]\n",
       R"(mtastsd.toml:2: dns.servers = "dns.example": must be an IP address, with a port from 1 to 65535 if it is )"
       R"(not 53: "192.0.2.53", "127.0.0.1:5353", "[2001:db8::53]:53")"},
      {"[dns]\nresolv_conf = \"resolv.conf\"\n",
       R"(mtastsd.toml:2: dns.resolv_conf = "resolv.conf": must be an absolute path)"},
      {"[dns]\nresolv_conf = \"\"\n",
       R"(mtastsd.toml:2: dns.resolv_conf = "": must be an absolute path)"},
      {"[cache]\nmax_size = \"1000kB\"\n",
       R"(mtastsd.toml:2: cache.max_size = "1000kB": must be between 1MiB and 1TiB)"},
      {"[cache]\nmax_size = 1000\n",
       R"(mtastsd.toml:2: cache.max_size = 1000: must be text in quotes, for example "1GiB")"},
      {"[cache]\ndirectory = \"cache\"\n",
       R"(mtastsd.toml:2: cache.directory = "cache": must be an absolute path)"},
      {"[log]\nlevel = \"warning\"\n",
       R"(mtastsd.toml:2: log.level = "warning": must be one of "debug", "info", "warn", "error")"},
      {"[log]\nformat = [\"json\"]\n",
       R"(mtastsd.toml:2: log.format: must be text in quotes, for example "logfmt")"},
      {"[maps.x]\npostfix_version = \"2.9\"\n",
       R"(mtastsd.toml:2: maps.x.postfix_version = "2.9": must be a Postfix version, "2.10" or later, )"
       R"(for example "3.7")"},
      {"[maps.x]\npostfix_version = 3.10\n",
       R"(mtastsd.toml:2: maps.x.postfix_version: must be text in quotes, for example "3.7")"},
      {"[maps.x]\npostfix = \"3.7\"\n", R"(mtastsd.toml:2: unknown key "postfix" in [maps.x])"},
      {"[maps.x]\nenforce_testin = true\n",
       R"(mtastsd.toml:2: unknown key "enforce_testin" in [maps.x]; did you mean "enforce_testing"?)"},
      {"\n[maps.\"a:b\"]\n",
       R"(mtastsd.toml:2: [maps."a:b"]: a map's name must not contain white space or a colon)"},
      {"[maps]\nx = \"3.7\"\n",
       R"(mtastsd.toml:2: "x" must be a section, which begins with one line [maps.NAME])"},
      {"\n[resolvr]\nx = 1\n",
       R"(mtastsd.toml:2: unknown section "resolvr"; did you mean [resolver]?)"},
      {"\n[web]\n", R"(mtastsd.toml:2: unknown section "web")"},
      {"\n[[dns]]\n",
       R"(mtastsd.toml:2: "dns" must be a section, which begins with one line [dns])"},
      {"\ndns = 5\n",
       R"(mtastsd.toml:2: "dns" must be a section, which begins with one line [dns])"},
      {"\nmax_connections = 1\n",
       R"(mtastsd.toml:2: the key "max_connections" is in no section; it belongs in [socketmap])"},
      {"\ncolour = 1\n", R"(mtastsd.toml:2: the key "colour" is in no section)"},
  };
  for (const auto& [text, error] : rows) {
    EXPECT_EQ(errors_in(text), error) << text;
  }
}

TEST(Parse, LimitsMustNotCrossEachOther) {
  EXPECT_EQ(errors_in("[resolver]\nrecheck_min = \"2h\"\n"),
            "mtastsd.toml:2: resolver.recheck_min (2h) must not be more than resolver.recheck_max "
            "(1h, the default)");
  EXPECT_EQ(errors_in("[resolver]\nnegative_max = \"2s\"\n\nnegative_min = \"3s\"\n"),
            "mtastsd.toml:4: resolver.negative_min (3s) must not be more than "
            "resolver.negative_max (2s)");
  EXPECT_EQ(errors_in("[resolver]\nrecheck_min = \"2h\"\nrecheck_max = \"2h\"\n"), "no error");
}

TEST(Parse, SaysAllThatIsWrongInTheOrderOfTheFile) {
  EXPECT_EQ(errors_in("[socketmap]\nthreads = 0\nlisten = [\"x\", \"unix:y\"]\n"
                      "[cache]\nsize = 1\n[dns]\ntimeout = \"1\"\n"),
            "mtastsd.toml:2: socketmap.threads = 0: must be between 1 and 64\n"
            "mtastsd.toml:3: socketmap.listen = \"x\": must be \"inet:HOST:PORT\" or "
            "\"unix:/absolute/path\", for example \"inet:127.0.0.1:8461\"\n"
            "mtastsd.toml:3: socketmap.listen = \"unix:y\": the path must be absolute, for example "
            "\"unix:/run/mtastsd/socketmap\"\n"
            "mtastsd.toml:5: unknown key \"size\" in [cache]\n"
            "mtastsd.toml:7: dns.timeout = \"1\": a duration needs a unit, for example \"1s\"");
}

TEST(Parse, SyntaxErrorsHaveTheirLine) {
  for (const char* text : {"\n\n[dns\n", "\n\ntimeout = \n", "\n\n[dns]]\n", "\n\na = \"x\n",
                           "[a]\n\n[a]\n", "\n\na = 1\n\xff\n", "\n\na = \x01\n"}) {
    const std::string error = errors_in(text);
    EXPECT_TRUE(std::regex_search(error, std::regex(R"(^mtastsd\.toml:[34]: not valid TOML: .)")))
        << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
}

TEST(Parse, ShowsNothingOfBrokenTomlThatATerminalWouldObey) {
  for (const char* text : {"a = t\x1c\x1b[2Jrue\n", "a = t\xc3rue\n", "a = \x7f\n"}) {
    const std::string error = errors_in(text);
    EXPECT_TRUE(std::all_of(error.begin(), error.end(), [](char c) {
      return c >= 0x20 && c < 0x7f;
    })) << error;
  }
}

TEST(Parse, SurvivesDamage) {
  std::ifstream in(MTASTSD_SOURCE_DIR "/conf/mtastsd.toml");
  std::stringstream whole;
  whole << in.rdbuf();
  const std::string good = std::regex_replace(whole.str(), std::regex("\n#([a-z_[])"), "\n$1");
  std::mt19937 random(8461);
  for (int round = 0; round < 2000; ++round) {
    std::string text = good.substr(0, random() % good.size());
    for (int i = 0; i < 5 && !text.empty(); ++i) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const auto config = parse(text, "f");
    ASSERT_TRUE(config || config.error().message.starts_with("f:"));
  }
  EXPECT_FALSE(parse(std::string(100000, '['), "f"));
  EXPECT_FALSE(parse("a = " + std::string(100000, '['), "f"));
}

class LoadTest : public testing::Test {
 protected:
  LoadTest() {
    std::string name = "/tmp/mtastsd-config-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/mtastsd.toml";
  }
  ~LoadTest() override { std::filesystem::remove_all(directory_); }

  std::string error() {
    const auto config = load(path_);
    return config ? "no error" : config.error().message;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(LoadTest, ReadsAFile) {
  std::ofstream(path_) << "[socketmap]\nthreads = 3\n";
  const auto config = load(path_);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->socketmap.threads, 3u);
}

TEST_F(LoadTest, ErrorsNameThePath) {
  std::ofstream(path_) << "\nx = 1\n";
  EXPECT_EQ(error(), path_ + ":2: the key \"x\" is in no section");
}

TEST_F(LoadTest, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(error(), path_ + ": cannot be opened: No such file or directory");
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(error(), path_ + ": is not a regular file");
  path_ = directory_;
  EXPECT_EQ(error(), path_ + ": is a directory; name the configuration file in it");
}

TEST_F(LoadTest, AnUnreadableFileIsAnError) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root may read everything";
  }
  std::ofstream(path_) << "";
  std::filesystem::permissions(path_, std::filesystem::perms::none);
  EXPECT_EQ(error(), path_ + ": cannot be opened: Permission denied");
}

TEST_F(LoadTest, FilesHaveALimit) {
  std::ofstream(path_) << std::string(1 << 20, '\n');
  EXPECT_EQ(error(), "no error");
  std::ofstream(path_, std::ios::app) << '\n';
  EXPECT_EQ(error(), path_ + ": is larger than 1MiB, which is too large for a configuration file");
  path_ = "/dev/zero";
  EXPECT_EQ(error(), path_ + ": is larger than 1MiB, which is too large for a configuration file");
}

TEST_F(LoadTest, DevNullIsTheDefaults) {
  const auto config = load("/dev/null");
  ASSERT_TRUE(config);
  EXPECT_EQ(*config, defaults());
}

// The file that is installed as documentation.
class ExampleFile : public testing::Test {
 protected:
  ExampleFile() {
    std::ifstream in(MTASTSD_SOURCE_DIR "/conf/mtastsd.toml");
    const std::regex setting(R"(#((?:[a-z_]+ = |\[).*))");
    for (std::string line; std::getline(in, line);) {
      text_ += line + "\n";
      std::smatch match;
      active_ += (std::regex_match(line, match, setting) ? match[1].str() : line) + "\n";
    }
  }
  std::string text_;
  std::string active_;  // with every setting uncommented
};

TEST_F(ExampleFile, IsTheDefaults) {
  ASSERT_FALSE(text_.empty());
  EXPECT_EQ(parsed(text_), defaults());
}

TEST_F(ExampleFile, ShowsTheDefaultOfEveryKey) {
  Config config = parsed(active_);
  EXPECT_EQ(config.maps["outgoing"], postfix::Profile{});
  config.maps.erase("outgoing");
  EXPECT_EQ(config.overrides.size(), 1U);
  config.overrides.clear();
  EXPECT_EQ(config, defaults());
}

TEST_F(ExampleFile, HasEveryKeyOnceInItsSection) {
  std::vector<std::string> found;
  std::string section;
  std::istringstream lines(active_);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex(R"(\[(.*)\])"))) {
      section = match[1].str() == "maps.outgoing"                  ? "maps.NAME"
                : match[1].str() == "override.\"partner.example\"" ? "override.NAME"
                                                                   : match[1].str();
    } else if (std::regex_search(line, match, std::regex("^([a-z_]+) = "))) {
      found.push_back(section + "." + match[1].str());
    }
  }
  std::vector<std::string> expected;
  for (const KnownKey& key : known_keys()) {
    expected.push_back(key.name);
  }
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace mtastsd::config
