#include "mtastsd/doctor/gather.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <utility>

#include "daemon_config.h"
#include "listener_owner.h"
#include "mtastsd/config/places.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/doctor/findings.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mtastsd/socketmap/client.h"
#include "mtastsd/term/terminal.h"
#include "postconf.h"
#include "probe.h"
#include "program.h"
#include "remedy.h"
#include "socket_probe.h"
#include "tables.h"
#include "units.h"

namespace mtastsd::doctor {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kToolLimit{10000};
constexpr milliseconds kDnsLimit{3000};
constexpr milliseconds kDnsTick{20};
// This is a parent key, which mtastsd answers at once, without a lookup.
constexpr char kKey[] = ".mtastsctl-doctor.invalid";
constexpr char kMapName[] = "postfix";
// This one has to be looked up, and there is no such domain (RFC 6761 section 6.4).
constexpr char kImpossible[] = "mtastsctl-doctor.invalid";
constexpr Seconds kSelfTestLimit{6};
// Longer than mtastsd lets a query wait by default.
constexpr Seconds kOnlineLimit{25};
// Ports from the default one on that mtastsd may use if it cannot have its own.
constexpr int kSparePorts = 10;
// More tables than any list has; the rest is not asked.
constexpr std::size_t kMaxTables = 32;

constexpr std::array kParameters = {
    "compatibility_level",
    "config_directory",
    "default_process_limit",
    "default_transport",
    "disable_dns_lookups",
    "ignore_mx_lookup_error",
    "mail_owner",
    "proxy_read_maps",
    "queue_directory",
    "relayhost",
    "sender_dependent_default_transport_maps",
    "sender_dependent_relayhost_maps",
    "smtp_dns_support_level",
    "smtp_enforce_tls",
    "smtp_fallback_relay",
    "smtp_tls_CAfile",
    "smtp_tls_CApath",
    "smtp_tls_ciphers",
    "smtp_tls_dane_insecure_mx_policy",
    "smtp_tls_enforce_sts_mx_patterns",
    "smtp_tls_exclude_ciphers",
    "smtp_tls_fingerprint_cert_match",
    "smtp_tls_loglevel",
    "smtp_tls_mandatory_ciphers",
    "smtp_tls_mandatory_exclude_ciphers",
    "smtp_tls_mandatory_protocols",
    "smtp_tls_per_site",
    "smtp_tls_policy_maps",
    "smtp_tls_protocols",
    "smtp_tls_security_level",
    "smtp_tls_trust_anchor_file",
    "smtp_tlsrpt_enable",
    "smtp_use_tls",
    "tls_append_default_CA",
    "tls_export_cipherlist",
    "tls_high_cipherlist",
    "tls_low_cipherlist",
    "tls_medium_cipherlist",
    "transport_maps",
};
// Those whose default is a remedy.
constexpr std::array kWithDefault = {
    "smtp_tls_mandatory_protocols", "smtp_tls_protocols", "tls_export_cipherlist",
    "tls_high_cipherlist",          "tls_low_cipherlist", "tls_medium_cipherlist",
};

// What a tool said last: the ones before are warnings, or the same in other words.
std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  const std::size_t begin = text.rfind('\n');
  return begin == std::string::npos ? text : text.substr(begin + 1);
}

// What a tool says before it gives up. Warnings are about other things.
std::string first_complaint(const std::string& errors) {
  std::istringstream lines(errors);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.find(": warning: ") == std::string::npos) {
      // "postmap: fatal: open database ..."
      const std::size_t program = line.find(": ");
      const std::size_t kind = line.find(": ", program + 1);
      const std::size_t begin = kind == std::string::npos ? program : kind;
      return begin == std::string::npos ? line : line.substr(begin + 2);
    }
  }
  return "";
}

