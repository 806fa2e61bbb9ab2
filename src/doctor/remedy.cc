#include "remedy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/text.h"
#include "mtastsd/config/places.h"

namespace mtastsd::doctor {
namespace {

using config::ListenAddress;
using Kind = ListenAddress::Kind;

constexpr std::array<std::string_view, 8> kLevels = {"none", "may",       "encrypt", "fingerprint",
                                                     "dane", "dane-only", "verify",  "secure"};

std::string queue_of(const Facts& facts) {
  return std::string(facts.main_value("queue_directory"));
}

bool is_wildcard(const std::string& host) {
  return host == "0.0.0.0" || host == "::";
}

// The services that have smtp_tls_policy_maps from the same line.
std::vector<const SmtpService*> sharing(const Facts& facts, const SmtpService& service) {
  if (service.overrides.find(kMaps) != service.overrides.end()) {
    return {&service};
  }
  std::vector<const SmtpService*> all;
  for (const SmtpService& one : facts.services) {
    if (one.overrides.find(kMaps) == one.overrides.end()) {
      all.push_back(&one);
    }
  }
  return all;
}

bool any_chrooted(const std::vector<const SmtpService*>& services) {
  return std::any_of(services.begin(), services.end(),
                     [](const SmtpService* one) { return one->chroot; });
}

const TableAnswer* answer_of(const Facts& facts, const SmtpService& service, const Table& table) {
  const auto asked = facts.tables.find({table.text, in_chroot(facts, service, table.proxied)});
  return asked == facts.tables.end() ? nullptr : &asked->second;
}

bool answers(const Facts& facts, const SmtpService& service, const Table& table) {
  const TableAnswer* answer = answer_of(facts, service, table);
  return answer != nullptr && answer->good;
}

// What was found out about an address in the configuration.
Listener listener(const Facts& facts, const std::string& address) {
  const auto known = facts.listeners.find(address);
  return known == facts.listeners.end() ? Listener{} : known->second;
}

// How these services have to write the address, or nullopt if they cannot reach it.
std::optional<std::string> written(const Facts& facts,
                                   const std::vector<const SmtpService*>& services,
                                   const ListenAddress& address) {
  if (address.kind == Kind::Inet) {
    ListenAddress one = address;
    if (is_wildcard(one.host)) {
      one.host = one.host == "::" ? "::1" : "127.0.0.1";
    }
    return one.str();
  }
  const std::string queue = queue_of(facts) + "/";
  if (address.path.starts_with(queue + "private/") || address.path.starts_with(queue + "public/")) {
    return std::nullopt;  // Postfix's own directories
  }
  if (address.path.starts_with(queue)) {
    // A relative path is right in the chroot and out of it.
    return "unix:" + address.path.substr(queue.size());
  }
  return any_chrooted(services) ? std::nullopt : std::optional("unix:" + address.path);
}

bool usable(const Facts& facts, const ListenAddress& address) {
  const Listener known = listener(facts, address.str());
  return known.answers || known.error == 0 || !known.missing_directory.empty();
}

// Where mtastsd should listen: where its configuration says and where it can, and at one more
// address if a service of Postfix can reach none of these.
std::vector<ListenAddress> wanted_listen(const Facts& facts) {
  std::vector<ListenAddress> wanted;
  for (const ListenAddress& address : facts.daemon.socketmap.listen) {
    if (usable(facts, address)) {
      wanted.push_back(address);
    }
  }
  const bool enough =
      std::all_of(facts.services.begin(), facts.services.end(), [&](const SmtpService& service) {
        const auto services = sharing(facts, service);
        return std::any_of(wanted.begin(), wanted.end(), [&](const ListenAddress& address) {
          return written(facts, services, address).has_value();
        });
      });
  if (!enough || wanted.empty()) {
    wanted.push_back(facts.spare_listen);
  }
  return wanted;
}

bool proxy_allows(const Facts& facts, const Table& table) {
  const std::vector<Table> allowed = parse_tables(facts.main_value("proxy_read_maps"));
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const Table& one) { return one.proxied && one.text == table.text; });
}

