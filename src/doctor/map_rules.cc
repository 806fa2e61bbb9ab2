// smtp_tls_policy_maps: whether each smtp(8) asks mtastsd, may connect to it, and uses the right
// map.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mtastsd/base/ip_address.h"
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
    std::string value;
    for (const Table& one : tables) {
      value += (value.empty() ? "" : ", ") + (one.str() == table.str() ? by : one.str());
    }
    return set_parameter(service, kMaps, value);
  }
};

std::string socketmap_text(const Socketmap& map, const std::string& name) {
  if (map.kind == Socketmap::Kind::Unix) {
    return "socketmap:unix:" + map.path + ":" + name;
  }
  const bool v6 = map.host.find(':') != std::string::npos;
  return "socketmap:inet:" + (v6 ? "[" + map.host + "]" : map.host) + ":" + map.port + ":" + name;
}

std::string with_name(const Table& table, const std::string& name) {
  return (table.proxied ? "proxy:" : "") + socketmap_text(*table.socketmap, name);
}

bool same_host(const std::string& listening, const std::string& asked) {
  if (listening == asked || listening == "0.0.0.0" || listening == "::") {
    return true;
  }
  const auto one = IpAddress::parse(listening);
  const auto other = IpAddress::parse(asked);
  if (one && other) {
    return *one == *other;
  }
  // A name could mean any address, and nothing is looked up here.
  return true;
}

bool listens_there(const View& view, const Table& table) {
  const Socketmap& map = *table.socketmap;
  const auto& listen = view.facts.daemon.socketmap.listen;
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
  const std::string wanted = recommended_table(view.facts);
  std::string value;
  for (const Table& table : view.tables) {
    if (table.type != "socketmap") {
      value += table.str() + ", ";
    }
  }
  value += wanted;
  const auto broken = std::find_if(view.tables.begin(), view.tables.end(),
                                   [](const Table& table) { return table.type == "socketmap"; });
  if (broken != view.tables.end()) {
    view.add(Code::MapSyntax,
             broken->str() + " is not socketmap:inet:HOST:PORT:NAME or socketmap:unix:PATH:NAME",
             {set_parameter(view.service, kMaps, value)});
  } else if (view.service.overrides.find(kMaps) != view.service.overrides.end()) {
    view.add(
        Code::MapOffHere,
        "mail through " + view.service.name +
            " is sent without MTA-STS, because master.cf overrides this parameter; remove that "
            "line, or change it to",
        {set_parameter(view.service, kMaps, value)});
  } else {
    view.add(Code::MapMissing, "Postfix does not ask mtastsd, so no MTA-STS policy is applied",
             {set_parameter(view.service, kMaps, value)});
  }
}

// The first match decides, and an error of one table defers the mail.
void judge_order(View& view, std::size_t mtastsd) {
  std::string before;
  for (std::size_t i = 0; i < mtastsd; ++i) {
    const Table& table = view.tables[i];
    if (table.type == "static") {
      std::string value = view.tables[mtastsd].str();
      for (const Table& one : view.tables) {
        if (&one != &view.tables[mtastsd] && one.type != "static") {
          value = one.str() + ", " + value;
        }
      }
      view.add(Code::MapHidden,
               table.str() + " matches every domain, so the tables after it are never asked",
               {set_parameter(view.service, kMaps, value)});
    } else {
      before += (before.empty() ? "" : ", ") + table.str();
    }
  }
  if (!before.empty()) {
    view.add(Code::MapOrder,
             before + " is asked before mtastsd and decides for the domains that it matches");
  }
  for (std::size_t i = mtastsd + 1; i < view.tables.size(); ++i) {
    if (view.tables[i].socketmap && listens_there(view, view.tables[i])) {
      view.add(Code::MapTwice, view.tables[i].str() +
                                   " asks mtastsd a second time for every domain without a "
                                   "policy; remove it from the list");
    }
  }
}

// The last part of postmap's message about a failure.
std::string last_reason(const std::string& reason) {
  const std::size_t begin = reason.rfind(": ");
  return begin == std::string::npos ? reason : reason.substr(begin + 2);
}

