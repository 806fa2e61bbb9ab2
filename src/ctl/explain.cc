// The way of a query, step by step, on what the daemon knows. A daemon that runs is asked as
// Postfix asks, so that its reply is the one that Postfix gets; of one that is down it is what it
// would say from its cache.

#include "explain.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mtastsd/answer/answerer.h"
#include "mtastsd/answer/reply.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/postfix/postfix_policy.h"
#include "mtastsd/postfix/request.h"
#include "mtastsd/socketmap/client.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "mtastsd/term/terminal.h"
#include "mtastsd/term/time_text.h"
#include "mx_hosts.h"
#include "settings.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

using nlohmann::json;
using resolver::Standing;

struct Arguments {
  std::string key;
  std::string map = std::string(answer::kDefaultMap);
  bool json = false;
  Settings settings;
};

struct Explanation {
  std::string key;
  std::string map;
  bool map_known = true;
  postfix::Profile profile;
  std::optional<DomainName> domain;
  Found found;
  std::optional<std::string> reply;
  bool reply_from_daemon = false;
  std::string why;
  bool restricts = false;  // there is a policy, which has a say in the MX hosts
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

std::string why(const std::optional<cache::Entry>& entry, Standing standing, WallTime now) {
  switch (standing) {
    case Standing::Unknown:
      return entry ? "what the cache has of it is over: the daemon has to look it up"
                   : "the cache knows nothing of it: the daemon has to look it up";
    case Standing::NoPolicy:
      if (entry && entry->failure) {
        return "no policy could be had, and none is cached: as if the domain had no MTA-STS "
               "(RFC 8461 section 5.1)";
      }
      if (entry && entry->recheck_at - entry->txt_checked_at <= resolver::kDnsFailureHold) {
        return "DNS could not be asked for its MTA-STS record, and no policy is cached: it is "
               "asked "
               "again within seconds";
      }
      return "no usable MTA-STS record was found, and no policy is cached";
    case Standing::NotEnforced:
      return "the policy is of mode " + std::string(mtasts::to_string(entry->policy->policy.mode)) +
             (entry->policy->policy.mode == mtasts::Mode::Testing
                  ? ": its domain wants mail delivered in any case"
                  : ": its domain asks for no protection");
    case Standing::Enforced:
      return "a policy of mode " + std::string(mtasts::to_string(entry->policy->policy.mode)) +
             " is cached and ends " + term::relative_text(entry->policy->expires_at(), now);
  }
  return "";
}

class Explainer {
 public:
  explicit Explainer(const Arguments& arguments) : arguments_(arguments) {}

  Result<Explanation, std::string> run() {
    progress_.tick();
    result_.key = arguments_.key;
    result_.map = arguments_.map;
    const auto& maps = arguments_.settings.config.maps;
    const auto map = maps.find(arguments_.map);
    result_.map_known = map != maps.end();
    result_.profile = (result_.map_known ? map : maps.find(answer::kDefaultMap))->second;
    result_.domain = postfix::policy_domain_of(arguments_.key);
    if (!result_.domain) {
      result_.reply = std::string(postfix::kNotFound);
      result_.why = why_no_domain(arguments_.key);
      return std::move(result_);
    }
    ask_daemon();
    auto found = find_entry(arguments_.settings, *result_.domain);
    if (!found) {
      return failure(std::move(found.error()));
    }
    result_.found = std::move(*found);
    explain_entry();
    look_up_hosts();
    progress_.hide();
    return std::move(result_);
  }

 private:
  void ask_daemon() {
    auto client = socketmap::Client::connect(arguments_.settings.config.socketmap.listen.front());
    if (!client || !client->send(arguments_.map, arguments_.key)) {
      return;
    }
    if (auto reply = client->receive([this] { progress_.tick(); })) {
      result_.reply = std::move(*reply);
      result_.reply_from_daemon = true;
    }
  }

  void explain_entry() {
    const WallTime now = SystemClock().wall();
    const auto& entry = result_.found.entry;
    Standing standing = Standing::Unknown;
    if (entry) {
      cache::EntryView view(std::make_shared<const cache::Entry>(*entry));
      std::vector<std::string_view> patterns;
      std::string reply;
      standing = answer::reply_from_entry(view, false, now, *result_.domain, result_.profile,
                                          patterns, reply)
                     .standing;
      if (!result_.reply && standing != Standing::Unknown) {
        result_.reply = std::move(reply);
      }
      result_.restricts = entry->policy && entry->policy->expires_at() > now &&
                          entry->policy->policy.mode != mtasts::Mode::None;
    }
    result_.why = why(entry, standing, now);
  }

  void look_up_hosts() {
    // "[host]" is that host, whatever MX records there are.
    if (arguments_.key.starts_with('[')) {
      result_.hosts = {{0, result_.domain->str(), std::nullopt}};
    } else if (auto hosts =
                   mx_hosts(arguments_.settings, *result_.domain, [this] { progress_.tick(); })) {
      result_.hosts = std::move(*hosts);
    } else {
      result_.hosts_error = std::move(hosts.error());
    }
    if (result_.restricts) {
      match(result_.hosts, result_.found.entry->policy->policy);
    }
  }

