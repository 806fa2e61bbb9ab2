#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/result.h"
#include "mtastsd/config/places.h"
#include "mtastsd/log/log.h"
#include "mtastsd/overrides/override.h"
#include "mtastsd/postfix/profile.h"

namespace mtastsd::config {

// Where to listen: "inet:HOST:PORT" ("inet:[::1]:8461") or "unix:/absolute/path".
struct ListenAddress {
  enum class Kind { Inet, Unix };
  Kind kind = Kind::Inet;
  std::string host;  // Inet: IPv4 or IPv6 address or host name, without brackets
  std::uint16_t port = 0;
  std::string path;         // Unix
  std::string str() const;  // as in the file
  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

struct Socketmap {
  std::vector<ListenAddress> listen;    // default: inet:127.0.0.1:8461
  unsigned threads = 1;                 // 1 to 64
  std::size_t max_connections = 10000;  // over all listeners
  unsigned socket_mode = 0660;          // octal text in the file: "0660"
  std::string socket_owner;             // user name; empty: the daemon's
  std::string socket_group;             // group name; empty: the daemon's
  friend bool operator==(const Socketmap&, const Socketmap&) = default;
};

struct Daemon {
  std::string user = "mtastsd";  // whom a daemon that was started as root becomes
  bool observe = false;          // every map only observes: parse() says so to each of them
  friend bool operator==(const Daemon&, const Daemon&) = default;
};

struct Dns {
  std::vector<std::string> servers;  // empty: the system's
  std::string resolv_conf = "/etc/resolv.conf";
  Milliseconds timeout{20000};
  bool trust_ad = false;  // servers that are not on this host say what DNSSEC vouches for
  friend bool operator==(const Dns&, const Dns&) = default;
};

struct Https {
  std::string ca_file;  // empty: the system's
  Milliseconds timeout{60000};
  std::uint16_t port = 443;
  std::string proxy;
  std::vector<IpNetwork> allow_networks;  // of special use, where policy hosts may be nevertheless
  bool allow_local_addresses = false;     // all of these
  std::string ca_directory;               // hashed; instead of ca_file
  std::string proxy_credentials;          // a file with "user:password"
  std::vector<IpAddress> source_address;  // to connect from, at most one of each family
  std::map<DomainName, std::vector<IpAddress>> addresses;  // of policy hosts, instead of DNS
  unsigned threads = 0;  // that fetch, up to 16; 0: one for each processor, at most 4

  // The file or directory of the authorities; empty: the system's file.
  const std::string& ca_path() const { return ca_file.empty() ? ca_directory : ca_file; }
  friend bool operator==(const Https&, const Https&) = default;
};

struct Resolver {
  Milliseconds answer_timeout{20000};  // below Postfix's 100 s
  Seconds recheck_min{60};
  Seconds recheck_max{3600};
  Seconds negative_min{60};
  Seconds negative_max{3600};
  Seconds retry_interval{300};  // after a failed fetch, for the same id
  Seconds refresh_interval{86400};
  Seconds idle_after{30 * 86400};  // a policy that is unused for longer is not refreshed
  friend bool operator==(const Resolver&, const Resolver&) = default;
};

struct Cache {
  std::string directory;  // empty: the first of cache_directories() that is writable
  std::size_t max_size = std::size_t{1} << 30;
  std::size_t max_negative = 100000;  // the number of "no policy" results that are kept
  std::size_t history = 5;            // the versions of each policy that are kept
  friend bool operator==(const Cache&, const Cache&) = default;
};

struct Control {
  std::string socket = kDefaultControlSocket;  // empty: none
  std::string socket_group;                    // group name; empty: the daemon's user only
  friend bool operator==(const Control&, const Control&) = default;
};

struct Alarm {
  std::vector<std::string> command;  // with its arguments; [0] is an absolute path; empty: none
  friend bool operator==(const Alarm&, const Alarm&) = default;
};

// The pages for people and monitoring.
struct Http {
  std::vector<ListenAddress> listen;  // empty: none
  std::string socket_group;           // group name; empty: the daemon's user only
  std::string base_path;              // "/mtasts", or empty
  friend bool operator==(const Http&, const Http&) = default;
};

struct Config {
  Daemon daemon;
  Socketmap socketmap;
  // [maps.NAME] adds to those that are built in (see defaults()), or changes one.
  std::map<std::string, postfix::Profile, std::less<>> maps;
  std::vector<overrides::Override> overrides;  // [override."NAME"], checked; never decided yet
  Dns dns;
  Https https;
  Resolver resolver;
  Cache cache;
  Control control;
  Alarm alarm;
  Http http;
  LogOptions log;
  friend bool operator==(const Config&, const Config&) = default;
};

// One line for each error, first those in the environment ("VARIABLE: sentence"), then those of the
// file in its order ("FILE:LINE: sentence").
struct ConfigError {
  std::string message;
};

// The configuration if there is no file.
Config defaults();

// Environment variables that begin with MTASTSD_, by name. MTASTSD_DNS_TIMEOUT sets timeout in
// [dns], and counts more than the file.
using Environment = std::map<std::string, std::string>;

// Those of this process.
Environment environment();

// Where the settings come from that do not have their defaults, by name ("dns.timeout").
struct Origin {
  std::string value;  // as written; not that of a setting that can hold a password
  std::string place;  // "FILE:LINE", or the variable
};
using Origins = std::map<std::string, Origin>;

// Parses and checks TOML text. `name` is the name of the file in messages. Unknown keys and
// variables, wrong types, values out of range and contradictions (recheck_min above recheck_max)
// are errors. Stores in `origins`, if it is not null.
Result<Config, ConfigError> parse(const std::string& text, const std::string& name,
                                  const Environment& environment = {}, Origins* origins = nullptr);

// Reads the file at `path`, and the environment.
Result<Config, ConfigError> load(const std::string& path, Origins* origins = nullptr);

inline constexpr char kDefaultFile[] = "/etc/mtastsd/mtastsd.toml";

// Loads the file at `path`. If `path` is empty, loads kDefaultFile and sets `path` to it, or only
// reads the environment if that file does not exist.
Result<Config, ConfigError> load_or_defaults(std::string& path, Origins* origins = nullptr);

// "90s", "5m", "24h", "30d", "500ms"; a bare number is an error.
Result<Milliseconds, std::string> parse_duration(std::string_view text);
// "512KiB", "64MiB", "1GiB", "1000B", also "kB", "MB", "GB".
Result<std::size_t, std::string> parse_size(std::string_view text);
Result<ListenAddress, std::string> parse_listen(std::string_view text);

}  // namespace mtastsd::config
