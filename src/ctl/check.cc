// Domains are looked at some at a time, and reported in the order in which they were given. --watch
// keeps what it has seen in a file, which is replaced as a whole once all is known.

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cache_directory.h"
#include "gather_run.h"
#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/check/report.h"
#include "mtastsd/check/watch.h"
#include "mtastsd/term/exit_status.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kDomainsAtOnce = 8;
constexpr std::size_t kWidestName = 40;  // of a column of domains
constexpr std::size_t kMaxDomains = 10000;

// The command line of `check`.
struct CheckArguments {
  std::vector<std::string> domains;
  bool json = false;
  bool list_findings = false;
  bool details = false;
  bool fix = false;
  bool begin = false;
  std::vector<std::string> move_to;
  std::string watch;
  std::string format = "text";
  std::string fail_on = "low";
  Settings settings;
  GatherArguments gather;
};

struct Domain {
  DomainName name;
  std::string typed;  // if it was given in Unicode
};

// What follows from the command line, the daemon's configuration and the terminal.
struct CheckSetup {
  std::vector<Domain> domains;
  int status = term::kGood;  // kTrouble: some of what was given is no domain
  std::string format;
  // What to print in place of reports; empty: reports.
  std::function<check::Guidance(const check::Report&)> guide;
  bool guide_is_fix = false;
  bool one_line = false;  // for each domain
  std::string watch;      // the file of --watch, or empty
  check::Severity fail_on = check::Severity::Low;
  GatherSetup gather;
  // What the daemon's cache has of a domain; empty when there is no daemon here.
  std::function<check::Fact<check::CachedPolicy>(const DomainName&)> read_cache;
};

// Several domains are checked without those whose names are wrong, which are named.
void parse_domains(const std::vector<std::string>& words, CheckSetup& setup) {
  if (words.empty()) {
    throw Trouble("check: name a domain, such as \"mtastsctl check example.com\"");
  }
  for (const std::string& text : names_given("check", words, kMaxDomains)) {
    const auto domain = DomainName::parse_utf8(text);
    if (domain) {
      setup.domains.push_back({*domain, DomainName::parse(text) ? "" : text});
    } else {
      setup.status = term::trouble("check: '" + printable(text) + "' is not a domain name");
    }
  }
}

using CachedFact = check::Fact<check::CachedPolicy>;

CachedFact look_up(const Settings& settings, const DomainName& domain) {
  try {
    const cache::EntryPtr entry = find_entry(settings, domain).entry;
    if (!entry || !entry->holds_policy()) {
      return CachedFact::none();
    }
    const cache::StoredPolicy& policy = *entry->policy;
    return CachedFact::is(
        {policy.id, mtasts::text_of(policy.policy), policy.fetched_at, policy.expires_at()});
  } catch (const Trouble& trouble) {
    return CachedFact::unknown(trouble.what());
  }
}

// False if this host has neither a daemon nor a cache, so that there is nothing to say about them.
bool may_know(const Settings& settings) {
  try {
    if (connect_to_daemon(settings)) {
      return true;
    }
  } catch (const Trouble&) {
    return true;
  }
  return has_cache(cache_directory(settings));
}

std::vector<DomainName> parse_hosts(const std::vector<std::string>& texts) {
  std::vector<DomainName> hosts;
  for (const std::string& text : texts) {
    const auto host = DomainName::parse_utf8(text);
    if (!host) {
      throw Trouble("--move-to: '" + printable(text) + "' is not the name of a host");
    }
    hosts.push_back(*host);
  }
  return hosts;
}

// What is printed for each domain.
void choose_output(const CheckArguments& arguments, CheckSetup& setup) {
  const int chosen = (arguments.fix ? 1 : 0) + (arguments.begin ? 1 : 0) +
                     (arguments.move_to.empty() ? 0 : 1) + (arguments.watch.empty() ? 0 : 1);
  setup.format = arguments.json ? "json" : arguments.format;
  if (chosen > 1) {
    throw Trouble("check: --fix, --new, --move-to and --watch cannot be combined");
  }
  if (chosen > 0 && setup.format != "text") {
    throw Trouble("check: --fix, --new, --move-to and --watch print text, not " + setup.format);
  }
  setup.one_line = setup.domains.size() > 1 && !arguments.details;
  setup.watch = arguments.watch;
  setup.guide_is_fix = arguments.fix;
  if (arguments.fix) {
    setup.guide = check::guide_to_fix;
  } else if (arguments.begin) {
    setup.guide = check::guide_to_begin;
  } else if (!arguments.move_to.empty()) {
    setup.guide = [hosts = parse_hosts(arguments.move_to)](const check::Report& report) {
      return check::guide_to_move(report, hosts);
    };
  }
}

