// The daemon is asked how it answers Postfix. Of one that is down, the cache file and the
// configuration say how it would, through the same function.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "mtastsd/answer/explain.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/override_json.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/log/log.h"
#include "mtastsd/mtasts/mx_match.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

using resolver::Standing;
using Json = nlohmann::ordered_json;

constexpr Milliseconds kTick{100};

// A host that mail for a domain is sent to.
struct MxHost {
  std::uint16_t preference = 0;
  std::string host;
  std::optional<std::string> pattern;  // the first of the policy's that it matches
  std::optional<dane::Host> tlsa;      // what mtastsd knows of its TLSA records
};

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
  bool restricts = false;  // there is a policy or a pin that limits which MX hosts may be used
  std::vector<MxHost> hosts;
  std::optional<std::string> hosts_error;
};

std::string why_no_domain(const std::string& key) {
  if (key.starts_with('.')) {
    return "Postfix asks for parent domains by itself; a policy holds for its own domain only "
           "(RFC 8461 section 3.4)";
  }
  return "the key is an address, a single label or no domain name: there can be no policy";
}

std::string why_no_policy(const cache::Entry& entry) {
  const std::string text = no_policy_text(entry) + ", and none is cached";
  if (entry.no_policy_reason == cache::NoPolicyReason::DnsFailed) {
    return text + ": it is looked up again within seconds";
  }
  return entry.failure ? text +
                             ": mail is sent as if the domain had no MTA-STS (RFC 8461 section "
                             "5.1)"
                       : text;
}

std::string why_enforced(const cache::Entry& entry, WallTime now) {
  return "a policy of mode " + std::string(mtasts::to_string(entry.policy->policy.mode)) +
         " is cached and expires " + relative_text(entry.policy->expires_at(), now);
}

std::string why_overridden(const overrides::Override& one, WallTime now) {
  std::string text = "the override of " + one.scope.str() + " says \"" +
                     std::string(to_string(one.action)) +
                     "\", whatever the domain publishes: " + printable(one.reason) + ". It ";
  text += one.until ? "ends " + relative_text(*one.until, now) : "is permanent";
  return text + (one.source == overrides::Source::CommandLine ? ", and was added by " + one.by
                                                              : ", and is in the configuration");
}

// What is known of DANE for the key, or null.
const dane::State* dane_of(const Report& report) {
  const answer::Explanation& it = report.it;
  return it.entry && it.profile.dane ? cache::find_dane(*it.entry, it.target) : nullptr;
}

// For people: what the MX records mean for DANE.
std::string mail_text(dane::Mail mail) {
  switch (mail) {
    case dane::Mail::Unknown:
      break;
    case dane::Mail::Secure:
      return "no mail host has TLSA records that can be used";
    case dane::Mail::Insecure:
      return "the MX records are not signed";
    case dane::Mail::Null:
      return "the domain takes no mail";
    case dane::Mail::NoDomain:
      return "there is no such name";
  }
  return "DNS did not say";
}

std::string why_not_dane(const Report& report) {
  const dane::State* state = dane_of(report);
  if (state == nullptr) {
    return "; nothing is known of DANE";
  }
  if (state->facts.ruling == dane::Ruling::DoesNotApply) {
    return "; DANE does not apply: " + mail_text(state->mail);
  }
  return "; it could not be found out whether DANE applies, so the policy does";
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
      return why_enforced(*entry, now) + (report.it.profile.dane ? why_not_dane(report) : "");
    case Standing::Dane:
      return why_enforced(*entry, now) +
             ", and DANE decides: a mail host has TLSA records, which a policy must not override "
             "(RFC 8461 section 2)";
    case Standing::Overridden:
      return why_overridden(*report.it.override_in_force, now);
    case Standing::Observed:  // an explanation has what that comes from
      break;
  }
  return std::string("the cache has nothing current about it, ") +
         (report.from_daemon ? "and looking it up gave nothing"
                             : "and the daemon that would look it up is not running");
}

Report ask(const Arguments& arguments, term::Progress& progress) {
  Report report;
  if (auto daemon = connect_to_daemon(arguments.settings)) {
    const control::ExplainRequest request{arguments.map, arguments.key};
    report.it = need(daemon->ask(request, [&progress] { progress.tick(); })).explanation;
    report.from_daemon = true;
    return report;
  }
  const auto& maps = arguments.settings.config.maps;
  report.it = answer::explain_key({maps.begin(), maps.end()}, nullptr, arguments.map, arguments.key,
                                  SystemClock().wall());
  if (report.it.domain) {
    if (const auto entry = find_entry(arguments.settings, *report.it.domain).entry) {
      answer::explain_entry(report.it, entry, false, true, SystemClock().wall());
    }
  }
  return report;
}

