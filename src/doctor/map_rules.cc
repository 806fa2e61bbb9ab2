// smtp_tls_policy_maps: whether each smtp(8) asks mtastsd, may connect to it, and uses the right
// map.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "mtastsd/base/ip_address.h"
#include "mtastsd/base/text.h"
#include "mtastsd/config/places.h"
#include "mtastsd/doctor/findings.h"
#include "mtastsd/postfix/profile.h"
#include "tables.h"

namespace mtastsd::doctor {
namespace {

using config::ListenAddress;

constexpr std::string_view kMaps = "smtp_tls_policy_maps";

// The tables of one service, and what was found about them.
struct View {
  const Facts& facts;
  const SmtpService& service;
  std::vector<Table> tables;
  std::vector<Finding> found;

  std::string queue() const { return std::string(facts.main_value("queue_directory")); }
  bool chroot(const Table& table) const { return in_chroot(facts, service, table.proxied); }

  Finding& add(Code code, std::string text, std::vector<Fix> fixes = {}) {
    return found.emplace_back(code, kMaps, std::move(text), std::move(fixes));
  }

  // The whole parameter with one table replaced.
  Fix replace(const Table& table, const std::string& by) const {
    return set_parameter(service, kMaps, joined(tables, ", ", [&](const Table& one) {
                           return one.str() == table.str() ? by : one.str();
                         }));
  }
};

// The table with another map of the same server.
std::string with_name(const Table& table, std::string_view name) {
  return table.str().substr(0, table.str().rfind(':') + 1) + std::string(name);
}

bool same_host(const std::string& listening, const std::string& asked) {
  if (listening == asked || listening == "0.0.0.0" || listening == "::") {
    return true;
  }
  const auto one = IpAddress::parse(listening);
  const auto other = IpAddress::parse(asked);
  // A name could mean any address, and nothing is looked up here.
  return !one || !other || *one == *other;
}

bool listens_there(const View& view, const Table& table) {
  const Socketmap& map = *table.socketmap;
  const auto& listen = view.facts.daemon.socketmap.listen;
  if (map.kind == Socketmap::Kind::Unix && listen == config::defaults().socketmap.listen &&
      real_path(map.path, view.chroot(table), view.queue()) == config::kPassedSocket) {
    return true;
  }
  return std::any_of(listen.begin(), listen.end(), [&](const ListenAddress& address) {
    if (map.kind == Socketmap::Kind::Unix) {
      return address.kind == ListenAddress::Kind::Unix &&
             address.path == real_path(map.path, view.chroot(table), view.queue());
    }
    return address.kind == ListenAddress::Kind::Inet && std::to_string(address.port) == map.port &&
           same_host(address.host, map.host);
  });
}

// Returns which of the tables is mtastsd: the one with an address from its configuration, or
// otherwise the first socketmap.
std::size_t find_mtastsd(const View& view) {
  std::size_t first = view.tables.size();
  for (std::size_t i = 0; i < view.tables.size(); ++i) {
    if (!view.tables[i].socketmap) {
      continue;
    }
    if (listens_there(view, view.tables[i])) {
      return i;
    }
    first = std::min(first, i);
  }
  return first;
}

void judge_absence(View& view) {
  std::vector<std::string> kept;
  std::string broken;
  for (const Table& table : view.tables) {
    if (table.type != "socketmap") {
      kept.push_back(table.str());
    } else if (broken.empty()) {
      broken = table.str();
    }
  }
  kept.push_back(recommended_table(view.facts));
  const std::vector<Fix> fixes = {set_parameter(view.service, kMaps, joined(kept))};
  if (!broken.empty()) {
    view.add(Code::MapSyntax,
             broken + " is not socketmap:inet:HOST:PORT:NAME or socketmap:unix:PATH:NAME.", fixes);
  } else if (view.service.overrides.find(kMaps) != view.service.overrides.end()) {
    view.add(
        Code::MapOffHere,
        fmt::format("Mail through {} is sent without MTA-STS, because master.cf overrides this "
                    "parameter. Remove that line, or change it.",
                    view.service.name),
        fixes);
  } else {
    view.add(Code::MapMissing, "Postfix does not ask mtastsd, so no MTA-STS policy is applied.",
             fixes);
  }
}

// The first match decides, and an error of one table defers the mail.
void judge_order(View& view, std::size_t mtastsd) {
  std::vector<std::string> before;
  for (const Table& table : std::span(view.tables).first(mtastsd)) {
    if (table.type != "static") {
      before.push_back(table.str());
      continue;
    }
    std::string value = view.tables[mtastsd].str();
    for (const Table& one : view.tables) {
      if (&one != &view.tables[mtastsd] && one.type != "static") {
        value = one.str() + ", " + value;
      }
    }
    view.add(Code::MapHidden,
             table.str() + " matches every domain, so the tables after it are never asked.",
             {set_parameter(view.service, kMaps, value)});
  }
  if (!before.empty()) {
    view.add(Code::MapOrder,
             fmt::format("mtastsd is asked after {}, which {} for the domains that match.",
                         joined(before), before.size() == 1 ? "decides" : "decide"));
  }
  for (const Table& table : std::span(view.tables).subspan(mtastsd + 1)) {
    if (table.socketmap && listens_there(view, table)) {
      view.add(
          Code::MapTwice,
          fmt::format("{} asks mtastsd a second time for every domain without a policy. Remove it "
                      "from the list.",
                      table.str()));
    }
  }
}

// The last part of postmap's message about a failure.
std::string last_reason(const std::string& reason) {
  const std::size_t begin = reason.rfind(": ");
  return begin == std::string::npos ? reason : reason.substr(begin + 2);
}

// True if postmap could not use a table only because this user may not.
bool is_hidden(const View& view, const TableAnswer& answer) {
  return !view.facts.root && last_reason(answer.reason) == "Permission denied";
}

// What postmap said of a table; nullptr if it was not asked.
const TableAnswer* answer_of(const View& view, const Table& table) {
  const auto asked = view.facts.tables.find({table.text, view.chroot(table)});
  return asked == view.facts.tables.end() ? nullptr : &asked->second;
}

void judge_other_tables(View& view, std::size_t mtastsd) {
  for (std::size_t i = 0; i < view.tables.size(); ++i) {
    const Table& table = view.tables[i];
    const TableAnswer* answer = answer_of(view, table);
    if (i == mtastsd || answer == nullptr || answer->good) {
      continue;
    }
    if (is_hidden(view, *answer)) {
      view.add(Code::MapUnchecked,
               fmt::format("You may not read {}. Run this as root.", table.str()));
      continue;
    }
    std::vector<Fix> fixes;
    if (table.type == "hash" || table.type == "btree" || table.type == "lmdb") {
      fixes.push_back({"command", "postmap " + table.text});
    }
    view.add(
        Code::MapBroken,
        fmt::format("{} cannot be used, which defers all mail that no earlier table matches: {}.",
                    table.str(), answer->reason),
        std::move(fixes));
  }
}

void judge_answer(View& view, const Table& table) {
  const TableAnswer* answer = answer_of(view, table);
  if (answer == nullptr) {
    return;
  }
  const auto stranger = view.facts.strangers.find({table.text, view.chroot(table)});
  if (stranger != view.facts.strangers.end()) {
    view.add(
        Code::DaemonStranger,
        fmt::format("At {} a process of the user {} answers, who is not the user of mtastsd, and "
                    "decides how your mail is protected. Find out why, end that process, and "
                    "let systemd hold the socket, so that nobody else can take it.",
                    table.str(), stranger->second),
        {{"command", "systemctl enable --now mtastsd.socket"}});
    return;
  }
  const bool listed = !view.facts.config_error.empty() || listens_there(view, table);
  const Fix use =
      view.replace(table, (table.proxied ? "proxy:" : "") + recommended_table(view.facts));
  if (answer->good && listed) {
    view.add(Code::DaemonAnswers, fmt::format("mtastsd answers at {}.", table.str()));
  } else if (answer->good) {
    view.add(Code::DaemonAddress,
             fmt::format("A server answers at {}, but mtastsd's configuration does not have this "
                         "address. Check that it is mtastsd.",
                         table.str()),
             {use});
  } else if (is_hidden(view, *answer)) {
    view.add(Code::DaemonUnchecked,
             fmt::format("You may not connect to {}. Run this as root.", table.str()));
  } else if (listed) {
    view.add(
        Code::DaemonSilent,
        fmt::format("mtastsd does not answer at {}, and all mail is deferred until it does: {}.",
                    table.str(), answer->reason),
        {{"command", "systemctl enable --now mtastsd"}});
  } else {
    view.add(
        Code::DaemonSilent,
        fmt::format("No server answers at {}, which is not an address in mtastsd's configuration. "
                    "All mail is deferred: {}.",
                    table.str(), answer->reason),
        {use});
  }
}

void judge_profile(View& view, const Table& table) {
  const std::string& version = view.facts.version;
  const auto can = postfix::profile_for_postfix(version);
  if (!view.facts.config_error.empty() || !can) {
    return;
  }
  const std::string& name = table.socketmap->name;
  const auto& maps = view.facts.daemon.maps;
  auto map = maps.find(name);
  const std::string wanted = map != maps.end() && map->second.dane
                                 ? recommended_map(view.facts, true)
                                 : recommended_map(view.facts);
  const Fix use = view.replace(table, with_name(table, wanted));
  if (map == maps.end()) {
    view.add(Code::MapNameUnknown,
             fmt::format("mtastsd has no map \"{}\" and answers as for the map \"postfix\".", name),
             {use});
    map = maps.find("postfix");
  }
  const postfix::Profile& has = map->second;
  if ((has.report_attributes && !can->report_attributes) || (has.servername && !can->servername)) {
    std::vector<Fix> fixes = {use};
    if (maps.find(wanted) == maps.end()) {
      fixes.push_back(
          {"mtastsd.toml",
           fmt::format("[maps.{}]  # and below it: postfix_version = \"{}\"", wanted, version)});
    }
    view.add(Code::ProfileTooNew,
             fmt::format(
                 "The map \"{}\" sends attributes that Postfix {} does not know, which defers the "
                 "mail.",
                 name, version),
             std::move(fixes));
  } else if (can->report_attributes && !has.report_attributes) {
    const bool checks = view.facts.main.count("smtp_tls_enforce_sts_mx_patterns") != 0;
    view.add(Code::ProfileTooOld,
             fmt::format("The map \"{}\" does not send the policy to Postfix {}, which {}.", name,
                         version,
                         checks ? "then cannot compare the names of MX hosts with it"
                                : "could use it in TLS reports"),
             {use})
        .severity = checks ? Severity::Medium : Severity::Info;
  } else if (can->servername && !has.servername) {
    view.add(Code::ProfileNoSni,
             fmt::format(
                 "The map \"{}\" is for a Postfix before 3.4, so Postfix sends no SNI, and a mail "
                 "server may present the certificate of another host.",
                 name),
             {use});
  } else {
    view.add(Code::Profile, fmt::format("The map \"{}\" fits Postfix {}.", name, version));
  }
  if (has.enforce_testing) {
    view.add(
        Code::ProfileTesting,
        fmt::format("The map \"{}\" enforces policies of mode testing, so mail can be deferred "
                    "although its domain asks for delivery in any case.",
                    name));
  }
}

// The socket is not where a chrooted smtp(8) looks for it.
void judge_chroot_path(View& view, const Table& table) {
  const Socketmap& map = *table.socketmap;
  const std::string queue = view.queue() + "/";
  const std::string seen = real_path(map.path, view.chroot(table), view.queue());
  const std::vector<Fix> move = {
      {"mtastsd.toml [socketmap]",
       fmt::format("listen = [\"unix:{}run/mtastsd/policy.sock\"]", queue)},
      view.replace(table, "socketmap:unix:run/mtastsd/policy.sock:" + map.name)};
  if (map.path.starts_with("private/") || map.path.starts_with("public/") ||
      seen.starts_with(queue + "private/") || seen.starts_with(queue + "public/")) {
    view.add(Code::SocketPlace,
             "The directories private and public in the queue directory belong to Postfix. Put the "
             "socket into a directory of its own.",
             move);
  }
  if (!view.chroot(table) || !map.path.starts_with('/')) {
    return;
  }
  const std::string problem =
      fmt::format("{} is chrooted to {} and looks for {}.", view.service.name, view.queue(), seen);
  if (map.path.starts_with(queue)) {
    view.add(Code::ChrootPath,
             problem + " A path relative to the queue directory works with and without the chroot.",
             {view.replace(table, fmt::format("socketmap:unix:{}:{}", map.path.substr(queue.size()),
                                              map.name))});
  } else if (!listens_there(view, table)) {
    view.add(Code::ChrootPath, problem + " Let mtastsd listen below the queue directory.", move);
  }
}

void judge_denied(View& view, const std::string& path, const SocketReach& reach) {
  const std::string owner(view.facts.main_value("mail_owner"));
  std::string text = fmt::format("smtp(8) runs as {} and may not connect to {}", owner, path);
  std::vector<Fix> fixes;
  if (reach.blocked == path) {
    text += ": the socket is " + reach.blocked_mode;
    fixes = {{"mtastsd.toml [socketmap]", fmt::format("socket_group = \"{}\"", owner)},
             {"mtastsd.toml [socketmap]", "socket_mode = \"0660\""}};
  } else if (!reach.blocked.empty()) {
    text += fmt::format(": the directory {} is {}", reach.blocked, reach.blocked_mode);
    fixes = {{"command", fmt::format("chgrp {} {}", owner, reach.blocked)},
             {"command", "chmod g+x " + reach.blocked}};
  }
  view.add(Code::SocketDenied, text + ".", std::move(fixes));
}

void judge_reach(View& view, const Table& table) {
  const std::string& path = table.socketmap->path;
  const bool chroot = view.chroot(table);
  const std::string real = real_path(path, chroot, view.queue());
  const auto reached = view.facts.sockets.find({path, chroot});
  if (reached == view.facts.sockets.end()) {
    view.add(Code::SocketUnchecked,
             fmt::format("Only root can test whether smtp(8) may connect to {}. Run this as root.",
                         real));
    return;
  }
  const int error = reached->second.error;
  if (error == 0) {
    view.add(Code::Socket, fmt::format("smtp(8) may connect to {}.", real));
  } else if (error == EACCES || error == EPERM) {
    judge_denied(view, real, reached->second);
  } else {
    view.add(Code::SocketGone,
             fmt::format("smtp(8) cannot connect to {}: {}.", real,
                         error == ENOENT ? "there is no socket" : std::strerror(error)));
  }
}

void judge_proxy(View& view, const Table& table) {
  if (!table.proxied) {
    return;
  }
  const std::vector<Table> allowed = parse_tables(view.facts.main_value("proxy_read_maps"));
  const bool named = std::any_of(allowed.begin(), allowed.end(), [&](const Table& one) {
    return one.proxied && one.text == table.text;
  });
  if (named) {
    view.add(Code::Proxy,
             "A proxymap process serves many clients one after the other, so a domain with a slow "
             "policy host delays the others.");
    return;
  }
  const std::string command = fmt::format(
      "postconf -e \"proxy_read_maps = $(postconf -h proxy_read_maps) {}\"", table.str());
  view.found.emplace_back(
      Code::ProxyReadMaps, "proxy_read_maps",
      fmt::format("proxymap(8) refuses {}, which defers all mail.", table.str()),
      std::vector<Fix>{{"command", command}});
}

void judge_host(View& view, const Table& table) {
  const Socketmap& map = *table.socketmap;
  if (!view.chroot(table) || IpAddress::parse(map.host)) {
    return;
  }
  std::vector<Fix> fixes;
  if (map.host == "localhost") {
    fixes.push_back(
        view.replace(table, fmt::format("{}socketmap:inet:127.0.0.1:{}:{}",
                                        table.proxied ? "proxy:" : "", map.port, map.name)));
  }
  view.add(
      Code::HostName,
      fmt::format("A chrooted smtp(8) looks up \"{}\" with the files in the chroot. An IP address "
                  "needs no lookup.",
                  map.host),
      std::move(fixes));
}

}  // namespace

std::vector<Finding> judge_maps(const Facts& facts, const SmtpService& service) {
  View view{facts, service, parse_tables(value_for(facts, service, kMaps)), {}};
  const std::size_t mtastsd = find_mtastsd(view);
  judge_other_tables(view, mtastsd);
  if (mtastsd == view.tables.size()) {
    judge_absence(view);
    return view.found;
  }
  const Table& table = view.tables[mtastsd];
  judge_order(view, mtastsd);
  judge_profile(view, table);
  judge_proxy(view, table);
  if (table.socketmap->kind == Socketmap::Kind::Unix) {
    judge_chroot_path(view, table);
    judge_reach(view, table);
  } else {
    judge_host(view, table);
  }
  judge_answer(view, table);
  return view.found;
}

}  // namespace mtastsd::doctor
