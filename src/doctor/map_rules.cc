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
#include "remedy.h"
#include "tables.h"

namespace mtastsd::doctor {
namespace {

// The tables of one service, and what was found about them.
struct View {
  const Facts& facts;
  const SmtpService& service;
  std::vector<Table> tables;
  Remedy remedy;
  std::vector<Finding> found;

  std::string queue() const { return std::string(facts.main_value("queue_directory")); }
  bool chroot(const Table& table) const { return in_chroot(facts, service, table.proxied); }

  Finding& note(Code code, std::string text) {
    return found.emplace_back(code, kMaps, std::move(text));
  }
  // A finding that the remedy puts right.
  Finding& add(Code code, std::string text) {
    Finding& one = note(code, std::move(text));
    one.fixes = remedy.lines;
    return one;
  }
};

// What a table answered; nullptr if it was not asked.
const TableAnswer* answer_of(const View& view, const Table& table) {
  const auto asked = view.facts.tables.find({table.text, view.chroot(table)});
  return asked == view.facts.tables.end() ? nullptr : &asked->second;
}

// True if something in the list looks like an attempt to ask mtastsd.
bool looks_like_mtastsd(const View& view, const Table& table) {
  return table.type == "socketmap" ||
         (unknown_type(view.facts, table) && (table.text.find(":inet:") != std::string::npos ||
                                              table.text.find(":unix:") != std::string::npos));
}

void judge_absence(View& view) {
  const auto attempt =
      std::find_if(view.tables.begin(), view.tables.end(),
                   [&](const Table& table) { return looks_like_mtastsd(view, table); });
  if (attempt != view.tables.end()) {
    view.add(Code::MapSyntax,
             attempt->str() + " is not socketmap:inet:HOST:PORT:NAME or socketmap:unix:PATH:NAME.");
  } else if (view.service.overrides.find(kMaps) != view.service.overrides.end()) {
    view.add(
        Code::MapOffHere,
        fmt::format("Mail through {} is sent without MTA-STS, because master.cf overrides this "
                    "parameter. Remove that line, or change it.",
                    view.service.name));
  } else {
    view.add(Code::MapMissing, "Postfix does not ask mtastsd, so no MTA-STS policy is applied.");
  }
}

// mtastsd is asked by a table that asks others.
void judge_wrapped(View& view, const Table& table) {
  if (table.members.size() == 1 && table.type != "randmap") {
    view.add(Code::MapWrapped,
             fmt::format("{} asks mtastsd inside another table, which is not needed.", table.str()))
        .severity = Severity::Info;
    return;
  }
  const std::string_view result =
      table.type == "randmap"    ? "Postfix takes its members for answers, and all mail is deferred"
      : table.type == "unionmap" ? "Postfix joins the answers of its members, which is no valid "
                                   "policy, and that mail is deferred"
                                 : "Only what an earlier member answers reaches the next one, so "
                                   "mtastsd is not asked about domains";
  view.add(Code::MapWrapped,
           fmt::format("mtastsd is in a {}. {}. List the tables one after the other.", table.type,
                       result));
}

// The first match decides, and an error of one table defers the mail.
void judge_order(View& view, std::size_t mtastsd) {
  std::vector<std::string> before;
  for (const Table& table : std::span(view.tables).first(mtastsd)) {
    const TableAnswer* answer = answer_of(view, table);
    if (answer != nullptr && !answer->everything.empty()) {
      view.add(Code::MapHidden,
               table.str() + " matches every domain, so the tables after it are never asked.");
    } else if (!wraps_socketmap(table)) {
      before.push_back(table.str());
    }
  }
  if (!before.empty()) {
    view.note(Code::MapOrder,
              fmt::format("mtastsd is asked after {}, which {} for the domains that match.",
                          joined(before), before.size() == 1 ? "decides" : "decide"));
  }
  for (const Table& table : std::span(view.tables).subspan(mtastsd + 1)) {
    if (!listener_of(view.facts, view.service, table).empty()) {
      view.add(Code::MapTwice,
               fmt::format("{} asks mtastsd a second time for every domain without a policy.",
                           table.str()));
    }
  }
}

void judge_broken(View& view, const Table& table, const TableAnswer& answer) {
  if (answer.has_source) {
    view.note(Code::MapBroken,
              fmt::format("{} has not been built, which defers all mail that no earlier table "
                          "matches.",
                          table.str()))
        .fixes = {{"command", "postmap" + view.facts.postfix_option + " " + table.text}};
    return;
  }
  view.add(
      Code::MapBroken,
      fmt::format("{} cannot be used, which defers all mail that no earlier table matches: {}. "
                  "Leave it out until it can.",
                  table.str(), answer.reason));
}

void judge_other_tables(View& view, std::size_t mtastsd) {
  for (std::size_t i = 0; i < view.tables.size(); ++i) {
    const Table& table = view.tables[i];
    const TableAnswer* answer = answer_of(view, table);
    if (i == mtastsd) {
      continue;
    }
    if (wraps_socketmap(table)) {
      judge_wrapped(view, table);
    } else if (unknown_type(view.facts, table)) {
      view.add(
          Code::MapTypeUnknown,
          fmt::format("This Postfix has no tables of the type \"{}\", so all mail is deferred. "
                      "Leave {} out, or install what supports it.",
                      table.type, table.str()));
    } else if (answer != nullptr && answer->hidden) {
      view.note(Code::MapUnchecked,
                fmt::format("You may not read {}. Run this as root.", table.str()));
    } else if (answer != nullptr && !answer->good) {
      judge_broken(view, table, *answer);
    } else if (answer != nullptr && !answer->everything.empty() &&
               !begins_with_level(answer->everything)) {
      view.add(Code::MapBroken,
               fmt::format("{} answers \"{}\", which is no TLS level, and that defers the mail.",
                           table.str(), answer->everything));
    }
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
                    "decides how your mail is protected. Find out why and end that process, or "
                    "let mtastsd listen elsewhere. Where systemd holds the socket "
                    "(mtastsd.socket), nobody else can take it.",
                    table.str(), stranger->second));
    return;
  }
  const bool listed =
      view.facts.config_unknown() || !listener_of(view.facts, view.service, table).empty();
  if (answer->good && !answer->everything.empty()) {
    view.add(
        Code::NotMtastsd,
        fmt::format("The server at {} answers \"{}\" for a name that cannot exist, so it is not "
                    "mtastsd.",
                    table.str(), answer->everything));
  } else if (answer->good && listed) {
    view.note(Code::DaemonAnswers, fmt::format("mtastsd answers at {}.", table.str()));
  } else if (answer->good && answer->elsewhere) {
    view.note(
        Code::DaemonElsewhere,
        fmt::format("{} is on another host, so its configuration was not looked at.", table.str()));
  } else if (answer->good) {
    view.add(Code::DaemonAddress,
             fmt::format("A server answers at {}, but mtastsd's configuration does not have this "
                         "address. mtastsd has not been restarted since that was changed, or this "
                         "is another server.",
                         table.str()));
  } else if (answer->hidden) {
    view.note(Code::DaemonUnchecked,
              fmt::format("You may not connect to {}. Run this as root.", table.str()));
  } else if (listed) {
    view.add(
        Code::DaemonSilent,
        fmt::format("mtastsd does not answer at {}, and all mail is deferred until it does: {}.",
                    table.str(), answer->reason));
  } else {
    view.add(
        Code::DaemonSilent,
        fmt::format("No server answers at {}, which is not an address in mtastsd's configuration. "
                    "All mail is deferred: {}.",
                    table.str(), answer->reason));
  }
}

