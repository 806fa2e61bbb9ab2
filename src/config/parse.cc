// Reads TOML text and environment variables into a Config. Each key has a row in kKeys or kMapKeys
// that says what its value can be. Whether files, users and addresses exist is not checked here:
// the daemon finds out when it uses them.
#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "keys.h"
#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"
#include "mtastsd/config/config.h"
#include "mtastsd/config/reload.h"
#include "value.h"
#include "values.h"

namespace mtastsd::config {
namespace {

using namespace std::chrono_literals;

constexpr Seconds kYear{366 * 86400};
constexpr std::size_t kMaxAddressesGiven = 16;  // for one policy host
constexpr std::size_t kMaxAlarmWords = 64;

// The addresses in a list, none of them twice.
std::vector<ListenAddress> read_addresses_to_listen(Value& value, std::string_view example) {
  std::vector<ListenAddress> listen;
  value.items_with(example, [&](const std::string& text) {
    return parse_listen(text).and_then([&](ListenAddress address) -> Check {
      const auto same = [&](const ListenAddress& other) { return same_place(address, other); };
      if (std::any_of(listen.begin(), listen.end(), same)) {
        return failure(std::string("is listed twice"));
      }
      listen.push_back(std::move(address));
      return {};
    });
  });
  return listen;
}

void read_listen(Value& value, Config& config) {
  config.socketmap.listen = read_addresses_to_listen(value, "inet:127.0.0.1:8461");
  if (value.is_empty_list()) {
    value.wrong("must name at least one address, for example \"inet:127.0.0.1:8461\"");
  }
}

void read_http_listen(Value& value, Config& config) {
  config.http.listen = read_addresses_to_listen(value, "inet:127.0.0.1:8460");
}

void read_base_path(Value& value, Config& config) {
  value.text_with("/mtasts", [&](const std::string& text) {
    return check_base_path(text).map([&] { config.http.base_path = text; });
  });
}

void read_servers(Value& value, Config& config) {
  config.dns.servers.clear();
  value.items_with("127.0.0.1", [&](const std::string& text) {
    return check_dns_server(text).map([&] { config.dns.servers.push_back(text); });
  });
}

void read_networks(Value& value, Config& config) {
  config.https.allow_networks.clear();
  value.items_with("10.0.0.0/8", [&](const std::string& text) {
    return parse_network(text).map(
        [&](const IpNetwork& network) { config.https.allow_networks.push_back(network); });
  });
}

void read_mode(Value& value, bool& observe) {
  value.one_of<bool>(observe, {{"enforce", false}, {"observe", true}});
}

void read_socket_mode(Value& value, Config& config) {
  value.text_with("0660", [&](const std::string& text) {
    return parse_socket_mode(text).map([&](unsigned mode) { config.socketmap.socket_mode = mode; });
  });
}

void read_proxy(Value& value, Config& config) {
  value.secret_with("http://proxy:3128", [&](const std::string& text) {
    return check_proxy(text).map([&] { config.https.proxy = text; });
  });
}

// One of each family: a connection has one source, and its family is that of the destination.
void read_source_address(Value& value, Config& config) {
  std::vector<IpAddress>& sources = config.https.source_address;
  sources.clear();
  value.items_with("192.0.2.1", [&](const std::string& text) {
    return parse_address(text).and_then([&](const IpAddress& address) -> Check {
      const auto same_family = [&](const IpAddress& other) {
        return other.is_v6() == address.is_v6();
      };
      if (std::any_of(sources.begin(), sources.end(), same_family)) {
        return failure(std::string("is the second address of its family"));
      }
      sources.push_back(address);
      return {};
    });
  });
}

void read_alarm_command(Value& value, Config& config) {
  std::vector<std::string>& command = config.alarm.command;
  command.clear();
  value.items_with("/usr/local/sbin/notify", [&](const std::string& text) -> Check {
    if (command.empty() && !text.starts_with('/')) {
      return failure(
          std::string("must be the absolute path of a program; its arguments follow, "
                      "each an item of its own"));
    }
    if (command.size() == kMaxAlarmWords) {
      return failure("is one of more than " + std::to_string(kMaxAlarmWords) + " words");
    }
    command.push_back(text);
    return {};
  });
}

void read_addresses(Value& value, Config& config) {
  config.https.addresses.clear();
  value.pairs_with("192.0.2.1", [&](const std::string& name, const std::string& text) {
    return parse_address(text).and_then([&](const IpAddress& address) -> Check {
      const auto host = DomainName::parse(name);
      if (!host || !host->view().starts_with("mta-sts.")) {
        return failure("is for " + in_quotes(name) +
                       ", which must be a policy host, for example \"mta-sts.example.com\"");
      }
      std::vector<IpAddress>& addresses = config.https.addresses[*host];
      if (addresses.size() == kMaxAddressesGiven) {
        return failure("is one of more than " + std::to_string(kMaxAddressesGiven) + " of " +
                       in_quotes(name));
      }
      addresses.push_back(address);
      return {};
    });
  });
}

enum class Show : unsigned char { No, Yes };

// Whether the first line that says something begins with a key and a colon. No TOML does.
bool is_yaml(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos || line[begin] == '#' || line.starts_with("---")) {
      continue;
    }
    const auto colon = std::find_if_not(line.begin(), line.end(),
                                        [](char c) { return is_alnum(c) || c == '_' || c == '-'; });
    return colon != line.begin() && colon != line.end() && *colon == ':' &&
           (colon + 1 == line.end() || kBlanks.find(colon[1]) != std::string_view::npos);
  }
  return false;
}