// True if the table leads to mtastsd as well as any other could.
bool leads_there(const Facts& facts, const SmtpService& service, const Table& table) {
  if (table.proxied && !proxy_allows(facts, table)) {
    return false;
  }
  const TableAnswer* answer = answer_of(facts, service, table);
  const bool good = answer != nullptr && answer->good;
  if (good && (answer->elsewhere || facts.config_unknown())) {
    return true;
  }
  const std::string address = listener_of(facts, service, table);
  const Listener known = listener(facts, address);
  if (address.empty() || (known.error != 0 && known.missing_directory.empty())) {
    return false;
  }
  if (table.socketmap->kind == Socketmap::Kind::Unix) {
    const std::string queue = queue_of(facts) + "/";
    const std::string path =
        real_path(table.socketmap->path, in_chroot(facts, service, table.proxied), queue_of(facts));
    return !path.starts_with(queue + "private/") && !path.starts_with(queue + "public/");
  }
  const std::string& host = table.socketmap->host;
  if (host == "localhost" && service.chroot) {
    return false;
  }
  // Any other way to write the address has to prove itself.
  return good || address == "inet:" + host + ":" + table.socketmap->port ||
         address == "inet:[" + host + "]:" + table.socketmap->port;
}

// The address for the services' table, as in main.cf.
std::string address_for(const Facts& facts, const std::vector<const SmtpService*>& services,
                        const Table* current) {
  std::vector<ListenAddress> wanted = wanted_listen(facts);
  const Kind kind =
      current != nullptr && current->socketmap && current->socketmap->kind == Socketmap::Kind::Unix
          ? Kind::Unix
          : Kind::Inet;
  std::stable_partition(wanted.begin(), wanted.end(),
                        [&](const ListenAddress& one) { return one.kind == kind; });
  for (const ListenAddress& address : wanted) {
    if (auto text = written(facts, services, address)) {
      return *text;
    }
  }
  return facts.spare_listen.str();
}

bool asks_socketmap(const Table& table) {
  return table.text.find("socketmap:") != std::string::npos;
}

// "3.7" of "3.7.11", "3.12" of "3.12-20260821".
std::string major_minor(const std::string& version) {
  const std::size_t minor = version.find('.') + 1;
  return version.substr(0, version.find_first_not_of("0123456789", minor));
}

std::string name_in(const Table& table) {
  return table.socketmap ? table.socketmap->name : "";
}

// True if one of the services does DANE, by its level or by the map that it uses.
bool wants_dane(const Facts& facts, const std::vector<const SmtpService*>& services) {
  return std::any_of(services.begin(), services.end(), [&](const SmtpService* service) {
    const std::string level = level_of(facts, *service);
    const UsedMap map = used_map(facts, *service);
    return level == "dane" || level == "dane-only" || (map.profile != nullptr && map.profile->dane);
  });
}

// The name of a map that fits, and the lines that make it if there is none.
std::pair<std::string, std::vector<Fix>> right_map(const Facts& facts, const std::string& current,
                                                   bool dane) {
  const auto can = postfix::profile_for_postfix(facts.version);
  if (!can || (facts.config_unknown() && !current.empty())) {
    return {current.empty() ? "postfix" : current, {}};
  }
  const auto& maps = facts.daemon.maps;
  const auto fits = [&](const std::string& name) {
    const auto map = maps.find(name);
    return map != maps.end() && map->second.report_attributes == can->report_attributes &&
           map->second.servername == can->servername && map->second.dane == dane &&
           (!map->second.enforce_testing || name == current);
  };
  std::vector<std::string> names = {current, recommended_map(facts, dane)};
  for (const auto& [name, profile] : maps) {
    names.push_back(name);
  }
  const auto found = std::find_if(names.begin(), names.end(), fits);
  if (found != names.end()) {
    return {*found, {}};
  }
  const std::string name = dane ? "outgoingWithDANE" : "outgoing";
  const std::string section = "mtastsd.toml [maps." + name + "]";
  return {name,
          {{section, "postfix_version = \"" + major_minor(facts.version) + "\""},
           {section, std::string("dane = ") + (dane ? "true" : "false")}}};
}