  const Arguments& arguments_;
  term::Progress progress_{"asking mtastsd and DNS"};
  Explanation result_;
};

json to_json(const Explanation& it) {
  json hosts = json::array();
  for (const MxHost& host : it.hosts) {
    hosts.push_back({{"preference", host.preference},
                     {"host", host.host},
                     {"passes", it.restricts ? json(host.pattern.has_value()) : json(nullptr)},
                     {"pattern", host.pattern ? json(host.pattern->str()) : json(nullptr)}});
  }
  const auto entry = [&it] {
    return it.found.entry ? control::entry_to_json(it.domain->view(), *it.found.entry)
                          : json(nullptr);
  };
  return {{"key", it.key},
          {"domain", it.domain ? json(it.domain->view()) : json(nullptr)},
          {"map", it.map},
          {"profile",
           {{"known", it.map_known},
            {"servername", it.profile.servername},
            {"report_attributes", it.profile.report_attributes},
            {"enforce_testing", it.profile.enforce_testing}}},
          {"from_daemon", it.found.from_daemon},
          {"entry", entry()},
          {"reply", it.reply ? json(*it.reply) : json(nullptr)},
          {"reply_from_daemon", it.reply_from_daemon},
          {"why", it.why},
          {"mx", std::move(hosts)},
          {"mx_error", it.hosts_error.empty() ? json(nullptr) : json(it.hosts_error)}};
}

std::string profile_text(const Explanation& it) {
  std::string text = it.map;
  if (!it.map_known) {
    text += " (not configured: answered as \"" + std::string(answer::kDefaultMap) + "\")";
  }
  text += it.profile.servername ? ", with SNI" : ", without SNI (Postfix before 3.4)";
  text += it.profile.report_attributes ? ", with the attributes for TLS reports" : "";
  return text + (it.profile.enforce_testing ? ", testing is enforced" : "");
}

void print_hosts(const term::Terminal& terminal, const Explanation& it) {
  const auto line = [&terminal](std::string_view name, const std::string& value,
                                term::Colour colour) {
    std::fputs(term::field(terminal, name, value, colour).c_str(), stdout);
  };
  if (!it.hosts_error.empty()) {
    line("MX hosts", term::printable(it.hosts_error), term::Colour::Yellow);
    return;
  }
  if (it.hosts.empty()) {
    line("MX hosts", "none: the domain takes no mail", term::Colour::Yellow);
  }
  std::string_view name = "MX hosts";
  for (const MxHost& host : it.hosts) {
    std::string text = std::to_string(host.preference) + " " + term::printable(host.host);
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

void print(const Explanation& it) {
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  const auto line = [&terminal](std::string_view name, const std::string& value,
                                term::Colour colour = term::Colour::None) {
    std::fputs(term::field(terminal, name, value, colour).c_str(), stdout);
  };
  line("Key", term::printable(it.key));
  line("Map", term::printable(profile_text(it)));
  if (it.domain) {
    line("Policy domain", it.domain->str());
    line("Known by", it.found.from_daemon ? "the running daemon"
                                          : "the cache's files: the daemon does not answer at its "
                                            "control socket");
    if (it.found.entry) {
      std::fputs(describe(terminal, *it.domain, *it.found.entry, SystemClock().wall()).c_str(),
                 stdout);
    }
  }
  const bool found = it.reply && it.reply->starts_with("OK ");
  line("Reply", it.reply ? term::printable(*it.reply) : "cannot be told without the daemon",
       found ? term::Colour::Green : term::Colour::Yellow);
  if (it.domain && it.reply && !it.reply_from_daemon) {
    line("", "(what the daemon would say: it is not running)");
  }
  line("Why", it.why);
  if (it.domain) {
    print_hosts(terminal, it);
  }
}

int explain(Arguments& arguments) {
  if (auto loaded = arguments.settings.load(); !loaded) {
    return term::trouble(loaded.error());
  }
  const auto explanation = Explainer(arguments).run();
  if (!explanation) {
    return term::trouble(explanation.error());
  }
  if (arguments.json) {
    std::puts(control::to_line(to_json(*explanation)).c_str());
  } else {
    print(*explanation);
  }
  if (!explanation->reply) {
    return term::kTrouble;
  }
  if (explanation->reply->starts_with("OK ")) {
    return term::kGood;
  }
  return explanation->reply->starts_with("NOTFOUND") ? term::kNotFound : term::kTrouble;
}

}  // namespace

void add_explain(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb =
      app.add_subcommand("explain", "what mtastsd says to a key, and how it comes to that");
  verb->add_option("KEY", arguments->key,
                   "the key as Postfix sends it: a domain, or a next-hop such as "
                   "[relay.example]:587")
      ->required();
  verb->add_option("--map", arguments->map, "the socketmap name, as in main.cf")
      ->type_name("NAME")
      ->capture_default_str();
  verb->add_flag("--json", arguments->json, "one JSON object");
  arguments->settings.add_option(*verb);
  verb->callback([arguments, &run] { run = [arguments] { return explain(*arguments); }; });
}

}  // namespace mtastsd::ctl