void judge_other_tables(View& view, std::size_t mtastsd) {
  for (std::size_t i = 0; i < view.tables.size(); ++i) {
    const Table& table = view.tables[i];
    const auto asked = view.facts.tables.find({table.text, view.chroot(table)});
    if (i == mtastsd || asked == view.facts.tables.end() || asked->second.good) {
      continue;
    }
    if (!view.facts.root && last_reason(asked->second.reason) == "Permission denied") {
      view.add(Code::MapUnchecked, "you may not read " + table.str() + "; run this as root");
      continue;
    }
    std::vector<Fix> fixes;
    if (table.type == "hash" || table.type == "btree" || table.type == "lmdb") {
      fixes.push_back({"command", "postmap " + table.text});
    }
    view.add(Code::MapBroken,
             table.str() +
                 " cannot be used, which defers all mail that no earlier table matches: " +
                 asked->second.reason,
             std::move(fixes));
  }
}

void judge_answer(View& view, const Table& table) {
  const auto asked = view.facts.tables.find({table.text, view.chroot(table)});
  if (asked == view.facts.tables.end()) {
    return;
  }
  const bool listed = view.facts.config_error.empty() ? listens_there(view, table) : true;
  if (asked->second.good && listed) {
    view.add(Code::DaemonAnswers, "mtastsd answers at " + table.str());
    return;
  }
  const std::string wanted = (table.proxied ? "proxy:" : "") + recommended_table(view.facts);
  if (asked->second.good) {
    view.add(
        Code::DaemonAddress,
        "a server answers at " + table.str() +
            ", but mtastsd's configuration does not have this address; check that it is mtastsd",
        {view.replace(table, wanted)});
  } else if (!view.facts.root && last_reason(asked->second.reason) == "Permission denied") {
    view.add(Code::DaemonUnchecked, "you may not connect to " + table.str() + "; run this as root");
  } else if (listed) {
    view.add(Code::DaemonSilent,
             "mtastsd does not answer at " + table.str() +
                 ", and all mail is deferred until it does: " + asked->second.reason,
             {{"command", "systemctl enable --now mtastsd"}});
  } else {
    view.add(Code::DaemonSilent,
             "no server answers at " + table.str() +
                 ", which is not an address in mtastsd's configuration; all mail is deferred: " +
                 asked->second.reason,
             {view.replace(table, wanted)});
  }
}

void judge_profile(View& view, const Table& table) {
  if (!view.facts.config_error.empty()) {
    return;
  }
  const auto can = postfix::profile_for_postfix(view.facts.version);
  if (!can) {
    return;
  }
  const std::string& name = table.socketmap->name;
  const auto& maps = view.facts.daemon.maps;
  auto map = maps.find(name);
  const Fix use = view.replace(table, with_name(table, recommended_map(view.facts)));
  if (map == maps.end()) {
    view.add(Code::MapNameUnknown,
             "mtastsd has no map \"" + name + "\" and answers as for the map \"postfix\"", {use});
    map = maps.find("postfix");
  }
  const postfix::Profile& has = map->second;
  if ((has.report_attributes && !can->report_attributes) || (has.servername && !can->servername)) {
    std::vector<Fix> fixes = {use};
    if (maps.find(recommended_map(view.facts)) == maps.end()) {
      fixes.push_back({"mtastsd.toml", "[maps." + recommended_map(view.facts) +
                                           "]  # and below it: postfix_version = \"" +
                                           view.facts.version + "\""});
    }
    view.add(Code::ProfileTooNew,
             "the map \"" + name + "\" sends attributes that Postfix " + view.facts.version +
                 " does not know, which defers the mail",
             std::move(fixes));
  } else if (can->report_attributes && !has.report_attributes) {
    const bool checks = view.facts.main.count("smtp_tls_enforce_sts_mx_patterns") != 0;
    view.add(Code::ProfileTooOld,
             "the map \"" + name + "\" does not send the policy to Postfix " + view.facts.version +
                 (checks ? ", which then cannot compare the names of MX hosts with it"
                         : ", which could use it in TLS reports"),
             {use})
        .severity = checks ? Severity::Medium : Severity::Info;
  } else if (can->servername && !has.servername) {
    view.add(Code::ProfileNoSni,
             "the map \"" + name +
                 "\" is for a Postfix before 3.4, so Postfix sends no SNI, and a mail server may "
                 "present the certificate of another host",
             {use});
  } else {
    view.add(Code::Profile, "the map \"" + name + "\" fits Postfix " + view.facts.version);
  }
  if (has.enforce_testing) {
    view.add(Code::ProfileTesting,
             "the map \"" + name +
                 "\" enforces policies of mode testing, so mail can be deferred although its "
                 "domain asks for delivery in any case");
  }
}