// The MX hosts by preference. Without an MX record it is the domain itself (RFC 5321 section 5.1),
// and a null MX names none (RFC 7505).
std::vector<MxHost> hosts_of(const DomainName& domain, dns::Answer<dns::MxRecords> answer) {
  auto* found = std::get_if<dns::MxRecords>(&*answer);
  if (found == nullptr) {
    return answer.provenance.no_such_name
               ? std::vector<MxHost>()
               : std::vector<MxHost>{{0, domain.str(), std::nullopt, std::nullopt}};
  }
  std::vector<MxHost> hosts;
  for (dns::Mx& record : found->records) {
    if (record.host != ".") {
      hosts.push_back({record.preference, std::move(record.host), std::nullopt, std::nullopt});
    }
  }
  std::sort(hosts.begin(), hosts.end(), [](const MxHost& a, const MxHost& b) {
    return std::tie(a.preference, a.host) < std::tie(b.preference, b.host);
  });
  return hosts;
}

// Asks the servers that the daemon asks.
void look_up_hosts(const config::Config& config, Report& report, term::Progress& progress) {
  event::Loop loop;
  const SystemClock clock;
  Log log = Log::null();
  const auto client = dns::AresClient::make(loop, clock, log,
                                            {.servers = config.dns.servers,
                                             .resolv_conf = config.dns.resolv_conf,
                                             .timeout = config.dns.timeout});
  const DomainName& domain = *report.it.domain;
  const auto question = client->mx(domain.str(), [&](dns::Answer<dns::MxRecords> answer) {
    if (answer) {
      report.hosts = hosts_of(domain, std::move(answer));
    } else {
      report.hosts_error = "the MX hosts of " + domain.str() +
                           " could not be looked up: " + describe(answer.error());
    }
    loop.stop();
  });
  std::unique_ptr<event::Timer> timer;
  timer = loop.make_timer([&] {
    progress.tick();
    timer->arm(kTick);
  });
  timer->arm(kTick);
  loop.run();
}

// The patterns that limit which MX hosts may be used, or null.
const std::vector<mtasts::MxPattern>* patterns_of(const answer::Explanation& it, WallTime now) {
  if (it.override_in_force) {
    const auto& pinned = it.override_in_force->mx;
    return pinned.empty() ? nullptr : &pinned;
  }
  const bool restricts = it.entry && it.entry->policy && it.entry->policy->expires_at() > now &&
                         it.entry->policy->policy.mode != mtasts::Mode::None;
  return restricts ? &it.entry->policy->policy.mx : nullptr;
}

// RFC 8461 section 4.1.
void match(std::vector<MxHost>& hosts, const std::vector<mtasts::MxPattern>& patterns) {
  for (MxHost& host : hosts) {
    const auto name = DomainName::parse(host.host);
    const auto found = std::find_if(
        patterns.begin(), patterns.end(),
        [&name](const mtasts::MxPattern& pattern) { return name && matches(pattern, *name); });
    if (found != patterns.end()) {
      host.pattern = found->str();
    }
  }
}

// What the daemon knows, and so answers by.
void add_tlsa(Report& report) {
  const dane::State* state = dane_of(report);
  if (state == nullptr) {
    return;
  }
  for (MxHost& host : report.hosts) {
    const auto name = DomainName::parse(host.host);
    for (const dane::Host& known : state->hosts) {
      if (name && name->view() == known.name) {
        host.tlsa = known;
      }
    }
  }
}

Json text_or_null(const std::optional<std::string>& text) {
  return text ? Json(*text) : nullptr;
}

Json dane_json(const Report& report) {
  const dane::State* state = dane_of(report);
  if (state == nullptr) {
    return nullptr;
  }
  return {{"ruling", to_string(state->facts.ruling)},
          {"mx", to_string(state->mail)},
          {"by_mx", state->target.by_mx},
          {"port", state->target.port}};
}

Json to_json(const Report& report) {
  Json hosts = Json::array();
  for (const MxHost& host : report.hosts) {
    hosts.push_back({{"preference", host.preference},
                     {"host", host.host},
                     {"passes", report.restricts ? Json(host.pattern.has_value()) : nullptr},
                     {"pattern", text_or_null(host.pattern)},
                     {"tlsa", host.tlsa ? Json(to_string(host.tlsa->status)) : nullptr}});
  }
  const answer::Explanation& it = report.it;
  return {{"key", it.key},
          {"domain", it.domain ? Json(it.domain->view()) : nullptr},
          {"map", it.map},
          {"profile",
           {{"known", it.map_known},
            {"servername", it.profile.servername},
            {"report_attributes", it.profile.report_attributes},
            {"enforce_testing", it.profile.enforce_testing},
            {"dane", it.profile.dane},
            {"observe", it.profile.observe}}},
          {"from_daemon", report.from_daemon},
          {"looked_up", it.looked_up},
          {"entry", it.entry ? ctl::to_json(*it.domain, it.entry) : nullptr},
          {"reply", it.reply.empty() ? nullptr : Json(it.reply)},
          {"enforced_reply", it.enforced.empty() ? nullptr : Json(it.enforced)},
          {"why", report.why},
          {"override",
           it.override_in_force ? Json::parse(control::to_json(*it.override_in_force)) : nullptr},
          {"dane", dane_json(report)},
          {"mx", hosts},
          {"mx_error", text_or_null(report.hosts_error)}};
}

