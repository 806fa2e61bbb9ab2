// The daemon is asked how it answers Postfix. Of one that is down, the cache file and the
// configuration say how it would, through the same function.

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "daemon.h"
#include "json.h"
#include "mtastsd/answer/explain.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "mtastsd/term/terminal.h"
#include "mx_hosts.h"
#include "settings.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

using resolver::Standing;

struct Arguments {
  std::string key;
  std::string map = std::string(answer::kDefaultMap);
  bool json = false;
  Settings settings;
};

// What is shown: the daemon's explanation, and the MX hosts that the tool looked up.
struct Report {
  answer::Explanation it;
  bool from_daemon = false;
  std::string why;
  bool restricts = false;  // there is a policy that limits which MX hosts may be used
  std::vector<MxHost> hosts;
  std::string hosts_error;
};

std::string why_no_domain(const std::string& key) {
  if (key.starts_with('.')) {
    return "Postfix asks for parent domains by itself; a policy holds for its own domain only "
           "(RFC 8461 section 3.4)";
  }
  return "the key is an address, a single label or no domain name: there can be no policy";
}

// The reason that the resolver left in the entry.
std::string why_no_policy(const cache::Entry& entry) {
  const std::string detail =
      entry.no_policy_detail.empty() ? "" : " (" + printable(entry.no_policy_detail) + ")";
  switch (entry.no_policy_reason) {
    case cache::NoPolicyReason::NoRecord:
      return "the domain publishes no MTA-STS record, and no policy is cached";
    case cache::NoPolicyReason::UnusableRecord:
      return "the domain's MTA-STS record cannot be used" + detail + ", and no policy is cached";
    case cache::NoPolicyReason::DnsFailed:
      return "DNS could not be asked for its MTA-STS record" + detail +
             ", and no policy is cached: it is asked again within seconds";
    case cache::NoPolicyReason::FetchFailed:
    case cache::NoPolicyReason::None:
      break;
  }
  if (entry.failure) {
    return "the policy could not be fetched, and none is cached: mail is sent as if the domain had "
           "no MTA-STS (RFC 8461 section 5.1)";
  }
  return "no usable MTA-STS record was found, and no policy is cached";
}

std::string why(const Report& report, WallTime now) {
  const auto& entry = report.it.entry;
  if (!report.it.domain) {
    return why_no_domain(report.it.key);
  }
  switch (report.it.standing) {
    case Standing::Unknown:
      break;
    case Standing::NoPolicy:
      return why_no_policy(*entry);
    case Standing::NotEnforced:
      return entry->policy->policy.mode == mtasts::Mode::Testing
                 ? "the policy is of mode testing: its domain wants mail delivered in any case"
                 : "the policy is of mode none: its domain asks for no protection";
    case Standing::Enforced:
      return "a policy of mode " + std::string(mtasts::to_string(entry->policy->policy.mode)) +
             " is cached and expires " + relative_text(entry->policy->expires_at(), now);
  }
  return std::string("the cache has nothing current about it, ") +
         (report.from_daemon ? "and looking it up gave nothing"
                             : "and the daemon that would look it up is not running");
}

Result<Report, std::string> ask(const Arguments& arguments, term::Progress& progress) {
  Report report;
  auto daemon = connect_to_daemon(arguments.settings);
  if (daemon) {
    auto explained = daemon->ask(control::ExplainRequest{arguments.map, arguments.key},
                                 [&progress] { progress.tick(); });
    if (!explained) {
      return failure(std::move(explained.error().message));
    }
    report.it = std::move(explained->explanation);
    report.from_daemon = true;
    return report;
  }
  if (daemon.error().problem != control::Error::Problem::NoDaemon) {
    return failure(std::move(daemon.error().message));
  }
  const auto& maps = arguments.settings.config.maps;
  report.it = answer::explain_key({maps.begin(), maps.end()}, arguments.map, arguments.key);
  if (report.it.domain) {
    const auto found = find_entry(arguments.settings, *report.it.domain);
    if (!found) {
      return failure(found.error());
    }
    if (found->entry) {
      answer::explain_entry(report.it, found->entry, false, SystemClock().wall());
    }
  }
  return report;
}

void look_up_hosts(const Arguments& arguments, Report& report, term::Progress& progress) {
  // "[host]" is that host, whatever its MX records say.
  if (report.it.key.starts_with('[')) {
    report.hosts = {{0, report.it.domain->str(), std::nullopt}};
  } else if (auto hosts = mx_hosts(arguments.settings, *report.it.domain,
                                   [&progress] { progress.tick(); })) {
    report.hosts = std::move(*hosts);
  } else {
    report.hosts_error = std::move(hosts.error());
  }
  if (report.restricts) {
    match(report.hosts, report.it.entry->policy->policy);
  }
}

