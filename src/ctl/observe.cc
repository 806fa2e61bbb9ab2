// What a daemon that only observes would have said, and what would become of that mail today. The
// counts are the daemon's, and so are the policies; the MX hosts are looked at from here.

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "gather_run.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/check/delivery.h"
#include "mtastsd/overrides/table.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/pager.h"
#include "mtastsd/term/table.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

using Json = nlohmann::ordered_json;
using Outcome = check::Delivery::Outcome;

constexpr std::size_t kLookedAtOnce = 50;       // MX records
constexpr std::size_t kLookedAtOnceBySmtp = 8;  // domains, with all their mail servers
constexpr unsigned kMostDomains = 100000;

struct Arguments {
  Settings settings;
  GatherArguments gather{.verb = "observe report"};
  unsigned top = 1000;
  bool deferred = false;
  bool json = false;
};

// A domain that was observed. With patterns its MX hosts are looked at; else the outcome is set.
struct Line {
  DomainName domain;
  std::uint64_t mails = 0;
  std::vector<mtasts::MxPattern> patterns;
  std::string outcome;  // a word of the schema
  std::string why;
};

bool left_to_dane(const cache::Entry& entry, WallTime now) {
  const dane::State* state = cache::find_dane(entry, dane::Target{});
  return state != nullptr && judge(state->facts, now).ruling == dane::Ruling::Applies;
}

// What the domain's mail would be held to now.
void find_patterns(Line& line, const overrides::Override* one, const cache::EntryPtr& entry,
                   WallTime now) {
  using overrides::Action;
  line.outcome = "not-checked";
  if (one != nullptr && one->action == Action::Pin) {
    line.patterns = one->mx;
  } else if (one != nullptr) {
    line.why = "there is an override with the action " + std::string(to_string(one->action));
  } else if (!entry || !entry->holds_policy() || entry->policy->expires_at() <= now) {
    line.why = "no policy is known any more";
  } else if (entry->policy->policy.mode == mtasts::Mode::None) {
    line.why = "the policy is of mode none now";
  } else if (left_to_dane(*entry, now)) {
    line.why = "it is left to DANE";
  } else {
    line.patterns = entry->policy->policy.mx;
  }
}

struct Summary {
  std::uint64_t domains = 0;
  std::uint64_t mails = 0;
  std::uint64_t deferred_domains = 0;
  std::uint64_t deferred_mails = 0;
  std::uint64_t unknown_domains = 0;
};

Summary summary_of(const std::vector<Line>& lines) {
  Summary sum;
  for (const Line& line : lines) {
    ++sum.domains;
    sum.mails += line.mails;
    if (line.outcome == to_string(Outcome::Deferred)) {
      ++sum.deferred_domains;
      sum.deferred_mails += line.mails;
    }
    sum.unknown_domains += line.outcome == to_string(Outcome::CannotTell) ? 1 : 0;
  }
  return sum;
}

std::vector<Line> read_lines(control::Client& daemon, const std::vector<answer::Observed>& observed,
                             unsigned top) {
  const WallTime now = SystemClock().wall();
  const auto overrides = overrides::make_table(need(daemon.ask(control::OverridesRequest{})).all);
  std::vector<Line> lines;
  for (const answer::Observed& one : observed) {
    const auto domain = DomainName::parse(one.domain);
    if (!domain || lines.size() == top) {
      break;
    }
    Line& line = lines.emplace_back(Line{.domain = *domain, .mails = one.mails});
    find_patterns(line, overrides ? overrides->find(*domain, now) : nullptr,
                  need(daemon.ask(control::ShowRequest{*domain})).entry, now);
  }
  return lines;
}

void look_at_hosts(const Arguments& arguments, std::vector<Line>& lines) {
  GatherSetup setup = make_gather_setup(arguments.gather, arguments.settings.config);
  setup.gather.mail_only = true;
  std::vector<Line*> looked_at;
  std::vector<DomainName> domains;
  for (Line& line : lines) {
    if (!line.patterns.empty()) {
      looked_at.push_back(&line);
      domains.push_back(line.domain);
    }
  }
  const bool smtp = arguments.gather.smtp;
  GatherRun(setup, std::move(domains), smtp ? kLookedAtOnceBySmtp : kLookedAtOnce,
            "looking at MX hosts")
      .run([&](std::size_t place, const check::Facts& facts) {
        Line& line = *looked_at[place];
        check::Delivery delivery = check::delivery_of(line.patterns, facts.mail, smtp);
        line.outcome = to_string(delivery.outcome);
        line.why = std::move(delivery.why);
      });
}

bool shown(const Arguments& arguments, const Line& line) {
  return !arguments.deferred || line.outcome == to_string(Outcome::Deferred);
}

Json json_of(const Arguments& arguments, const control::ObserveReport& report,
             const std::vector<Line>& lines) {
  const Summary sum = summary_of(lines);
  Json domains = Json::array();
  for (const Line& line : lines) {
    if (shown(arguments, line)) {
      domains.push_back({{"domain", line.domain.view()},
                         {"mails", line.mails},
                         {"outcome", line.outcome},
                         {"why", line.why}});
    }
  }
  std::uint64_t all = report.sum.left_out;
  for (const answer::Observed& one : report.sum.domains) {
    all += one.mails;
  }
  return {{"since", timestamp(report.since)},
          {"maps", report.maps},
          {"smtp", arguments.gather.smtp},
          {"domains_known", report.sum.domains_known},
          {"mails", all},
          {"mails_left_out", all - sum.mails},
          {"deferred_domains", sum.deferred_domains},
          {"deferred_mails", sum.deferred_mails},
          {"unknown_domains", sum.unknown_domains},
          {"domains", domains}};
}

