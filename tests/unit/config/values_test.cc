#include "values.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>

#include "mtastsd/config/config.h"

namespace mtastsd::config {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

template <typename R>
std::string error_of(const R& result) {
  return result ? "no error" : result.error();
}

TEST(ParseDuration, TakesOneNumberAndOneUnit) {
  const std::pair<const char*, Milliseconds> rows[] = {
      {"500ms", 500ms},  {"90s", 90s}, {"5m", 5min}, {"24h", 24h},
      {"30d", 30 * 24h}, {"0s", 0s},   {"007s", 7s}, {"9223372036854775807ms", Milliseconds::max()},
  };
  for (const auto& [text, expected] : rows) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error();
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(ParseDuration, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"20", R"(a duration needs a unit, for example "20s")"},
      {"", R"(is not a duration; write for example "20s")"},
      {"s", R"(is not a duration; write for example "20s")"},
      {"-5s", R"(is not a duration; write for example "20s")"},
      {" 5s", R"(is not a duration; write for example "20s")"},
      {"5 s",
       R"(a duration must be one number with one unit (ms, s, m, h or d), for example "20s")"},
      {"1h30m",
       R"(a duration must be one number with one unit (ms, s, m, h or d), for example "20s")"},
      {"1.5h",
       R"(a duration must be one number with one unit (ms, s, m, h or d), for example "20s")"},
      {"5S",
       R"(a duration must be one number with one unit (ms, s, m, h or d), for example "20s")"},
      {"9223372036854775808ms", "is too large"},
      {"9223372036854776s", "is too large"},
      {"106751991168d", "is too large"},
      {"99999999999999999999s", "is too large"},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(error_of(parse_duration(text)), expected);
  }
}