std::vector<Fix> mode_lines(const Facts& facts) {
  return {{"mtastsd.toml [socketmap]", "socket_group = \"" + facts.mail_group + "\""},
          {"mtastsd.toml [socketmap]", "socket_mode = \"0660\""}};
}

// True if a socket that mtastsd makes as it is configured is one that Postfix may write to.
bool will_be_writable(const Facts& facts) {
  const config::Socketmap& map = facts.daemon.socketmap;
  return (map.socket_mode & 0002U) != 0 ||
         ((map.socket_mode & 0020U) != 0 && map.socket_group == facts.mail_group);
}

// What the services need to connect to a socket, as far as it is known.
void add_permissions(const Facts& facts, const ListenAddress& address, std::vector<Fix>& lines) {
  const auto add = [&](const std::vector<Fix>& more) {
    for (const Fix& line : more) {
      if (std::find(lines.begin(), lines.end(), line) == lines.end()) {
        lines.push_back(line);
      }
    }
  };
  for (const SmtpService& service : facts.services) {
    const auto text = written(facts, {&service}, address);
    const auto reach =
        text ? facts.sockets.find({text->substr(std::string_view("unix:").size()), service.chroot})
             : facts.sockets.end();
    if (reach != facts.sockets.end()) {
      add(permission_lines(facts, address.path, reach->second));
    }
  }
  if (!listener(facts, address.str()).answers && !will_be_writable(facts)) {
    add(mode_lines(facts));
  }
}

bool is_for_daemon(const Fix& fix) {
  return fix.file.starts_with("mtastsd.toml");
}

// Puts the list of one parameter together.
class List {
 public:
  explicit List(std::string table) : table_(std::move(table)) {}

  void keep(const Table& table) { tables_.push_back(table.str()); }
  void keep_last(const Table& table) { last_.push_back(table.str()); }
  void place() {
    if (!placed_) {
      tables_.push_back(table_);
    }
    placed_ = true;
  }
  std::vector<std::string> finish() {
    place();
    tables_.insert(tables_.end(), last_.begin(), last_.end());
    return tables_;
  }

 private:
  std::string table_;
  std::vector<std::string> tables_;
  std::vector<std::string> last_;
  bool placed_ = false;
};

std::vector<std::string> right_list(const Facts& facts, const SmtpService& service,
                                    const std::vector<Table>& tables, std::size_t mtastsd,
                                    const std::string& ours) {
  List list(ours);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const Table& table = tables[i];
    const TableAnswer* answer = answer_of(facts, service, table);
    const bool again = table.socketmap && !listener_of(facts, service, table).empty();
    if (i == mtastsd || again || (table.type == "socketmap" && !table.socketmap)) {
      list.place();
    } else if (wraps_socketmap(table)) {
      list.place();
      for (const Table& member : table.members) {
        if (table.type == "unionmap" && !asks_socketmap(member)) {
          list.keep(member);
        }
      }
    } else if (unknown_type(facts, table) || is_beyond_repair(facts, service, table)) {
      continue;
    } else if (answer != nullptr && !answer->everything.empty()) {
      // It matches every domain, so it can only be the last.
      if (begins_with_level(answer->everything)) {
        list.keep_last(table);
      }
    } else {
      list.keep(table);
    }
  }
  return list.finish();
}

}  // namespace

Fix set_parameter(const SmtpService& service, std::string_view name, std::string_view value) {
  std::string line(name);
  if (service.overrides.find(name) == service.overrides.end()) {
    return {"main.cf", line + " = " + std::string(value)};
  }
  // In braces white space may stand in it.
  return {"master.cf, below " + service.name, "-o { " + line + " = " + std::string(value) + " }"};
}

Fix restart_daemon(const Facts& facts) {
  return {"command", facts.systemd ? "systemctl restart mtastsd" : "service mtastsd restart"};
}