struct Key {
  std::string_view section;
  std::string_view name;
  void (*read)(Value& value, Config& config);
  // For a setting that takes effect only after a restart: whether two configurations agree on it.
  bool (*agree)(const Config& a, const Config& b) = nullptr;
  Show show = Show::Yes;  // No: the value can hold a password
};

template <auto kSection, auto kSetting>
bool restart(const Config& a, const Config& b) {
  return (a.*kSection).*kSetting == (b.*kSection).*kSetting;
}

const std::vector<Key>& keys() {
  static const std::vector<Key> kKeys = {
      {"daemon", "user", [](Value& v, Config& c) { v.text(c.daemon.user); },
       restart<&Config::daemon, &Daemon::user>},
      {"daemon", "mode", [](Value& v, Config& c) { read_mode(v, c.daemon.observe); }},

      {"socketmap", "listen", read_listen, restart<&Config::socketmap, &Socketmap::listen>},
      {"socketmap", "threads", [](Value& v, Config& c) { v.number(c.socketmap.threads, 1, 64); },
       restart<&Config::socketmap, &Socketmap::threads>},
      {"socketmap", "max_connections",
       [](Value& v, Config& c) { v.number(c.socketmap.max_connections, 1, 1'000'000); },
       restart<&Config::socketmap, &Socketmap::max_connections>},
      {"socketmap", "socket_mode", read_socket_mode,
       restart<&Config::socketmap, &Socketmap::socket_mode>},
      {"socketmap", "socket_owner", [](Value& v, Config& c) { v.text(c.socketmap.socket_owner); },
       restart<&Config::socketmap, &Socketmap::socket_owner>},
      {"socketmap", "socket_group", [](Value& v, Config& c) { v.text(c.socketmap.socket_group); },
       restart<&Config::socketmap, &Socketmap::socket_group>},

      {"dns", "servers", read_servers},
      {"dns", "resolv_conf",
       [](Value& v, Config& c) { v.absolute_path(c.dns.resolv_conf, false); }},
      {"dns", "timeout", [](Value& v, Config& c) { v.duration(c.dns.timeout, 100ms, 60s); }},
      {"dns", "trust_ad", [](Value& v, Config& c) { v.flag(c.dns.trust_ad); }},

      {"https", "ca_file", [](Value& v, Config& c) { v.text(c.https.ca_file); },
       restart<&Config::https, &Https::ca_file>},
      {"https", "ca_directory",
       [](Value& v, Config& c) { v.absolute_path(c.https.ca_directory, true); },
       restart<&Config::https, &Https::ca_directory>},
      // RFC 8461 section 3.3 suggests a timeout of one minute.
      {"https", "timeout", [](Value& v, Config& c) { v.duration(c.https.timeout, 1s, 60s); }},
      {"https", "threads", [](Value& v, Config& c) { v.number(c.https.threads, 0, 16); },
       restart<&Config::https, &Https::threads>},
      {"https", "port", [](Value& v, Config& c) { v.number(c.https.port, 1, 65535); },
       restart<&Config::https, &Https::port>},
      {"https", "proxy", read_proxy, restart<&Config::https, &Https::proxy>, Show::No},
      {"https", "proxy_credentials",
       [](Value& v, Config& c) { v.absolute_path(c.https.proxy_credentials, true); },
       restart<&Config::https, &Https::proxy_credentials>},
      {"https", "source_address", read_source_address,
       restart<&Config::https, &Https::source_address>},
      {"https", "addresses", read_addresses},
      {"https", "allow_networks", read_networks},
      {"https", "allow_local_addresses",
       [](Value& v, Config& c) { v.flag(c.https.allow_local_addresses); }},

      {"resolver", "answer_timeout",
       [](Value& v, Config& c) {
         v.duration(c.resolver.answer_timeout, 100ms, 95s, "because Postfix gives up after 100s");
       }},
      {"resolver", "recheck_min",
       [](Value& v, Config& c) { v.duration(c.resolver.recheck_min, 1s, kYear); }},
      {"resolver", "recheck_max",
       [](Value& v, Config& c) { v.duration(c.resolver.recheck_max, 1s, kYear); }},
      {"resolver", "negative_min",
       [](Value& v, Config& c) { v.duration(c.resolver.negative_min, 1s, kYear); }},
      {"resolver", "negative_max",
       [](Value& v, Config& c) { v.duration(c.resolver.negative_max, 1s, kYear); }},
      {"resolver", "retry_interval",
       [](Value& v, Config& c) { v.duration(c.resolver.retry_interval, 1s, kYear); }},
      {"resolver", "refresh_interval",
       [](Value& v, Config& c) { v.duration(c.resolver.refresh_interval, 1s, kYear); }},
      {"resolver", "idle_after",
       [](Value& v, Config& c) { v.duration(c.resolver.idle_after, 1s, 10 * kYear); }},

      {"cache", "directory", [](Value& v, Config& c) { v.absolute_path(c.cache.directory, true); },
       restart<&Config::cache, &Cache::directory>},
      {"cache", "max_size",
       [](Value& v, Config& c) {
         v.size(c.cache.max_size, std::size_t{1} << 20, std::size_t{1} << 40);
       },
       restart<&Config::cache, &Cache::max_size>},
      {"cache", "max_negative",
       [](Value& v, Config& c) { v.number(c.cache.max_negative, 0, 1'000'000'000); },
       restart<&Config::cache, &Cache::max_negative>},
      {"cache", "history", [](Value& v, Config& c) { v.number(c.cache.history, 0, 50); },
       restart<&Config::cache, &Cache::history>},

      {"control", "socket", [](Value& v, Config& c) { v.absolute_path(c.control.socket, true); },
       restart<&Config::control, &Control::socket>},
      {"control", "socket_group", [](Value& v, Config& c) { v.text(c.control.socket_group); },
       restart<&Config::control, &Control::socket_group>},

      {"alarm", "command", read_alarm_command, restart<&Config::alarm, &Alarm::command>},

      {"http", "listen", read_http_listen, restart<&Config::http, &Http::listen>},
      {"http", "socket_group", [](Value& v, Config& c) { v.text(c.http.socket_group); },
       restart<&Config::http, &Http::socket_group>},
      {"http", "base_path", read_base_path, restart<&Config::http, &Http::base_path>},

      {"log", "level",
       [](Value& v, Config& c) {
         v.one_of<LogLevel>(c.log.level, {{"debug", LogLevel::Debug},
                                          {"info", LogLevel::Info},
                                          {"warn", LogLevel::Warn},
                                          {"error", LogLevel::Error}});
       }},
      {"log", "format",
       [](Value& v, Config& c) {
         v.one_of<LogFormat>(c.log.format,
                             {{"logfmt", LogFormat::Logfmt}, {"json", LogFormat::Json}});
       },
       restart<&Config::log, &LogOptions::format>},
      {"log", "target",
       [](Value& v, Config& c) {
         v.one_of<LogTarget>(c.log.target,
                             {{"stderr", LogTarget::Stderr}, {"syslog", LogTarget::Syslog}});
       },
       restart<&Config::log, &LogOptions::target>},
  };
  return kKeys;
}

std::string full_name(const Key& key) {
  return std::string(key.section) + "." + std::string(key.name);
}

struct MapKey {
  std::string_view name;
  void (*read)(Value& value, postfix::Profile& profile);
  Show show = Show::Yes;
};

void read_postfix_version(Value& value, postfix::Profile& profile) {
  value.text_with("3.7", [&](const std::string& text) -> Check {
    const auto found = postfix::profile_for_postfix(text);
    if (!found) {
      return failure(
          std::string("must be a Postfix version, \"2.10\" or later, for example \"3.7\""));
    }
    profile.report_attributes = found->report_attributes;
    profile.servername = found->servername;
    return {};
  });
}

const std::vector<MapKey>& map_keys() {
  static const std::vector<MapKey> kMapKeys = {
      {"postfix_version", read_postfix_version},
      {"enforce_testing",
       [](Value& v, postfix::Profile& profile) { v.flag(profile.enforce_testing); }},
      {"dane", [](Value& v, postfix::Profile& profile) { v.flag(profile.dane); }},
      {"mode", [](Value& v, postfix::Profile& profile) { read_mode(v, profile.observe); }},
  };
  return kMapKeys;
}

constexpr std::string_view kMaps = "maps";

// An override as its section gives it.
struct Draft {
  overrides::Override one;
  bool has_action = false;
  bool permanent = false;
};

struct OverrideKey {
  std::string_view name;
  void (*read)(Value& value, Draft& draft);
  Show show = Show::Yes;
};

void read_mx(Value& value, Draft& draft) {
  value.items_with("mail.example.com", [&](const std::string& text) -> Check {
    const auto pattern = mtasts::MxPattern::parse(text);
    if (!pattern) {
      return failure(std::string("must be a host name, or \"*.\" and a domain name"));
    }
    draft.one.mx.push_back(*pattern);
    return {};
  });
}

const std::vector<OverrideKey>& override_keys() {
  static const std::vector<OverrideKey> kOverrideKeys = {
      {"action",
       [](Value& v, Draft& draft) {
         using overrides::Action;
         draft.has_action = true;
         v.one_of<Action>(draft.one.action, {{"ignore", Action::Ignore},
                                             {"testing", Action::Testing},
                                             {"pin", Action::Pin},
                                             {"dane", Action::Dane}});
       }},
      {"mx", read_mx},
      {"reason", [](Value& v, Draft& draft) { v.text(draft.one.reason); }},
      {"until", [](Value& v, Draft& draft) { v.until(draft.one.until); }},
      {"permanent", [](Value& v, Draft& draft) { v.flag(draft.permanent); }},
  };
  return kOverrideKeys;
}

// The error is a sentence without its subject.
Check check_draft(const Draft& draft) {
  if (!draft.has_action) {
    return failure(std::string("needs an action: \"ignore\", \"testing\", \"pin\" or \"dane\""));
  }
  if (draft.one.until && draft.permanent) {
    return failure(std::string("cannot be permanent and have an end"));
  }
  if (!draft.one.until && !draft.permanent) {
    return failure(std::string(
        "needs an end: until = a date such as 2027-01-15, or permanent = true if it has none"));
  }
  return overrides::check(draft.one);
}

constexpr std::string_view kOverride = "override";

std::vector<std::string> section_names() {
  std::vector<std::string> names = {std::string(kMaps), std::string(kOverride)};
  for (const Key& key : keys()) {
    if (names.back() != key.section) {
      names.emplace_back(key.section);
    }
  }
  return names;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string_view open, std::string_view close) {
  const auto found = nearest(word, candidates);
  if (!found) {
    return "";
  }
  return "; did you mean " + std::string(open) + *found + std::string(close) + "?";
}

// As it stands in the file, on one line.
std::string written(const toml::node& node) {
  std::ostringstream text;
  text << toml::toml_formatter(node, toml::format_flags::none);
  std::istringstream lines(text.str());
  std::string joined;
  for (std::string line; std::getline(lines, line);) {
    line.erase(0, line.find_first_not_of(' '));
    joined += (joined.empty() ? "" : " ") + line;
  }
  return printable(joined);
}

// Reads one document, whose file is called `name`, and the environment. Tables are sorted by key,
// so errors are sorted at the end.
class Reader {
 public:
  Reader(const std::string& name, Config& config, Origins& origins, Errors& errors)
      : name_(name), config_(config), origins_(origins), errors_(errors) {}

  void read(const toml::table& document) {
    const std::vector<std::string> sections = section_names();
    for (const auto& [key, node] : document) {
      const std::string name(key.str());
      if (std::find(sections.begin(), sections.end(), name) == sections.end()) {
        unknown_at_top(key, node, sections);
      } else if (const toml::table* table = as_section(key, node, name)) {
        if (name == kMaps) {
          read_maps(*table);
        } else if (name == kOverride) {
          read_overrides(*table);
        } else {
          read_section(name, *table);
        }
      }
    }
  }

  void read(const Environment& environment) {
    std::vector<std::string> names;
    for (const Key& key : keys()) {
      names.push_back(variable_for(full_name(key)));
    }
    for (const auto& [name, text] : environment) {
      const auto place = std::find(names.begin(), names.end(), name);
      if (place == names.end()) {
        unknown_variable(name, names);
        continue;
      }
      const Key& key = keys()[static_cast<std::size_t>(place - names.begin())];
      const toml::value<std::string> node(text);
      Value value(node, name, errors_);
      key.read(value, config_);
      note(full_name(key), 0, node, key.show, name);
    }
  }

  void check_contradictions() {
    const Resolver& resolver = config_.resolver;
    check_order("resolver.recheck_min", resolver.recheck_min, "resolver.recheck_max",
                resolver.recheck_max);
    check_order("resolver.negative_min", resolver.negative_min, "resolver.negative_max",
                resolver.negative_max);
    if (!config_.https.ca_file.empty() && !config_.https.ca_directory.empty()) {
      errors_.add(lines_["https.ca_directory"],
                  "https.ca_directory: must be empty where https.ca_file names the authorities");
    }
    for (const ListenAddress& page : config_.http.listen) {
      const std::vector<ListenAddress>& taken = config_.socketmap.listen;
      if (std::any_of(taken.begin(), taken.end(),
                      [&](const ListenAddress& other) { return same_place(page, other); })) {
        errors_.add(lines_["http.listen"],
                    "http.listen: " + in_quotes(page.str()) + " is where Postfix asks");
      }
    }
  }

 private:
  // A variable that is like no setting was made by somebody else, and must not keep the daemon from
  // starting: Kubernetes sets MTASTSD_PORT where a service has this name.
  void unknown_variable(const std::string& name, const std::vector<std::string>& names) {
    const std::vector<std::string> sections = section_names();
    const bool of_a_section = std::any_of(
        sections.begin(), sections.end(),
        [&](const std::string& section) { return name.starts_with(variable_for(section) + "_"); });
    if (!of_a_section && !nearest(name, names)) {
      return;
    }
    std::string what = "there is no such setting" + did_you_mean(name, names, "", "");
    if (name.starts_with(variable_for(kMaps) + "_")) {
      what = "maps can be set in the file only, in [maps.NAME]";
    } else if (name.starts_with(variable_for(kOverride) + "_")) {
      what = "overrides can be set in the file only, in [override.\"NAME\"]";
    }
    errors_.add(0, printable(name) + ": " + what);
  }

  // Remembers where a setting is from; `line` is 0 for the environment.
  void note(const std::string& setting, std::size_t line, const toml::node& node, Show show,
            const std::string& place) {
    lines_[setting] = line;
    origins_[setting] = {show == Show::Yes ? written(node) : "(not shown)", place};
  }

  static std::size_t line_of(const toml::key& key, const toml::node& node) {
    const auto line = key.source().begin.line;
    return line != 0 ? line : node.source().begin.line;
  }

  // Returns the node as a table, or adds an error that says how to write its section.
  const toml::table* as_section(const toml::key& key, const toml::node& node,
                                const std::string& section) {
    if (const toml::table* table = node.as_table()) {
      return table;
    }
    const std::string header = section == kMaps       ? "maps.NAME"
                               : section == kOverride ? "override.\"NAME\""
                                                      : section;
    errors_.add(
        line_of(key, node),
        in_quotes(key.str()) + " must be a section, which begins with one line [" + header + "]");
    return nullptr;
  }

  void unknown_at_top(const toml::key& key, const toml::node& node,
                      const std::vector<std::string>& sections) {
    const std::string name(key.str());
    if (node.is_table() || node.is_array_of_tables()) {
      errors_.add(line_of(key, node),
                  "unknown section " + in_quotes(name) + did_you_mean(name, sections, "[", "]"));
    } else {
      errors_.add(line_of(key, node), "the key " + in_quotes(name) + " is in no section" +
                                          home_of(name, "; it belongs in "));
    }
  }

  // The sections that have this key.
  static std::string home_of(std::string_view name, std::string_view lead) {
    std::string homes;
    for (const Key& key : keys()) {
      if (key.name != name) {
        continue;
      }
      homes += (homes.empty() ? "[" : " or [") + std::string(key.section) + "]";
    }
    return homes.empty() ? "" : std::string(lead) + homes;
  }

  void read_section(const std::string& section, const toml::table& table) {
    std::vector<Key> rows;
    std::copy_if(keys().begin(), keys().end(), std::back_inserter(rows),
                 [&](const Key& key) { return key.section == section; });
    read_keys(table, section, rows, config_);
  }

  template <typename Row, typename Target>
  void read_keys(const toml::table& table, const std::string& section, const std::vector<Row>& rows,
                 Target& target) {
    std::vector<std::string> names;
    for (const Row& row : rows) {
      names.emplace_back(row.name);
    }
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const std::size_t line = line_of(key, node);
      const auto place = std::find(names.begin(), names.end(), name);
      if (place == names.end()) {
        const std::string hint = did_you_mean(name, names, "\"", "\"");
        errors_.add(line, "unknown key " + in_quotes(name) + " in [" + section + "]" +
                              (hint.empty() ? home_of(name, "; there is one in ") : hint));
        continue;
      }
      const std::string full = section + "." + name;
      const Row& row = rows[static_cast<std::size_t>(place - names.begin())];
      Value value(node, full, line, errors_);
      row.read(value, target);
      note(full, line, node, row.show, name_ + ":" + std::to_string(line));
    }
  }

  void read_maps(const toml::table& table) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (auto checked = check_map_name(name); !checked) {
        errors_.add(line_of(key, node), "[maps." + in_quotes(name) + "]: " + checked.error());
      } else if (const toml::table* map = as_section(key, node, std::string(kMaps))) {
        // A built-in map keeps the settings that its section does not mention.
        read_keys(*map, "maps." + name, map_keys(), config_.maps[name]);
      }
    }
  }

  void read_overrides(const toml::table& table) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const std::size_t line = line_of(key, node);
      const std::string section = "override." + in_quotes(name);
      const auto scope = overrides::Scope::parse(name);
      if (!scope) {
        errors_.add(line, "[" + section +
                              "]: the name must be a domain in quotes, such as "
                              "\"partner.example\", or \"*.partner.example\" for all domains "
                              "below it");
        continue;
      }
      const toml::table* keys = as_section(key, node, std::string(kOverride));
      if (keys == nullptr) {
        continue;
      }
      const auto inner = std::find_if(keys->begin(), keys->end(),
                                      [](const auto& each) { return each.second.is_table(); });
      if (inner != keys->end()) {
        const std::string whole = name + "." + std::string(inner->first.str());
        errors_.add(line, "[override." + printable(whole) +
                              "]: a name with dots stands in quotes: [override." +
                              in_quotes(whole) + "]");
        continue;
      }
      Draft draft{.one = {.scope = *scope}};
      read_keys(*keys, section, override_keys(), draft);
      if (!errors_.empty()) {
        continue;  // what is missing may be what is wrong
      }
      if (const auto good = check_draft(draft); !good) {
        errors_.add(line, "[" + section + "] " + good.error());
      } else {
        add_override(std::move(draft.one), line, section);
      }
    }
  }

  void add_override(overrides::Override one, std::size_t line, const std::string& section) {
    std::vector<overrides::Override>& all = config_.overrides;
    if (std::any_of(all.begin(), all.end(),
                    [&](const auto& other) { return other.scope == one.scope; })) {
      errors_.add(line, "[" + section + "] is there twice, spelt differently");
      return;
    }
    all.push_back(std::move(one));
    if (const auto fit = overrides::check_number(all); !fit) {
      errors_.add(line, "[" + section + "]: " + fit.error());
    }
  }

  void check_order(const std::string& low_name, Seconds low, const std::string& high_name,
                   Seconds high) {
    if (low <= high) {
      return;
    }
    const std::string sentence =
        described(low_name, low) + " must not be more than " + described(high_name, high);
    errors_.add(std::max(lines_[low_name], lines_[high_name]), sentence);
  }

  std::string described(const std::string& name, Seconds value) const {
    return name + " (" + format_duration(value) + (lines_.contains(name) ? ")" : ", the default)");
  }

  const std::string& name_;
  Config& config_;
  Origins& origins_;
  Errors& errors_;
  std::map<std::string, std::size_t> lines_;  // of the settings; 0 for those of the environment
};

}  // namespace