void judge_profile(View& view, const Table& table) {
  const std::string& version = view.facts.version;
  const auto can = postfix::profile_for_postfix(version);
  if (view.facts.config_unknown() || !can) {
    return;
  }
  const std::string& name = table.socketmap->name;
  const auto& maps = view.facts.daemon.maps;
  auto map = maps.find(name);
  if (map == maps.end()) {
    view.add(
        Code::MapNameUnknown,
        fmt::format("mtastsd has no map \"{}\" and answers as for the map \"postfix\".", name));
    map = maps.find("postfix");
  }
  const postfix::Profile& has = map->second;
  if ((has.report_attributes && !can->report_attributes) || (has.servername && !can->servername)) {
    view.add(Code::ProfileTooNew,
             fmt::format(
                 "The map \"{}\" sends attributes that Postfix {} does not know, which defers the "
                 "mail.",
                 name, version));
  } else if (can->report_attributes && !has.report_attributes) {
    const bool checks = view.facts.main.count("smtp_tls_enforce_sts_mx_patterns") != 0;
    view.add(Code::ProfileTooOld,
             fmt::format("The map \"{}\" does not send the policy to Postfix {}, which {}.", name,
                         version,
                         checks ? "then cannot compare the names of MX hosts with it"
                                : "could use it in TLS reports"))
        .severity = checks ? Severity::Medium : Severity::Info;
  } else if (can->servername && !has.servername) {
    view.add(Code::ProfileNoSni,
             fmt::format(
                 "The map \"{}\" is for a Postfix before 3.4, so Postfix sends no SNI, and a mail "
                 "server may present the certificate of another host.",
                 name));
  } else {
    view.note(Code::Profile, fmt::format("The map \"{}\" fits Postfix {}.", name, version));
  }
  if (has.observe) {
    view.note(
        Code::ProfileObserves,
        fmt::format(
            "The map \"{}\" only observes: no policy is enforced, and Postfix delivers as "
            "if there were no mtastsd. \"mtastsctl observe report\" lists what would be "
            "enforced; then set {} to \"enforce\".",
            name,
            view.facts.daemon.daemon.observe ? "mode in [daemon]" : "mode in [maps." + name + "]"));
  }
  if (has.enforce_testing) {
    view.note(
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
  if (map.path.starts_with("private/") || map.path.starts_with("public/") ||
      seen.starts_with(queue + "private/") || seen.starts_with(queue + "public/")) {
    view.add(Code::SocketPlace,
             "The directories private and public in the queue directory belong to Postfix. mtastsd "
             "needs another address.");
  }
  if (!view.chroot(table) || !map.path.starts_with('/')) {
    return;
  }
  const std::string problem =
      fmt::format("{} is chrooted to {} and looks for {}.", view.service.name, view.queue(), seen);
  if (map.path.starts_with(queue)) {
    view.add(
        Code::ChrootPath,
        problem + " A path relative to the queue directory works with and without the chroot.");
  } else if (listener_of(view.facts, view.service, table).empty()) {
    view.add(Code::ChrootPath, problem);
  }
}

void judge_denied(View& view, const std::string& path, const SocketReach& reach) {
  const std::string owner(view.facts.main_value("mail_owner"));
  std::string text = fmt::format("smtp(8) runs as {} and may not connect to {}", owner, path);
  for (const Block& block : reach.blocked) {
    text += fmt::format(": {} {} is {}", block.path == path ? "the socket" : "the directory",
                        block.path, block.mode);
  }
  view.note(Code::SocketDenied, text + ".").fixes = permission_lines(view.facts, path, reach);
}

void judge_reach(View& view, const Table& table) {
  const std::string& path = table.socketmap->path;
  const bool chroot = view.chroot(table);
  const std::string real = real_path(path, chroot, view.queue());
  const auto reached = view.facts.sockets.find({path, chroot});
  if (reached == view.facts.sockets.end()) {
    view.note(Code::SocketUnchecked,
              fmt::format("Only root can test whether smtp(8) may connect to {}. Run this as root.",
                          real));
    return;
  }
  const int error = reached->second.error;
  if (error == 0) {
    view.note(Code::Socket, fmt::format("smtp(8) may connect to {}.", real));
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
    view.note(Code::Proxy,
              "A proxymap process serves many clients one after the other, so a domain with a slow "
              "policy host delays the others.");
    return;
  }
  view.add(Code::ProxyReadMaps,
           fmt::format("proxymap(8) refuses {}, because it is not in proxy_read_maps, and all mail "
                       "is deferred. smtp(8) can ask without it.",
                       table.str()));
}

void judge_host(View& view, const Table& table) {
  const Socketmap& map = *table.socketmap;
  if (!view.chroot(table) || IpAddress::parse(map.host)) {
    return;
  }
  Finding& found = view.note(
      Code::HostName,
      fmt::format("A chrooted smtp(8) looks up \"{}\" with the files in the chroot. An IP "
                  "address needs no lookup.",
                  map.host));
  if (map.host == "localhost") {
    found.fixes = view.remedy.lines;
  }
}

}  // namespace

std::vector<Finding> judge_maps(const Facts& facts, const SmtpService& service) {
  View view{facts,
            service,
            parse_tables(value_for(facts, service, kMaps)),
            remedy_for(facts, service),
            {}};
  const std::size_t mtastsd = find_mtastsd(facts, service, view.tables);
  judge_other_tables(view, mtastsd);
  if (mtastsd == view.tables.size()) {
    const bool wrapped = std::any_of(view.tables.begin(), view.tables.end(), wraps_socketmap);
    if (!wrapped) {
      judge_absence(view);
    }
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