std::string level_of(const Facts& facts, const SmtpService& service) {
  const auto on = [&](std::string_view name) { return value_for(facts, service, name) == "yes"; };
  const std::string_view level = value_for(facts, service, "smtp_tls_security_level");
  if (!level.empty()) {
    return std::string(level);
  }
  // If no level is set, Postfix still applies these parameters from before 2.3.
  if (on("smtp_enforce_tls")) {
    return "encrypt";
  }
  return on("smtp_use_tls") ? "may" : "none";
}

std::string listener_of(const Facts& facts, const SmtpService& service, const Table& table) {
  const auto& listen = facts.daemon.socketmap.listen;
  if (!table.socketmap) {
    return "";
  }
  const Socketmap& map = *table.socketmap;
  if (map.kind == Socketmap::Kind::Unix) {
    const std::string path =
        real_path(map.path, in_chroot(facts, service, table.proxied), queue_of(facts));
    if (listen == config::defaults().socketmap.listen && path == config::kPassedSocket) {
      return "unix:" + path;
    }
    const auto found = std::find_if(listen.begin(), listen.end(), [&](const ListenAddress& one) {
      return one.kind == Kind::Unix && one.path == path;
    });
    return found == listen.end() ? "" : found->str();
  }
  const auto found = std::find_if(listen.begin(), listen.end(), [&](const ListenAddress& one) {
    if (one.kind != Kind::Inet || std::to_string(one.port) != map.port) {
      return false;
    }
    const auto here = IpAddress::parse(one.host);
    const auto there = IpAddress::parse(map.host);
    // A name could mean any address, and nothing is looked up here.
    return one.host == map.host || is_wildcard(one.host) || !here || !there || *here == *there;
  });
  return found == listen.end() ? "" : found->str();
}

bool wraps_socketmap(const Table& table) {
  return std::any_of(table.members.begin(), table.members.end(), asks_socketmap);
}

bool unknown_type(const Facts& facts, const Table& table) {
  return !table.type.empty() && !facts.types.empty() && facts.types.count(table.type) == 0;
}

bool is_beyond_repair(const Facts& facts, const SmtpService& service, const Table& table) {
  const TableAnswer* answer = answer_of(facts, service, table);
  return answer != nullptr && !answer->good && !answer->hidden && !answer->has_source;
}

bool begins_with_level(std::string_view text) {
  const std::string_view word = text.substr(0, text.find_first_of(" \t,"));
  return std::any_of(kLevels.begin(), kLevels.end(),
                     [&](std::string_view level) { return equal_ignoring_case(level, word); });
}

std::size_t find_mtastsd(const Facts& facts, const SmtpService& service,
                         const std::vector<Table>& tables) {
  std::size_t first = tables.size();
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (!listener_of(facts, service, tables[i]).empty()) {
      return i;
    }
    if (tables[i].socketmap) {
      first = std::min(first, i);
    }
  }
  return first;
}

std::string recommended_map(const Facts& facts, bool dane) {
  const auto profile = postfix::profile_for_postfix(facts.version);
  if (profile && profile->report_attributes) {
    return dane ? "daneWithTLSRPT" : "postfixWithTLSRPT";
  }
  return dane ? "dane" : "postfix";
}

UsedMap used_map(const Facts& facts, const SmtpService& service) {
  const auto tables = parse_tables(value_for(facts, service, kMaps));
  const std::size_t mtastsd = find_mtastsd(facts, service, tables);
  if (mtastsd == tables.size()) {
    return {};
  }
  const auto& maps = facts.daemon.maps;
  const auto map = maps.find(tables[mtastsd].socketmap->name);
  return {tables[mtastsd].str(), &(map == maps.end() ? maps.find("postfix") : map)->second};
}

bool any_map_does_dane(const Facts& facts) {
  return std::any_of(facts.services.begin(), facts.services.end(), [&](const SmtpService& service) {
    const UsedMap map = used_map(facts, service);
    return map.profile != nullptr && map.profile->dane;
  });
}

