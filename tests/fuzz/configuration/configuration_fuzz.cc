// A configuration file.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "fuzz/require.h"
#include "mtastsd/base/utf8.h"
#include "mtastsd/config/config.h"
#include "values.h"

using namespace mtastsd;
using fuzz::require;

namespace {

constexpr std::string_view kName = "fuzz.toml";

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// "NAME:LINE: sentence", and the line is one of the file's.
void check_error_line(std::string_view line, std::size_t lines) {
  require(line.starts_with(kName) && line.substr(kName.size()).starts_with(':'),
          "each line begins with the file's name");
  line.remove_prefix(kName.size() + 1);
  std::size_t number = 0;
  const auto [end, status] = std::from_chars(line.data(), line.data() + line.size(), number);
  require(status == std::errc() && number >= 1 && number <= lines, "a line of the file");
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  require(line.starts_with(": ") && line.size() > 2, "and what is wrong with it");
  require(std::none_of(line.begin(), line.end(), is_control) && is_utf8(line),
          "no control characters, and text");
}

void check_error(const config::ConfigError& error, std::string_view text) {
  const std::size_t lines = fuzz::count(text, "\n") + 1;
  std::string_view rest = error.message;
  require(!rest.empty(), "something is said");
  for (;;) {
    const std::size_t end = rest.find('\n');
    check_error_line(rest.substr(0, end), lines);
    if (end == std::string_view::npos) {
      return;
    }
    rest.remove_prefix(end + 1);
  }
}

// --- a configuration as a file ----------------------------------------------------------------

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    out += c == '"' || c == '\\' ? "\\" : "";
    out += c;
  }
  return out + "\"";
}

class Writer {
 public:
  void section(const std::string& name) { text_ += "[" + name + "]\n"; }
  void text(const char* key, std::string_view value) { raw(key, quote(value)); }
  void flag(const char* key, bool value) { raw(key, value ? "true" : "false"); }
  void number(const char* key, std::size_t value) { raw(key, std::to_string(value)); }
  void duration(const char* key, Milliseconds value) {
    text(key, std::to_string(value.count()) + "ms");
  }
  void raw(const char* key, const std::string& value) {
    text_ += std::string(key) + " = " + value + "\n";
  }
  const std::string& written() const { return text_; }

 private:
  std::string text_;
};

template <typename Items, typename Shown>
std::string list(const Items& items, const Shown& shown) {
  std::string out = "[";
  for (const auto& item : items) {
    out += quote(shown(item)) + ",";
  }
  return out + "]";
}

void write_services(Writer& w, const config::Config& c) {
  w.section("socketmap");
  w.raw("listen", list(c.socketmap.listen, [](const auto& listen) { return listen.str(); }));
  w.number("threads", c.socketmap.threads);
  w.number("max_connections", c.socketmap.max_connections);
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", c.socketmap.socket_mode);
  w.text("socket_mode", mode);
  w.text("socket_owner", c.socketmap.socket_owner);
  w.text("socket_group", c.socketmap.socket_group);
  w.section("dns");
  w.raw("servers", list(c.dns.servers, [](const std::string& server) { return server; }));
  w.text("resolv_conf", c.dns.resolv_conf);
  w.duration("timeout", c.dns.timeout);
  w.section("https");
  w.text("ca_file", c.https.ca_file);
  w.duration("timeout", c.https.timeout);
  w.number("threads", c.https.threads);
  w.number("port", c.https.port);
  w.text("proxy", c.https.proxy);
  w.raw("allow_networks",
        list(c.https.allow_networks, [](const IpNetwork& network) { return network.str(); }));
  w.flag("allow_local_addresses", c.https.allow_local_addresses);
}

void write_rest(Writer& w, const config::Config& c) {
  w.section("resolver");
  w.duration("answer_timeout", c.resolver.answer_timeout);
  w.duration("recheck_min", c.resolver.recheck_min);
  w.duration("recheck_max", c.resolver.recheck_max);
  w.duration("negative_min", c.resolver.negative_min);
  w.duration("negative_max", c.resolver.negative_max);
  w.duration("retry_interval", c.resolver.retry_interval);
  w.duration("refresh_interval", c.resolver.refresh_interval);
  w.duration("idle_after", c.resolver.idle_after);
  w.section("cache");
  w.text("directory", c.cache.directory);
  w.text("max_size", std::to_string(c.cache.max_size) + "B");
  w.number("max_negative", c.cache.max_negative);
  w.section("alarm");
  w.raw("command", list(c.alarm.command, [](const std::string& word) { return word; }));
  w.section("log");
  const char* const levels[] = {"trace", "debug", "info", "warn", "error"};
  w.text("level", levels[static_cast<std::size_t>(c.log.level)]);
  w.text("format", c.log.format == LogFormat::Json ? "json" : "logfmt");
  w.text("target", c.log.target == LogTarget::Syslog ? "syslog" : "stderr");
  for (const auto& [name, profile] : c.maps) {
    w.section("maps." + quote(name));
    w.text("postfix_version", profile.report_attributes ? "3.10"
                              : profile.servername      ? "3.4"
                                                        : "2.10");
    w.flag("enforce_testing", profile.enforce_testing);
  }
}

void check_config(const config::Config& c) {
  require(!c.socketmap.listen.empty(), "it listens somewhere");
  require(c.resolver.recheck_min <= c.resolver.recheck_max &&
              c.resolver.negative_min <= c.resolver.negative_max,
          "bounds in their order");
  require(c.resolver.answer_timeout < Seconds(100), "Postfix is answered before it gives up");
  for (const char* const name : {"postfix", "QUERY", "QUERYwithTLSRPT"}) {
    require(c.maps.contains(name), "no file takes a built-in map away");
  }
  Writer writer;
  write_services(writer, c);
  write_rest(writer, c);
  const auto again = config::parse(writer.written(), std::string(kName));
  require(again && *again == c, "written out, it reads the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz::as_text(data, size));
  const auto config = config::parse(text, std::string(kName));
  if (config) {
    check_config(*config);
  } else {
    check_error(config.error(), text);
  }
  return 0;
}