CheckSetup make_setup(CheckArguments& arguments) {
  CheckSetup setup;
  parse_domains(arguments.domains, setup);
  choose_output(arguments, setup);
  setup.fail_on = check::parse_severity(arguments.fail_on).value();
  arguments.settings.load();
  arguments.gather.verb = "check";
  setup.gather = make_gather_setup(arguments.gather, arguments.settings.config);
  if (may_know(arguments.settings)) {
    setup.read_cache = [&settings = arguments.settings](const DomainName& domain) {
      return look_up(settings, domain);
    };
  }
  return setup;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    throw Trouble("--watch: '" + printable(path) + "' cannot be read");
  }
  return text.str();
}

// There is the old file or the new one, whatever happens.
void replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << text;
  file.close();
  if (!file || std::rename(fresh.c_str(), path.c_str()) != 0) {
    throw Trouble("--watch: '" + printable(path) + "' cannot be written");
  }
}

std::vector<DomainName> names_of(const std::vector<Domain>& domains) {
  std::vector<DomainName> names;
  for (const Domain& domain : domains) {
    names.push_back(domain.name);
  }
  return names;
}

std::size_t width_of(const std::vector<Domain>& domains) {
  std::size_t width = 0;
  for (const Domain& domain : domains) {
    width = std::max(width, domain.name.size());
  }
  return std::min(width, kWidestName);
}

class CheckRun {
 public:
  explicit CheckRun(const CheckSetup& setup)
      : setup_(setup),
        reports_(setup.domains.size()),
        name_width_(width_of(setup.domains)),
        gathering_(setup.gather, names_of(setup.domains), kDomainsAtOnce, "checking") {}

  int run() {
    gathering_.run([this](std::size_t at, check::Facts facts) { finished(at, std::move(facts)); });
    if (!setup_.watch.empty()) {
      return watch();
    }
    if (setup_.format == "json") {
      std::vector<const check::Report*> reports;
      for (const auto& report : reports_) {
        reports.push_back(report.get());
      }
      print(check::to_json(reports));
    }
    return status();
  }

 private:
  void finished(std::size_t at, check::Facts facts) {
    facts.typed = setup_.domains[at].typed;
    facts.cache_asked = setup_.read_cache != nullptr;
    if (facts.cache_asked) {
      facts.cached = setup_.read_cache(setup_.domains[at].name);
    }
    reports_[at] = std::make_unique<check::Report>(std::move(facts));
    print_ready();
  }

  void print_ready() {
    for (; printed_ < reports_.size() && reports_[printed_]; ++printed_) {
      const check::Report& report = *reports_[printed_];
      if (setup_.format == "jsonl") {
        print(check::to_json_line(report));
      } else if (setup_.format != "json" && setup_.watch.empty()) {
        const bool apart = printed_ > 0 && !in_one_line();
        print((apart ? "\n" : "") + text_of(report));
      }
    }
  }

  bool in_one_line() const { return setup_.one_line && setup_.format == "text" && !setup_.guide; }

  std::string text_of(const check::Report& report) const {
    if (setup_.guide) {
      return setup_.guide(report).text;
    }
    if (setup_.format == "markdown") {
      return report.markdown();
    }
    const bool colours = term::look_at(STDOUT_FILENO).colours;
    return in_one_line() ? report.one_line(name_width_, colours) : report.text(colours);
  }

  // Prints what differs from the last run, and replaces what is known of it.
  int watch() {
    check::Memory memory;
    const bool first = ::access(setup_.watch.c_str(), F_OK) != 0;
    if (!first) {
      auto known = check::parse_memory(read_file(setup_.watch));
      if (!known) {
        throw Trouble("--watch: '" + printable(setup_.watch) +
                      "' is not a file that an earlier run has written");
      }
      memory = *std::move(known);
    }
    std::string text;
    for (const auto& report : reports_) {
      const std::string& domain = report->facts().domain;
      const check::Remembered now = check::remember(*report);
      const auto before = memory.find(domain);
      if (before != memory.end()) {
        text += check::changes(domain, before->second, now);
      } else if (!first) {
        text += domain + ": " + now.verdict + ", score " + std::to_string(now.score) +
                ", for the first time\n";
      }
      memory[domain] = now;
    }
    replace_file(setup_.watch, check::to_text(memory));
    if (first) {
      print("The state of " + counted(memory.size(), "domain", "domains") + " is in " +
            printable(setup_.watch) + " now. The next run prints what has changed.\n");
      return term::kGood;
    }
    print(text);
    return text.empty() ? term::kGood : term::kNotFound;
  }