term::Colour colour_of(const Line& line) {
  return line.outcome == to_string(Outcome::Deferred)     ? term::Colour::Red
         : line.outcome == to_string(Outcome::CannotTell) ? term::Colour::Yellow
                                                          : term::Colour::None;
}

void print_table(const Arguments& arguments, const std::vector<Line>& lines) {
  const term::Table table(term::look_at(STDOUT_FILENO),
                          {{"DOMAIN", 30}, {"MAILS", 9}, {"TODAY", 11}, {"WHY", 0}});
  term::Pager pager;
  pager.begin();
  bool headed = false;
  for (const Line& line : lines) {
    if (!shown(arguments, line)) {
      continue;
    }
    if (!std::exchange(headed, true) && !pager.line(table.head())) {
      return;
    }
    if (!pager.line(
            table.row({{line.domain.str(), term::Colour::None},
                       {std::to_string(line.mails), term::Colour::None},
                       {line.outcome, colour_of(line)},
                       {line.why.empty() ? "-" : printable(line.why), term::Colour::None}}))) {
      return;
    }
  }
}

// On stderr, so that a pipe gets the table alone.
void print_summary(const Arguments& arguments, const Json& json) {
  const auto count = [&](const char* name) {
    return term::count_text(json.at(name).get<std::uint64_t>());
  };
  std::fprintf(
      stderr,
      "Since %s: %s mails to %s domains would have been held to a policy. Today, by %s, "
      "mail to %s of them would be deferred (%s mails); of %s it could not be found out.\n",
      json.at("since").get<std::string>().c_str(), count("mails").c_str(),
      count("domains_known").c_str(),
      arguments.gather.smtp ? "MX names and certificates" : "MX names alone",
      count("deferred_domains").c_str(), count("deferred_mails").c_str(),
      count("unknown_domains").c_str());
  if (json.at("mails_left_out").get<std::uint64_t>() > 0) {
    std::fprintf(stderr, "%s mails to domains that are not listed are left out.\n",
                 count("mails_left_out").c_str());
  }
  if (json.at("maps").empty()) {
    std::fputs("No map only observes now: policies are enforced.\n", stderr);
  }
}

control::Client connect(const Settings& settings) {
  auto daemon = connect_to_daemon(settings);
  if (!daemon) {
    throw Trouble(daemon.error() + ": what was observed is known to the running daemon only");
  }
  return std::move(*daemon);
}

int report(Arguments& arguments) {
  arguments.settings.load();
  control::Client daemon = connect(arguments.settings);
  const auto observed = need(daemon.ask(control::ObserveRequest{}));
  if (observed.maps.empty() && observed.sum.domains_known == 0) {
    throw Trouble(
        "nothing was observed: set mode = \"observe\" in [daemon] or in a [maps.NAME], and reload "
        "mtastsd");
  }
  std::vector<Line> lines = read_lines(daemon, observed.sum.domains, arguments.top);
  std::signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  look_at_hosts(arguments, lines);
  curl_global_cleanup();
  const Json json = json_of(arguments, observed, lines);
  if (arguments.json) {
    print_line(json);
  } else {
    print_table(arguments, lines);
    print_summary(arguments, json);
  }
  const Summary sum = summary_of(lines);
  return sum.deferred_domains > 0  ? term::kNotFound
         : sum.unknown_domains > 0 ? term::kTrouble
                                   : term::kGood;
}

}  // namespace

void add_observe(Verb& root) {
  Verb observe = root.add("observe", "see what a daemon that only observes would have enforced");
  Verb verb = observe.add(
      "report", "list the domains that mail went to, and whose mail would be deferred today");
  Arguments& arguments = verb.runs(report);
  verb.flag("--smtp", arguments.gather.smtp,
            "also connect to each MX host, and check STARTTLS, TLS and its certificate");
  verb.flag("--deferred", arguments.deferred, "list only domains whose mail would be deferred");
  verb.number("--top", arguments.top, "NUMBER", 1, kMostDomains,
              "look at this many of the busiest domains");
  verb.flag("--json", arguments.json, "print one JSON object");
  arguments.settings.add_option(verb);
  verb.repeated("--dns", arguments.gather.dns, "ADDR",
                "ask this DNS server: ADDR, ADDR:PORT or [V6]:PORT; may be given several times");
  verb.option("--ca-file", arguments.gather.ca_file, "FILE",
              "a PEM file of the authorities to trust");
  verb.option("--timeout", arguments.gather.timeout, "TIME",
              "the most time to spend on one domain");
  verb.footer(
      "Examples:\n"
      "  mtastsctl observe report\n"
      "  mtastsctl observe report --smtp --deferred\n"
      "  mtastsctl observe report --json > report.json\n\n"
      "Exit status: 0 no mail would be deferred, 1 some would,\n"
      "2 could not be determined.");
  observe.footer("Examples:\n  mtastsctl observe report\n  mtastsctl observe report --smtp");
}

}  // namespace mtastsd::ctl