TEST(ParseSize, TakesBinaryAndDecimalUnits) {
  const std::pair<const char*, std::size_t> rows[] = {
      {"512KiB", 512 << 10}, {"64MiB", 64 << 20},     {"1GiB", 1 << 30},
      {"1000B", 1000},       {"2kB", 2000},           {"3MB", 3000000},
      {"4GB", 4000000000},   {"1TiB", 1099511627776}, {"18446744073709551615B", SIZE_MAX},
  };
  for (const auto& [text, expected] : rows) {
    const auto parsed = parse_size(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error();
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(ParseSize, SaysWhatIsWrong) {
  const std::string units =
      R"(a size must be one number with one unit (B, KiB, MiB, GiB, TiB), for example "64MiB")";
  EXPECT_EQ(error_of(parse_size("1000")), R"(a size needs a unit, for example "1000B")");
  EXPECT_EQ(error_of(parse_size("big")), R"(is not a size; write for example "64MiB")");
  EXPECT_EQ(error_of(parse_size("1 GiB")), units);
  EXPECT_EQ(error_of(parse_size("1gib")), units);
  EXPECT_EQ(error_of(parse_size("1G")), units);
  EXPECT_EQ(error_of(parse_size("18446744073709551616B")), "is too large");
  EXPECT_EQ(error_of(parse_size("17179869184GiB")), "is too large");
}

TEST(Format, IsWhatTheParsersRead) {
  EXPECT_EQ(format_duration(95s), "95s");
  EXPECT_EQ(format_duration(100ms), "100ms");
  EXPECT_EQ(format_duration(1500ms), "1500ms");
  EXPECT_EQ(format_duration(3600s), "1h");
  EXPECT_EQ(format_duration(24h), "1d");
  EXPECT_EQ(format_size(std::size_t{1} << 20), "1MiB");
  EXPECT_EQ(format_size(std::size_t{3} << 40), "3TiB");
  EXPECT_EQ(format_size(1000), "1000B");
}

TEST(ParseListen, ReadsInetAndUnixAndWritesThemTheSame) {
  for (const char* text :
       {"inet:127.0.0.1:8461", "inet:127.0.0.1:0", "inet:[::1]:8461", "inet:localhost:65535",
        "inet:mx-1.example.com:1", "unix:/run/mtastsd/socketmap", "unix:/a b"}) {
    const auto parsed = parse_listen(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error();
    EXPECT_EQ(parsed->str(), text);
  }
  EXPECT_EQ(parse_listen("inet:[::1]:25")->host, "::1");
  EXPECT_EQ(parse_listen("inet:[::1]:25")->port, 25);
  EXPECT_EQ(parse_listen("unix:/x")->kind, ListenAddress::Kind::Unix);
  EXPECT_EQ(parse_listen("unix:/x")->path, "/x");
}

TEST(ParseListen, SaysWhatIsWrong) {
  const std::pair<std::string, std::string> rows[] = {
      {"", R"(must be "inet:HOST:PORT" or "unix:/absolute/path")"},
      {"127.0.0.1:8461", R"(must be "inet:HOST:PORT" or "unix:/absolute/path")"},
      {"tcp:127.0.0.1:8461", R"(must be "inet:HOST:PORT" or "unix:/absolute/path")"},
      {"inet:127.0.0.1", "has no port"},
      {"inet:[::1]", "has no port"},
      {"inet::8461", "has no address"},
      {"inet:", "has no port"},
      {"inet:127.0.0.1:", R"(the port "" must be a number up to 65535)"},
      {"inet:127.0.0.1:65536", R"(the port "65536" must be a number up to 65535)"},
      {"inet:127.0.0.1:-1", R"(the port "-1" must be a number up to 65535)"},
      {"inet:127.0.0.1:smtp", R"(the port "smtp" must be a number up to 65535)"},
      {"inet:127.0.0.300:25", R"("127.0.0.300" is neither an IP address nor a host name)"},
      {"inet:a host:25", R"("a host" is neither an IP address nor a host name)"},
      {"inet:a..b:25", R"("a..b" is neither an IP address nor a host name)"},
      {"inet:::1",
       R"(an IPv6 address must be in brackets, followed by the port: "inet:[::1]:8461")"},
      {"inet:2001:db8:0:0:0:0:0:1:25",
       R"(an IPv6 address must be in brackets: "inet:[2001:db8:0:0:0:0:0:1]:25")"},
      {"inet:[127.0.0.1]:25", "the brackets must contain an IPv6 address"},
      {"inet:[::1:25", "the brackets must contain an IPv6 address"},
      {"inet:[::1]25", "the brackets must contain an IPv6 address"},
      {"unix:run/x", "the path must be absolute"},
      {"unix:", "the path must be absolute"},
      {"unix:@x", "the path must be absolute"},
      {"unix:/run/", "the path must name a socket"},
      {"unix:/a\0b"s, "the path must not contain control characters"},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_TRUE(error_of(parse_listen(text)).starts_with(expected))
        << text << ": " << error_of(parse_listen(text));
  }
}

TEST(ParseListen, UnixPathFitsASocketAddress) {
  EXPECT_TRUE(parse_listen("unix:/" + std::string(106, 'x')));
  EXPECT_EQ(error_of(parse_listen("unix:/" + std::string(107, 'x'))),
            "the path has 108 bytes, and the path of a unix socket can have at most 107");
}

TEST(SamePlace, SeesThroughSpelling) {
  const auto same = [](const char* a, const char* b) {
    return same_place(*parse_listen(a), *parse_listen(b));
  };
  EXPECT_TRUE(same("inet:[::1]:25", "inet:[0:0::1]:25"));
  EXPECT_TRUE(same("inet:localhost:25", "inet:localhost:25"));
  EXPECT_TRUE(same("unix:/a", "unix:/a"));
  EXPECT_FALSE(same("inet:[::1]:25", "inet:[::1]:26"));
  EXPECT_FALSE(same("inet:127.0.0.1:0", "inet:127.0.0.1:0")) << "each gets a port of its own";
  EXPECT_FALSE(same("inet:a:25", "inet:b:25"));
  EXPECT_FALSE(same("unix:/a", "unix:/b"));
  EXPECT_FALSE(same("unix:/a", "inet:a:25"));
}

TEST(CheckDnsServer, TakesAddressesWithAndWithoutPort) {
  for (const char* text :
       {"192.0.2.53", "127.0.0.1:5353", "2001:db8::53", "::1", "[2001:db8::53]:53", "fe80::1%eth0",
        "[fe80::1%eth0]:53", "[::1]", "127.0.0.1:65535", "2001:db8:0:0:0:0:0:53"}) {
    EXPECT_TRUE(check_dns_server(text)) << text;
  }
  for (const char* text :
       {"fe80::1%", "192.0.2.1%eth0", "fe80::1%e th", "", "localhost", "dns.example:53", "192.0.2",
        "192.0.2.53.1", "[192.0.2.1]:53", "[::1", "::1]:53", "[::1]53", "192.0.2.1 ",
        "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "[::1]:", "[::1]:x"}) {
    EXPECT_TRUE(error_of(check_dns_server(text)).starts_with("must be an IP address")) << text;
  }
}

TEST(CheckProxy, TakesHttpUrls) {
  for (const char* text :
       {"", "http://proxy", "http://proxy:3128", "http://proxy.example:3128/", "http://[::1]:3128",
        "http://192.0.2.1:80", "http://me:s3c:ret@proxy:3128"}) {
    EXPECT_TRUE(check_proxy(text)) << text;
  }
  const std::pair<const char*, const char*> rows[] = {
      {"proxy:3128", "must be a URL that begins"},
      {"socks5://proxy", "must be a URL that begins"},
      {"https://proxy:3128", "must be a URL that begins"},
      {"HTTP://proxy", "must be a URL that begins"},
      {"http://", "has no valid host"},
      {"http://:3128", "has no valid host"},
      {"http://::1:3128", "has no valid host"},
      {"http://[::1", "has no valid host"},
      {"http://192.0.2.300", "has no valid host"},
      {"http://proxy/path", "must end after host and port"},
      {"http://pro xy", "must end after host and port"},
      {"http://proxy?x", "must end after host and port"},
      {"http://proxy:0", "the port must be"},
      {"http://proxy:99999", "the port must be"},
      {"http://proxy:", "the port must be"},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_TRUE(error_of(check_proxy(text)).starts_with(expected))
        << text << ": " << error_of(check_proxy(text));
  }
}

TEST(CheckMapName, KeepsToWhatARequestCanName) {
  for (const std::string& text :
       {"postfix"s, "QUERYwithTLSRPT"s, std::string(64, 'x'), "ü"s, "a.b-c"s}) {
    EXPECT_TRUE(check_map_name(text)) << text;
  }
  for (const std::string& text :
       {""s, std::string(65, 'x'), "a b"s, "a\tb"s, "a\nb"s, "a:b"s, "a\0"s}) {
    EXPECT_FALSE(check_map_name(text)) << text;
  }
}

TEST(ParseSocketMode, IsOctal) {
  EXPECT_EQ(*parse_socket_mode("0660"), 0660u);
  EXPECT_EQ(*parse_socket_mode("666"), 0666u);
  EXPECT_EQ(*parse_socket_mode("0777"), 0777u);
  for (const char* text : {"", "66", "0680", "1777", "rw-rw----", "-660", "0x1b0", "0660 "}) {
    EXPECT_FALSE(parse_socket_mode(text)) << text;
  }
}

}  // namespace
}  // namespace mtastsd::config