std::string profile_text(const answer::Explanation& it) {
  std::string text = it.map;
  if (!it.map_known) {
    text += " (not configured: answered as \"" + std::string(answer::kDefaultMap) + "\")";
  }
  text += it.profile.servername ? ", with SNI" : ", without SNI (Postfix before 3.4)";
  text += it.profile.report_attributes ? ", with the attributes for TLS reports" : "";
  text += it.profile.dane ? ", with DANE" : "";
  text += it.profile.observe ? ", only observes" : "";
  return text + (it.profile.enforce_testing ? ", testing is enforced" : "");
}

std::string source_text(const Report& report) {
  if (!report.from_daemon) {
    return "the cache file: the daemon is not running";
  }
  return report.it.looked_up ? "the running daemon, which looked it up just now"
                             : "the running daemon";
}

void print_hosts(const Report& it) {
  if (it.hosts_error) {
    print_field("MX hosts", printable(*it.hosts_error), term::Colour::Yellow);
    return;
  }
  if (it.hosts.empty()) {
    print_field("MX hosts", "none: the domain takes no mail", term::Colour::Yellow);
  }
  std::string_view name = "MX hosts";
  for (const MxHost& host : it.hosts) {
    std::string text = std::to_string(host.preference) + " " + printable(host.host);
    term::Colour colour = term::Colour::None;
    if (host.pattern) {
      text += "  matches " + *host.pattern;
      colour = term::Colour::Green;
    } else if (it.restricts) {
      text += "  matches no pattern";
      colour = term::Colour::Red;
    }
    if (host.tlsa) {
      text += std::string("; TLSA records: ") + std::string(to_string(host.tlsa->status));
    }
    print_field(name, text, colour);
    name = "";
  }
}

void print_dane(const Report& report, WallTime now) {
  const dane::State* state = dane_of(report);
  if (state == nullptr) {
    return;
  }
  std::string text = state->facts.ruling == dane::Ruling::Applies ? "applies"
                     : state->facts.ruling == dane::Ruling::DoesNotApply
                         ? "does not apply: " + mail_text(state->mail)
                         : "could not be found out";
  if (state->facts.known_at != WallTime{}) {
    text += ", as of " + relative_text(state->facts.known_at, now);
  }
  print_field("DANE", text + " (" + describe(state->target) + ")");
}

void print(const Report& report) {
  const answer::Explanation& it = report.it;
  print_field("Key", printable(it.key));
  print_field("Map", printable(profile_text(it)));
  if (it.domain) {
    print_field("Policy domain", it.domain->str());
    print_field("Known from", source_text(report));
    if (it.entry) {
      std::fputs(describe(term::look_at(STDOUT_FILENO), *it.domain, *it.entry, SystemClock().wall())
                     .c_str(),
                 stdout);
    }
  }
  print_field("Reply", it.reply.empty() ? "only the running daemon can tell" : printable(it.reply),
              status_of(it.reply) == term::kGood ? term::Colour::Green : term::Colour::Yellow);
  if (it.domain && !it.reply.empty() && !report.from_daemon) {
    print_field("", "(what the daemon would say if it were running, without overrides)");
  }
  if (!it.enforced.empty()) {
    print_field("Only observed", "a map that enforces would be told " + printable(it.enforced),
                term::Colour::Yellow);
  }
  print_field("Why", report.why);
  print_dane(report, SystemClock().wall());
  if (it.domain) {
    print_hosts(report);
  }
}

int explain(Arguments& arguments) {
  arguments.settings.load();
  term::Progress progress("asking mtastsd and DNS");
  Report report = ask(arguments, progress);
  const WallTime now = SystemClock().wall();
  const answer::Explanation& it = report.it;
  report.why = why(report, now);
  const auto* patterns = patterns_of(it, now);
  report.restricts = patterns != nullptr;
  if (it.key.starts_with('[') && it.domain) {
    // "[host]" is that host, whatever its MX records say.
    report.hosts = {{0, it.domain->str(), std::nullopt, std::nullopt}};
  } else if (it.domain) {
    look_up_hosts(arguments.settings.config, report, progress);
  }
  if (patterns != nullptr) {
    match(report.hosts, *patterns);
  }
  add_tlsa(report);
  progress.hide();
  if (arguments.json) {
    print_line(to_json(report));
  } else {
    print(report);
  }
  return status_of(it.reply);
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
  verb.footer(
      "Examples:\n"
      "  mtastsctl explain example.com\n"
      "  mtastsctl explain --map QUERYwithTLSRPT example.com");
}

}  // namespace mtastsd::ctl