// True if postmap(1) makes tables of the type from a text.
bool is_built(std::string_view type) {
  constexpr std::array<std::string_view, 6> kBuilt = {"btree", "cdb",  "dbm",
                                                      "hash",  "lmdb", "sdbm"};
  return std::find(kBuilt.begin(), kBuilt.end(), type) != kBuilt.end();
}

bool is_regular_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

// One run of doctor: what the tools have said so far.
class Gatherer {
 public:
  Gatherer(const Where& where, term::Progress& progress) : where_(where), progress_(progress) {}

  Result<Facts, std::string> run() {
    facts_.root = ::geteuid() == 0;
    facts_.systemd = ::access("/run/systemd/system", F_OK) == 0;
    if (!where_.postfix_config.empty()) {
      facts_.postfix_option = " -c " + where_.postfix_config;
    }
    auto read = read_postfix();
    if (!read) {
      return failure(std::move(read.error()));
    }
    read_daemon_configuration();
    look_at_listeners();
    for (const SmtpService& service : facts_.services) {
      look_at(service);
    }
    look_at_dns(any_map_does_dane(facts_));
    ask_questions();
    look_at_units();
    timex clock{};
    facts_.clock_unsynchronised = ::adjtimex(&clock) == TIME_ERROR;
    return std::move(facts_);
  }

 private:
  // Runs a tool of Postfix on the configuration that is examined.
  Result<Ended, std::string> run_tool(const char* name, std::vector<std::string> arguments) {
    progress_.tick();
    if (!where_.postfix_config.empty()) {
      arguments.insert(arguments.begin(), {"-c", where_.postfix_config});
    }
    arguments.insert(arguments.begin(), name);
    return run_program({std::move(arguments), "", kToolLimit});
  }

  Result<Ended, std::string> postconf(std::vector<std::string> arguments) {
    auto ended = run_tool("postconf", std::move(arguments));
    if (!ended) {
      return failure(ended.error() +
                     "; doctor looks at a Postfix on this machine: install one, or run this "
                     "where it is");
    }
    if (ended->status == 0) {
      return std::move(*ended);
    }
    const std::string said = last_line(ended->errors);
    const bool denied = said.find("Permission denied") != std::string::npos;
    return failure((said.empty() ? "postconf failed" : said) +
                   (denied ? "; run this as root"
                           : "; put that right, or name Postfix's directory with "
                             "--postfix-config DIR"));
  }

  Result<void, std::string> read_postfix() {
    std::vector<std::string> names = {"-x"};
    names.insert(names.end(), kParameters.begin(), kParameters.end());
    std::vector<std::string> with_default = {"-d"};
    with_default.insert(with_default.end(), kWithDefault.begin(), kWithDefault.end());
    const std::vector<std::string> questions[] = {{"-d", "-h", "mail_version"},
                                                  std::move(names),
                                                  {"-m"},
                                                  {"-F"},
                                                  {"-P", "-x"},
                                                  std::move(with_default),
                                                  {"-n"}};
    std::vector<std::string> said;
    std::string errors;
    for (const auto& arguments : questions) {
      auto output = postconf(arguments);
      if (!output) {
        return failure(std::move(output.error()));
      }
      said.push_back(std::move(output->output));
      errors = std::move(output->errors);  // the last one reads all of main.cf
    }
    facts_.version = said[0].substr(0, said[0].find('\n'));
    facts_.main = parse_parameters(said[1]);
    facts_.config_directory = facts_.main_value("config_directory");
    std::istringstream types(said[2]);
    for (std::string type; std::getline(types, type);) {
      facts_.types.insert(type);
    }
    facts_.has_socketmap = facts_.types.count("socketmap") != 0;
    // Since compatibility level 1 a "-" in master.cf means that a service is not chrooted.
    const int level = std::atoi(std::string(facts_.main_value("compatibility_level")).c_str());
    Master master = parse_master(said[3], said[4], level < 1);
    facts_.services = std::move(master.smtp);
    facts_.other_services = std::move(master.others);
    facts_.proxymap_chroot = master.proxymap_chroot;
    facts_.defaults = parse_parameters(said[5]);
    Warnings warnings = parse_warnings(errors);
    facts_.twice = std::move(warnings.twice);
    facts_.unknown = std::move(warnings.unknown);
    return {};
  }