// The socket is not where a chrooted smtp(8) looks for it.
void judge_chroot_path(View& view, const Table& table) {
  const Socketmap& map = *table.socketmap;
  const std::string queue = view.queue() + "/";
  const std::string seen = real_path(map.path, view.chroot(table), view.queue());
  if (map.path.starts_with("private/") || map.path.starts_with("public/") ||
      seen.starts_with(queue + "private/") || seen.starts_with(queue + "public/")) {
    view.add(
        Code::SocketPlace,
        "private/ and public/ in the queue directory belong to Postfix; put the socket into a "
        "directory of its own",
        {{"mtastsd.toml [socketmap]", "listen = [\"unix:" + queue + "run/mtastsd/policy.sock\"]"},
         view.replace(table, "socketmap:unix:run/mtastsd/policy.sock:" + map.name)});
  }
  if (!view.chroot(table) || !map.path.starts_with('/')) {
    return;
  }
  if (map.path.starts_with(queue)) {
    view.add(
        Code::ChrootPath,
        view.service.name + " is chrooted to " + view.queue() + " and looks for " + seen +
            "; a path relative to the queue directory works with and without the chroot",
        {view.replace(table, "socketmap:unix:" + map.path.substr(queue.size()) + ":" + map.name)});
  } else if (!listens_there(view, table)) {
    view.add(
        Code::ChrootPath,
        view.service.name + " is chrooted to " + view.queue() + " and looks for " + seen +
            "; let mtastsd listen below the queue directory",
        {{"mtastsd.toml [socketmap]", "listen = [\"unix:" + queue + "run/mtastsd/policy.sock\"]"},
         view.replace(table, "socketmap:unix:run/mtastsd/policy.sock:" + map.name)});
  }
}

void judge_denied(View& view, const std::string& path, const SocketReach& reach) {
  const std::string owner(view.facts.main_value("mail_owner"));
  std::string text = "smtp(8) runs as " + owner + " and may not connect to " + path;
  std::vector<Fix> fixes;
  if (reach.blocked == path) {
    text += ": the socket is " + reach.blocked_mode;
    fixes = {{"mtastsd.toml [socketmap]", "socket_group = \"" + owner + "\""},
             {"mtastsd.toml [socketmap]", "socket_mode = \"0660\""}};
  } else if (!reach.blocked.empty()) {
    text += ": the directory " + reach.blocked + " is " + reach.blocked_mode;
    fixes = {{"command", "chgrp " + owner + " " + reach.blocked},
             {"command", "chmod g+x " + reach.blocked}};
  }
  view.add(Code::SocketDenied, text, std::move(fixes));
}

void judge_reach(View& view, const Table& table) {
  const std::string& path = table.socketmap->path;
  const bool chroot = view.chroot(table);
  const std::string real = real_path(path, chroot, view.queue());
  const auto reached = view.facts.sockets.find({path, chroot});
  if (reached == view.facts.sockets.end()) {
    view.add(Code::SocketUnchecked, "only root can test whether smtp(8) may connect to " + real);
  } else if (reached->second.error == 0) {
    view.add(Code::Socket, "smtp(8) may connect to " + real);
  } else if (reached->second.error == EACCES || reached->second.error == EPERM) {
    judge_denied(view, real, reached->second);
  } else {
    view.add(Code::SocketGone, "smtp(8) cannot connect to " + real + ": " +
                                   std::strerror(reached->second.error) +
                                   (reached->second.error == ENOENT ? "; there is no socket" : ""));
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
             "a proxymap process serves many clients one after the other, so a domain with a slow "
             "policy host delays the others");
    return;
  }
  view.found.emplace_back(Code::ProxyReadMaps, "proxy_read_maps",
                          "proxymap(8) refuses " + table.str() + ", which defers all mail",
                          std::vector<Fix>{{"command",
                                            "postconf -e \"proxy_read_maps = $(postconf -h "
                                            "proxy_read_maps) " +
                                                table.str() + "\""}});
}

void judge_host(View& view, const Table& table) {
  const Socketmap& map = *table.socketmap;
  if (!view.chroot(table) || IpAddress::parse(map.host)) {
    return;
  }
  Table numeric = table;
  if (map.host == "localhost") {
    numeric.socketmap->host = "127.0.0.1";
  }
  view.add(Code::HostName,
           "a chrooted smtp(8) looks up \"" + map.host +
               "\" with the files in the chroot; an IP address needs no lookup",
           map.host == "localhost"
               ? std::vector<Fix>{view.replace(table, with_name(numeric, map.name))}
               : std::vector<Fix>{});
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