  // The worst for all domains.
  int guide_status() const {
    using Kind = check::Guidance::Kind;
    int status = term::kGood;
    for (const auto& report : reports_) {
      const Kind kind = setup_.guide(*report).kind;
      const bool fine = (kind == Kind::Nothing) == setup_.guide_is_fix;
      status = std::max(status, kind == Kind::CannotTell ? term::kTrouble
                                : fine                   ? term::kGood
                                                         : term::kNotFound);
    }
    return status;
  }

  void print(const std::string& text) {
    gathering_.hide_progress();
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  // A finding is certain. What could not be determined can be anything.
  int status() const {
    if (setup_.guide) {
      return guide_status();
    }
    const auto any = [this](auto predicate) {
      return std::any_of(reports_.begin(), reports_.end(),
                         [&](const auto& report) { return predicate(*report); });
    };
    if (any([this](const check::Report& r) { return r.found_at_least(setup_.fail_on); })) {
      return term::kNotFound;
    }
    return any([](const check::Report& r) { return r.has_gaps(); }) ? term::kTrouble : term::kGood;
  }

  const CheckSetup& setup_;
  std::vector<std::unique_ptr<check::Report>> reports_;  // null: not yet
  std::size_t printed_ = 0;
  const std::size_t name_width_;
  GatherRun gathering_;
};

int check(CheckArguments& arguments) {
  if (arguments.list_findings) {
    std::fputs(check::list_of_findings().c_str(), stdout);
    return term::kGood;
  }
  const CheckSetup setup = make_setup(arguments);
  if (setup.domains.empty()) {
    return setup.status;
  }
  std::signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const int status = std::max(CheckRun(setup).run(), setup.status);
  curl_global_cleanup();
  return status;
}

}  // namespace

void add_check(Verb& root) {
  Verb verb = root.add("check", "report what senders see of a domain's MTA-STS");
  CheckArguments& arguments = verb.runs(check);
  verb.arguments("DOMAIN", arguments.domains,
                 "mail domains; - reads them from standard input, one a line");
  verb.flag("--smtp", arguments.gather.smtp,
            "also connect to each MX host, and check STARTTLS, TLS and its certificate");
  verb.flag("--details", arguments.details,
            "print the whole report of each domain, not a line each if there are several");
  verb.flag("--fix", arguments.fix,
            "print the record and the policy that are right for the MX hosts of today");
  verb.flag("--new", arguments.begin, "print how to begin, for a domain without MTA-STS");
  verb.repeated("--move-to", arguments.move_to, "HOST",
                "print how to move the mail to this MX host, with dates; may be given several "
                "times");
  verb.option("--watch", arguments.watch, "FILE",
              "print only what has changed since the run before, which FILE has the results of");
  verb.choice("--format", arguments.format, "FORMAT", {"text", "json", "jsonl", "markdown"},
              "text, json, jsonl (a line for each domain) or markdown");
  verb.flag("--json", arguments.json, "the same as --format json");
  verb.choice("--fail-on", arguments.fail_on, "SEVERITY", {"info", "low", "medium", "high"},
              "exit with status 1 for findings of this severity and above");
  verb.flag("--list-findings", arguments.list_findings,
            "print all findings and the parts of the score, and check nothing");
  arguments.settings.add_option(verb);
  verb.repeated("--dns", arguments.gather.dns, "ADDR",
                "ask this DNS server: ADDR, ADDR:PORT or [V6]:PORT; may be given several times");
  verb.option("--ca-file", arguments.gather.ca_file, "FILE",
              "a PEM file of the authorities to trust");
  verb.number("--port", arguments.gather.port, "PORT", 1, 65535,
              "the port that policy hosts listen on");
  verb.option("--timeout", arguments.gather.timeout, "TIME",
              "the most time to spend on one domain");
  verb.footer(
      "Examples:\n"
      "  mtastsctl check example.com\n"
      "  mtastsctl check --smtp example.com example.net\n"
      "  mtastsctl check --fail-on high --format markdown example.com > report.md\n"
      "  mtastsctl check --fix example.com\n"
      "  mtastsctl check --move-to mx.example.net example.com\n"
      "  mtastsctl check --watch /var/lib/mtasts.json example.com example.net\n\n"
      "Exit status: 0 nothing to fix (with --watch: nothing new), 1 something to fix,\n"
      "2 could not be determined.");
}

}  // namespace mtastsd::ctl