std::vector<Fix> permission_lines(const Facts& facts, const std::string& path,
                                  const SocketReach& reach) {
  std::vector<Fix> lines;
  for (const Block& block : reach.blocked) {
    if (block.path != path) {
      lines.push_back({"command", fmt::format("chmod {}+x {}", block.who, block.path)});
    } else if (path == config::kPassedSocket) {
      lines.push_back({"command", fmt::format("chgrp {} {}", facts.mail_group, path)});
      lines.push_back({"command", fmt::format("chmod 0660 {}", path)});
    } else {
      const std::vector<Fix> mode = mode_lines(facts);
      lines.insert(lines.end(), mode.begin(), mode.end());
      lines.push_back(restart_daemon(facts));
    }
  }
  return lines;
}

std::vector<Fix> server_lines(const Facts& facts) {
  std::vector<Fix> lines;
  bool restart = false;
  const std::vector<ListenAddress> wanted = wanted_listen(facts);
  for (const ListenAddress& address : wanted) {
    const Listener known = listener(facts, address.str());
    if (!known.missing_directory.empty()) {
      lines.push_back(
          {"command", fmt::format("install -d {}-g {} -m 2770 {}",
                                  facts.daemon_user.empty() ? "" : "-o " + facts.daemon_user + " ",
                                  facts.mail_group, known.missing_directory)});
    }
    if (address.kind == Kind::Unix) {
      add_permissions(facts, address, lines);
    }
    restart = restart || !known.answers;
  }
  if (wanted != facts.daemon.socketmap.listen) {
    lines.push_back({"mtastsd.toml [socketmap]",
                     "listen = [" + joined(wanted, ", ", [](const ListenAddress& one) {
                       return "\"" + one.str() + "\"";
                     }) + "]"});
  }
  const Fix again = restart_daemon(facts);
  std::erase(lines, again);  // it comes last
  if (restart || std::any_of(lines.begin(), lines.end(), is_for_daemon)) {
    lines.push_back(again);
  }
  return lines;
}

Remedy remedy_for(const Facts& facts, const SmtpService& service) {
  const std::vector<const SmtpService*> services = sharing(facts, service);
  const SmtpService& first = *services.front();
  const std::vector<Table> tables = parse_tables(value_for(facts, first, kMaps));
  const std::size_t mtastsd = find_mtastsd(facts, first, tables);
  const Table* current = mtastsd == tables.size() ? nullptr : &tables[mtastsd];
  const bool dane = wants_dane(facts, services);
  auto [name, map_lines] = right_map(facts, current == nullptr ? "" : name_in(*current), dane);

  Remedy remedy;
  std::vector<const SmtpService*> every;
  for (const SmtpService& one : facts.services) {
    every.push_back(&one);
  }
  remedy.dns_support = wants_dane(facts, every) ? "dnssec" : "enabled";
  // proxymap(8) might refuse the table under another name.
  const bool keep = current != nullptr && (!current->proxied || name == name_in(*current)) &&
                    std::all_of(services.begin(), services.end(), [&](const SmtpService* one) {
                      return leads_there(facts, *one, *current);
                    });
  if (keep) {
    remedy.table = current->str().substr(0, current->str().rfind(':') + 1) + name;
  } else {
    remedy.table = "socketmap:" + address_for(facts, services, current) + ":" + name;
  }
  const std::vector<std::string> list = right_list(facts, first, tables, mtastsd, remedy.table);
  remedy.maps = joined(list);
  if (remedy.maps != joined(tables, ", ", [](const Table& one) { return one.str(); })) {
    remedy.lines.push_back(set_parameter(service, kMaps, remedy.maps));
  }
  remedy.lines.insert(remedy.lines.end(), map_lines.begin(), map_lines.end());
  if (!keep || !answers(facts, first, *current)) {
    const std::vector<Fix> server = server_lines(facts);
    remedy.lines.insert(remedy.lines.end(), server.begin(), server.end());
  }
  return remedy;
}

}  // namespace mtastsd::doctor