std::vector<KnownKey> known_keys() {
  std::vector<KnownKey> known;
  for (const Key& key : keys()) {
    known.push_back({full_name(key), key.agree != nullptr});
  }
  for (const MapKey& key : map_keys()) {
    known.push_back({"maps.NAME." + std::string(key.name)});
  }
  for (const OverrideKey& key : override_keys()) {
    known.push_back({"override.NAME." + std::string(key.name)});
  }
  return known;
}

std::vector<std::string> settings_that_need_restart(const Config& running, const Config& next) {
  std::vector<std::string> settings;
  for (const Key& key : keys()) {
    if (key.agree != nullptr && !key.agree(running, next)) {
      settings.push_back(full_name(key));
    }
  }
  return settings;
}

std::string variable_for(std::string_view key) {
  std::string name = kVariablePrefix;
  for (const char c : key) {
    name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

Result<Config, ConfigError> parse(const std::string& text, const std::string& name,
                                  const Environment& environment, Origins* origins) {
  Config config = defaults();
  Origins found;
  Errors errors;
  Reader reader(name, config, found, errors);
  try {
    reader.read(toml::parse(text, name));
  } catch (const toml::parse_error& error) {
    errors.add(error.source().begin.line,
               is_yaml(text)
                   ? "this is YAML, as the configurations of postfix-mta-sts-resolver and "
                     "postfix-tlspol are. mtastsd reads TOML: contrib/migrate turns theirs into one"
                   : "not valid TOML: " + printable(error.description()));
  }
  reader.read(environment);
  if (errors.empty()) {
    reader.check_contradictions();
  }
  if (!errors.empty()) {
    return failure(ConfigError{errors.joined(name)});
  }
  for (auto& [map, profile] : config.maps) {
    profile.observe = profile.observe || config.daemon.observe;
  }
  if (origins != nullptr) {
    *origins = std::move(found);
  }
  return config;
}

}  // namespace mtastsd::config