Json to_json(const Report& report) {
  std::vector<Json> hosts;
  for (const MxHost& host : report.hosts) {
    const Json passes{host.pattern ? "true" : "false"};
    hosts.push_back(
        json_object({{"preference", std::uint64_t{host.preference}},
                     {"host", host.host},
                     {"passes", report.restricts ? passes : null()},
                     {"pattern", host.pattern ? json_text(host.pattern->str()) : null()}}));
  }
  const answer::Explanation& it = report.it;
  const Json profile = json_object({{"known", it.map_known},
                                    {"servername", it.profile.servername},
                                    {"report_attributes", it.profile.report_attributes},
                                    {"enforce_testing", it.profile.enforce_testing}});
  return json_object(
      {{"key", it.key},
       {"domain", it.domain ? json_text(it.domain->str()) : null()},
       {"map", it.map},
       {"profile", profile},
       {"from_daemon", report.from_daemon},
       {"looked_up", it.looked_up},
       {"entry", it.entry ? Json{control::to_json(it.domain->view(), *it.entry)} : null()},
       {"reply", it.reply.empty() ? null() : json_text(it.reply)},
       {"why", report.why},
       {"mx", json_array(hosts)},
       {"mx_error", report.hosts_error.empty() ? null() : json_text(report.hosts_error)}});
}

std::string profile_text(const answer::Explanation& it) {
  std::string text = it.map;
  if (!it.map_known) {
    text += " (not configured: answered as \"" + std::string(answer::kDefaultMap) + "\")";
  }
  text += it.profile.servername ? ", with SNI" : ", without SNI (Postfix before 3.4)";
  text += it.profile.report_attributes ? ", with the attributes for TLS reports" : "";
  return text + (it.profile.enforce_testing ? ", testing is enforced" : "");
}

std::string source_text(const Report& report) {
  if (!report.from_daemon) {
    return "the cache file: the daemon is not running";
  }
  return report.it.looked_up ? "the running daemon, which looked it up just now"
                             : "the running daemon";
}

void print_hosts(const term::Terminal& terminal, const Report& it) {
  const auto line = [&terminal](std::string_view name, const std::string& value,
                                term::Colour colour) {
    std::fputs(term::field(terminal, name, value, colour).c_str(), stdout);
  };
  if (!it.hosts_error.empty()) {
    line("MX hosts", printable(it.hosts_error), term::Colour::Yellow);
    return;
  }
  if (it.hosts.empty()) {
    line("MX hosts", "none: the domain takes no mail", term::Colour::Yellow);
  }
  std::string_view name = "MX hosts";
  for (const MxHost& host : it.hosts) {
    std::string text = std::to_string(host.preference) + " " + printable(host.host);
    term::Colour colour = term::Colour::None;
    if (host.pattern) {
      text += "  matches " + host.pattern->str();
      colour = term::Colour::Green;
    } else if (it.restricts) {
      text += "  matches no pattern";
      colour = term::Colour::Red;
    }
    line(name, text, colour);
    name = "";
  }
}

void print(const Report& report) {
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  const auto line = [&terminal](std::string_view name, const std::string& value,
                                term::Colour colour = term::Colour::None) {
    std::fputs(term::field(terminal, name, value, colour).c_str(), stdout);
  };
  const answer::Explanation& it = report.it;
  line("Key", printable(it.key));
  line("Map", printable(profile_text(it)));
  if (it.domain) {
    line("Policy domain", it.domain->str());
    line("Known from", source_text(report));
    if (it.entry) {
      std::fputs(describe(terminal, *it.domain, *it.entry, SystemClock().wall()).c_str(), stdout);
    }
  }
  const bool found = it.reply.starts_with("OK ");
  line("Reply", it.reply.empty() ? "only the running daemon can tell" : printable(it.reply),
       found ? term::Colour::Green : term::Colour::Yellow);
  if (it.domain && !it.reply.empty() && !report.from_daemon) {
    line("", "(what the daemon would say if it were running)");
  }
  line("Why", report.why);
  if (it.domain) {
    print_hosts(terminal, report);
  }
}

int explain(Arguments& arguments) {
  if (auto loaded = arguments.settings.load(); !loaded) {
    return term::trouble(loaded.error());
  }
  term::Progress progress("asking mtastsd and DNS");
  auto report = ask(arguments, progress);
  if (!report) {
    return term::trouble(report.error());
  }
  const WallTime now = SystemClock().wall();
  const answer::Explanation& it = report->it;
  report->why = why(*report, now);
  report->restricts = it.entry && it.entry->policy && it.entry->policy->expires_at() > now &&
                      it.entry->policy->policy.mode != mtasts::Mode::None;
  if (it.domain) {
    look_up_hosts(arguments, *report, progress);
  }
  progress.hide();
  if (arguments.json) {
    std::puts(to_json(*report).text.c_str());
  } else {
    print(*report);
  }
  if (it.reply.starts_with("OK ")) {
    return term::kGood;
  }
  return it.reply.starts_with("NOTFOUND") ? term::kNotFound : term::kTrouble;
}

}  // namespace

void add_explain(Verb& root) {
  Verb verb = root.add("explain", "show what mtastsd says to a key, and why");
  Arguments& arguments = verb.runs(explain);
  verb.argument("KEY", arguments.key,
                "the key as Postfix sends it: a domain, or a next-hop such as [relay.example]:587");
  verb.option("--map", arguments.map, "NAME", "the socketmap name, as in main.cf");
  verb.flag("--json", arguments.json, "print one JSON object");
  arguments.settings.add_option(verb);
}

}  // namespace mtastsd::ctl