  void read_daemon_configuration() {
    facts_.config_path = where_.daemon_config;
    auto loaded = config::load_or_defaults(facts_.config_path);
    if (loaded) {
      facts_.daemon = std::move(*loaded);
    } else {
      facts_.daemon = config::defaults();
      facts_.config_error = loaded.error().message;
      std::ifstream file(facts_.config_path);
      Repaired repaired = without_wrong_lines(
          {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
      if (!repaired.lines.empty()) {
        facts_.config_lines = std::move(repaired.lines);
        facts_.daemon = std::move(repaired.config);
      }
    }
    const std::string& user = facts_.daemon.daemon.user;
    facts_.daemon_user = ::getpwnam(user.c_str()) != nullptr ? user : "";
    const passwd* postfix = ::getpwnam(std::string(facts_.main_value("mail_owner")).c_str());
    const group* members = postfix != nullptr ? ::getgrgid(postfix->pw_gid) : nullptr;
    if (members != nullptr) {
      facts_.mail_group = members->gr_name;
    }
  }

  // Whether mtastsd is where its configuration says, or could be.
  void look_at_listeners() {
    for (const config::ListenAddress& address : facts_.daemon.socketmap.listen) {
      progress_.tick();
      Listener& found = facts_.listeners[address.str()];
      const TableAnswer answer = ask_server(address, kMapName, kKey);
      const auto owner = owner_of(address);
      const bool stranger = owner && is_stranger(*owner);
      found.answers = !stranger && ((answer.good && answer.everything.empty()) || answer.hidden);
      if (!found.answers) {
        found = try_to_listen(address);
        // A port is not taken by another if it is mtastsd itself that does not answer.
        if (found.error == EADDRINUSE && owner && is_daemons(*owner)) {
          found.error = 0;
        }
      }
      look_at_socket(address);
    }
    for (int i = 0; i < kSparePorts && try_to_listen(facts_.spare_listen).error != 0; ++i) {
      ++facts_.spare_listen.port;
    }
  }

  // The user whose process listens there.
  static std::optional<uid_t> owner_of(const config::ListenAddress& address) {
    const bool unix = address.kind == config::ListenAddress::Kind::Unix;
    return listener_owner({unix ? Socketmap::Kind::Unix : Socketmap::Kind::Inet, address.host,
                           std::to_string(address.port), address.path, ""},
                          address.path);
  }

  // Whether Postfix may connect to a unix socket in mtastsd's configuration.
  void look_at_socket(const config::ListenAddress& address) {
    if (!facts_.root || address.kind != config::ListenAddress::Kind::Unix) {
      return;
    }
    const std::string below = queue() + "/";
    for (const SmtpService& service : facts_.services) {
      const bool inside = address.path.starts_with(below);
      const std::string path = inside ? address.path.substr(below.size()) : address.path;
      if (inside || !service.chroot) {
        try_once(path, service.chroot);
      }
    }
  }

  void try_once(const std::string& path, bool chroot) {
    if (facts_.sockets.count({path, chroot}) == 0) {
      const SmtpProcess process{std::string(facts_.main_value("mail_owner")), queue(), chroot};
      facts_.sockets[{path, chroot}] = try_socket(process, path);
    }
  }

  std::string queue() const { return std::string(facts_.main_value("queue_directory")); }

  void look_at(const SmtpService& service) {
    for (const Table& table : parse_tables(value_for(facts_, service, "smtp_tls_policy_maps"))) {
      if (facts_.tables.size() < kMaxTables) {
        look_at_table(table, in_chroot(facts_, service, table.proxied));
      }
    }
    const std::string file(value_for(facts_, service, "smtp_tls_CAfile"));
    if (!file.empty() && facts_.ca_files.count(file) == 0) {
      facts_.ca_files[file] = look_at_ca_file(file);
    }
    const std::string path(value_for(facts_, service, "smtp_tls_CApath"));
    if (!path.empty() && facts_.ca_paths.count({path, service.chroot}) == 0) {
      facts_.ca_paths[{path, service.chroot}] =
          look_at_ca_path(service.chroot ? queue() : "", path);
    }
  }

  void look_at_dns(bool dane) {
    event::Loop loop;
    const SystemClock clock;
    Log log = Log::null();
    const config::Dns& settings = facts_.daemon.dns;
    const auto dns = dns::AresClient::make(loop, clock, log,
                                           {.servers = settings.servers,
                                            .resolv_conf = settings.resolv_conf,
                                            .timeout = kDnsLimit,
                                            .trust_ad = settings.trust_ad,
                                            .probe_dnssec = dane});
    const SteadyTime begin = clock.steady();
    const SteadyTime until = begin + kDnsLimit;
    bool answered = false;
    facts_.dns = DnsTrial{"no answer within 3 s", kDnsLimit};
    const auto query =
        dns->txt(std::string("_mta-sts.") + kImpossible, [&](const dns::TxtAnswer& answer) {
          answered = true;
          facts_.dns->took = std::chrono::duration_cast<Milliseconds>(clock.steady() - begin);
          facts_.dns->error = answer ? "" : dns::describe(answer.error());
        });
    std::unique_ptr<event::Timer> timer;
    timer = loop.make_timer([&] {
      progress_.tick();
      const auto health = dns->health();
      const bool known = !dane || std::all_of(health.begin(), health.end(), [](const auto& server) {
        return server.validates.has_value();
      });
      if (clock.steady() >= until || (answered && known)) {
        loop.stop();
      }
      timer->arm(kDnsTick);
    });
    timer->arm(kDnsTick);
    loop.run();
    for (const auto& server : dns->health()) {
      facts_.resolvers.push_back({server.server, server.trusted, server.validates});
    }
  }

  // By the first table that leads to mtastsd.
  void ask_questions() {
    for (const SmtpService& service : facts_.services) {
      const auto tables = parse_tables(value_for(facts_, service, kMaps));
      const std::size_t at = find_mtastsd(facts_, service, tables);
      if (at == tables.size()) {
        continue;
      }
      const bool chroot = in_chroot(facts_, service, tables[at].proxied);
      const auto answer = facts_.tables.find({tables[at].text, chroot});
      const auto server = address_of(*tables[at].socketmap, chroot);
      if (server && answer != facts_.tables.end() && answer->second.good) {
        facts_.impossible = question(tables[at], *server, kImpossible, kSelfTestLimit);
        if (!where_.online_domain.empty()) {
          facts_.online = question(tables[at], *server, where_.online_domain, kOnlineLimit);
        }
        return;
      }
    }
    if (!where_.online_domain.empty()) {
      facts_.online = Question{
          where_.online_domain, std::string(kMaps), "", "no table of Postfix leads to it", {}};
    }
  }

  Question question(const Table& table, const config::ListenAddress& server,
                    const std::string& domain, Seconds limit) {
    Question one{domain, table.str(), "", "", {}};
    const auto begin = std::chrono::steady_clock::now();
    auto client = socketmap::Client::connect(server, limit);
    if (!client) {
      one.error = client.error();
      return one;
    }
    const auto reply = client->send(table.socketmap->name, domain).and_then([&] {
      return client->receive([this] { progress_.tick(); });
    });
    one.took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begin);
    (reply ? one.reply : one.error) = reply ? *reply : reply.error();
    return one;
  }

  void look_at_units() {
    if (!facts_.systemd) {
      return;
    }
    const auto ended =
        run_program({{"systemctl", "show", "mtastsd.service", "mtastsd.socket",
                      "mtastsd-unix.socket", "--property=Id,LoadState,ActiveState,UnitFileState"},
                     "",
                     kToolLimit});
    if (ended && ended->status == 0) {
      facts_.units = parse_units(ended->output);
    }
  }

  void look_at_table(const Table& table, bool chroot) {
    const Place place{table.text, chroot};
    if (facts_.tables.count(place) != 0) {
      return;
    }
    facts_.tables[place] = ask(table, chroot);
    if (table.socketmap) {
      look_for_stranger(place, *table.socketmap);
    }
    if (!facts_.root || !table.socketmap || table.socketmap->kind != Socketmap::Kind::Unix) {
      return;
    }
    try_once(table.socketmap->path, chroot);
  }

  void look_for_stranger(const Place& place, const Socketmap& map) {
    const auto owner = listener_owner(map, real_path(map.path, place.second, queue()));
    if (!owner || !is_stranger(*owner)) {
      return;
    }
    const passwd* entry = ::getpwuid(*owner);
    facts_.strangers[place] = entry != nullptr ? entry->pw_name : std::to_string(*owner);
  }

  bool is_stranger(uid_t user) const {
    return user != 0 && user != ::geteuid() && !is_daemons(user);
  }

  // mtastsd's user is the one in its configuration, or, as systemd makes one up, the owner of its
  // cache.
  bool is_daemons(uid_t user) const {
    const passwd* entry = ::getpwnam(facts_.daemon.daemon.user.c_str());
    const std::string& configured = facts_.daemon.cache.directory;
    struct stat cache {};
    return (entry != nullptr && entry->pw_uid == user) ||
           (::stat((configured.empty() ? config::find_cache_directory() : configured).c_str(),
                   &cache) == 0 &&
            cache.st_uid == user);
  }

  TableAnswer ask(const Table& table, bool chroot) {
    if (table.socketmap) {
      return ask_socketmap(*table.socketmap, chroot);
    }
    const auto ended = run_tool("postmap", {"-q", kKey, table.text});
    if (!ended) {
      return {false, ended.error()};
    }
    const std::string complaint = first_complaint(ended->errors);
    TableAnswer answer;
    answer.good = complaint.empty() && (ended->status == 0 || ended->status == 1);
    answer.reason = complaint.empty() ? "postmap ended with status " + std::to_string(ended->status)
                                      : complaint;
    answer.everything = ended->status == 0 ? last_line(ended->output) : "";
    answer.hidden = !facts_.root && complaint.find("Permission denied") != std::string::npos;
    answer.has_source =
        is_built(table.type) && is_regular_file(table.text.substr(table.type.size() + 1));
    return answer;
  }

  // Where the table leads; nullopt if its port is no number.
  std::optional<config::ListenAddress> address_of(const Socketmap& map, bool chroot) const {
    config::ListenAddress server;
    if (map.kind == Socketmap::Kind::Unix) {
      server.kind = config::ListenAddress::Kind::Unix;
      server.path = real_path(map.path, chroot, queue());
      return server;
    }
    server.host = map.host;
    const char* end = map.port.data() + map.port.size();
    const auto [rest, error] = std::from_chars(map.port.data(), end, server.port);
    return rest == end && error == std::errc{} ? std::optional(server) : std::nullopt;
  }

  TableAnswer ask_socketmap(const Socketmap& map, bool chroot) const {
    const auto server = address_of(map, chroot);
    if (!server) {
      return {false, "\"" + map.port + "\" is no port number"};
    }
    TableAnswer answer = ask_server(*server, map.name, kKey);
    answer.elsewhere = answer.good && map.kind == Socketmap::Kind::Inet && is_elsewhere(map.host);
    return answer;
  }

  const Where& where_;
  term::Progress& progress_;
  Facts facts_;
};

}  // namespace

Result<Facts, std::string> gather(const Where& where) {
  term::Progress progress("asking Postfix's tools");
  return Gatherer(where, progress).run();
}

}  // namespace mtastsd::doctor
