// Domains are looked at some at a time, and reported in the order in which they were given.

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache_directory.h"
#include "mtastsd/base/text.h"
#include "mtastsd/check/gather.h"
#include "mtastsd/check/report.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/https/authorities.h"
#include "mtastsd/https/curl_fetcher.h"
#include "mtastsd/https/dialer.h"
#include "mtastsd/log/log.h"
#include "mtastsd/term/exit_status.h"
#include "stored.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kDomainsAtOnce = 4;
constexpr Milliseconds kProgressEvery{200};

constexpr Milliseconds kLeastTimeout{1000};
constexpr Milliseconds kLongestTimeout{600000};
constexpr std::size_t kMaxDomains = 10000;

// The command line of `check`.
struct CheckArguments {
  std::vector<std::string> domains;
  bool smtp = false;
  bool json = false;
  bool list_findings = false;
  std::string format = "text";
  std::string fail_on = "low";
  Settings settings;
  std::vector<std::string> dns;
  std::string ca_file;
  unsigned port = 0;  // 0: that of the configuration
  std::string timeout = "30s";
};

// What follows from the command line, the daemon's configuration and the terminal.
struct CheckSetup {
  std::vector<DomainName> domains;
  std::string format;
  check::Severity fail_on = check::Severity::Low;
  dns::AresOptions dns;
  https::CurlOptions https;
  discovery::Settings discovery;
  check::GatherOptions gather;
  // What the daemon's cache has of a domain; empty when there is no daemon here.
  std::function<check::Fact<check::CachedPolicy>(const DomainName&)> read_cache;
};

std::vector<DomainName> parse_domains(const std::vector<std::string>& texts) {
  if (texts.empty()) {
    throw Trouble("check: name a domain, such as \"mtastsctl check example.com\"");
  }
  if (texts.size() > kMaxDomains) {
    throw Trouble("check: at most " + std::to_string(kMaxDomains) + " domains at once");
  }
  std::vector<DomainName> domains;
  for (const std::string& text : texts) {
    const auto domain = DomainName::parse_utf8(text);
    if (!domain) {
      throw Trouble("check: '" + printable(text) + "' is not a domain name");
    }
    domains.push_back(*domain);
  }
  return domains;
}

// What this host says it is called; a name that RFC 5321 section 4.1.1.1 allows.
std::string own_name() {
  std::array<char, 256> text{};
  gethostname(text.data(), text.size() - 1);
  const auto name = DomainName::parse(text.data());
  return name ? name->str() : "localhost";
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

std::string authorities(const CheckArguments& arguments, const config::Config& config) {
  std::string file = arguments.ca_file.empty() ? config.https.ca_file : arguments.ca_file;
  if (file.empty()) {
    file = https::system_ca_file();
  }
  if (file.empty() || ::access(file.c_str(), R_OK) != 0) {
    throw Trouble("check: no certificate authorities were found" +
                  (file.empty() ? "" : " in " + file) +
                  ": install ca-certificates, or name a PEM file with --ca-file");
  }
  return file;
}

CheckSetup make_setup(CheckArguments& arguments) {
  CheckSetup setup;
  setup.domains = parse_domains(arguments.domains);
  setup.format = arguments.json ? "json" : arguments.format;
  setup.fail_on = check::parse_severity(arguments.fail_on).value();
  arguments.settings.load();
  const config::Config& config = arguments.settings.config;
  const auto timeout = config::parse_duration(arguments.timeout);
  if (!timeout || *timeout < kLeastTimeout || *timeout > kLongestTimeout) {
    throw Trouble("--timeout: '" + arguments.timeout + "' is not a duration between 1s and 10m");
  }
  for (const std::string& server : arguments.dns) {
    if (!dns::valid_server(server)) {
      throw Trouble("--dns: '" + server +
                    "' is not the address of a server, such as 192.0.2.53 or [2001:db8::53]:53");
    }
  }
  const std::string ca_file = authorities(arguments, config);
  setup.dns = {.servers = arguments.dns.empty() ? config.dns.servers : arguments.dns,
               .resolv_conf = config.dns.resolv_conf,
               .timeout = std::min(config.dns.timeout, *timeout)};
  setup.https = {
      .ca_file = ca_file,
      .port = arguments.port != 0 ? static_cast<std::uint16_t>(arguments.port) : config.https.port,
      .proxy = config.https.proxy,
      .observe = true};
  setup.discovery = {.allow_networks = config.https.allow_networks,
                     .allow_local_addresses = config.https.allow_local_addresses,
                     .for_report = true};
  setup.gather = {.timeout = *timeout,
                  .fetch_timeout = config.https.timeout,
                  .smtp = arguments.smtp,
                  .resolver_trusted = !setup.dns.servers.empty(),
                  .ca_file = ca_file,
                  .helo = own_name()};
  if (may_know(arguments.settings)) {
    setup.read_cache = [&settings = arguments.settings](const DomainName& domain) {
      return look_up(settings, domain);
    };
  }
  return setup;
}

class CheckRun {
 public:
  explicit CheckRun(const CheckSetup& setup)
      : setup_(setup),
        log_(Log::null()),
        dns_(dns::AresClient::make(loop_, clock_, log_, setup.dns)),
        dialer_(https::make_tcp_dialer(loop_, setup.https.port)),
        fetcher_(https::make_curl_fetcher(loop_, log_, setup.https)),
        discovery_({loop_, *dns_, *dialer_, *fetcher_}, setup.discovery),
        gatherer_({loop_, clock_, *dns_, discovery_}, setup.gather),
        places_(setup.domains.size()),
        progress_("checking", setup.domains.size()),
        progress_timer_(loop_.make_timer([this] { show_progress(); })) {}

  int run() {
    start_more();
    show_progress();
    loop_.run();
    if (setup_.format == "json") {
      std::vector<const check::Report*> reports;
      for (const Place& place : places_) {
        reports.push_back(place.report.get());
      }
      print(check::to_json(reports));
    }
    return status();
  }

 private:
  struct Place {
    std::unique_ptr<check::Gathering> gathering;
    std::unique_ptr<check::Report> report;
  };

  void start_more() {
    while (started_count_ < places_.size() && running_ < kDomainsAtOnce) {
      const std::size_t at = started_count_++;
      ++running_;
      places_[at].gathering = gatherer_.start(
          setup_.domains[at], [this, at](check::Facts facts) { finished(at, std::move(facts)); });
    }
  }

  void finished(std::size_t at, check::Facts facts) {
    --running_;
    ++done_;
    facts.cache_asked = setup_.read_cache != nullptr;
    if (facts.cache_asked) {
      facts.cached = setup_.read_cache(setup_.domains[at]);
    }
    places_[at].report = std::make_unique<check::Report>(std::move(facts));
    print_ready();
    start_more();
    if (done_ == places_.size()) {
      loop_.stop();
    }
    places_[at].gathering.reset();
  }

  void print_ready() {
    for (; printed_ < places_.size() && places_[printed_].report; ++printed_) {
      const check::Report& report = *places_[printed_].report;
      if (setup_.format != "json") {
        print((printed_ > 0 ? "\n" : "") +
              (setup_.format == "markdown" ? report.markdown()
                                           : report.text(term::look_at(STDOUT_FILENO).colours)));
      }
    }
  }

  void print(const std::string& text) {
    progress_.hide();
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  void show_progress() {
    progress_.step(done_);
    progress_timer_->arm(kProgressEvery);
  }

  // A finding is certain. What could not be determined can be anything.
  int status() const {
    const auto any = [this](auto predicate) {
      return std::any_of(places_.begin(), places_.end(),
                         [&](const Place& place) { return predicate(*place.report); });
    };
    if (any([this](const check::Report& r) { return r.found_at_least(setup_.fail_on); })) {
      return term::kNotFound;
    }
    return any([](const check::Report& r) { return r.has_gaps(); }) ? term::kTrouble : term::kGood;
  }

  const CheckSetup& setup_;
  event::Loop loop_;
  SystemClock clock_;
  Log log_;
  std::unique_ptr<dns::AresClient> dns_;           // depends-on: loop_
  std::unique_ptr<https::Dialer> dialer_;          // depends-on: loop_
  std::unique_ptr<https::PolicyFetcher> fetcher_;  // depends-on: loop_
  discovery::Discovery discovery_;                 // depends-on: all above
  check::Gatherer gatherer_;                       // depends-on: all above
  std::vector<Place> places_;                      // depends-on: gatherer_
  std::size_t started_count_ = 0;
  std::size_t running_ = 0;
  std::size_t done_ = 0;
  std::size_t printed_ = 0;
  term::Progress progress_;
  std::unique_ptr<event::Timer> progress_timer_;
};

int check(CheckArguments& arguments) {
  if (arguments.list_findings) {
    std::fputs(check::list_of_findings().c_str(), stdout);
    return term::kGood;
  }
  const CheckSetup setup = make_setup(arguments);
  std::signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const int status = CheckRun(setup).run();
  curl_global_cleanup();
  return status;
}

}  // namespace

void add_check(Verb& root) {
  Verb verb = root.add("check", "report what senders see of a domain's MTA-STS");
  CheckArguments& arguments = verb.runs(check);
  verb.arguments("DOMAIN", arguments.domains, "mail domains");
  verb.flag("--smtp", arguments.smtp,
            "also connect to each MX host, and check STARTTLS, TLS and its certificate");
  verb.choice("--format", arguments.format, "FORMAT", {"text", "json", "markdown"},
              "text, json or markdown");
  verb.flag("--json", arguments.json, "the same as --format json");
  verb.choice("--fail-on", arguments.fail_on, "SEVERITY", {"info", "low", "medium", "high"},
              "exit with status 1 for findings of this severity and above");
  verb.flag("--list-findings", arguments.list_findings,
            "print all findings and the parts of the score, and check nothing");
  arguments.settings.add_option(verb);
  verb.repeated("--dns", arguments.dns, "ADDR",
                "ask this DNS server: ADDR, ADDR:PORT or [V6]:PORT; may be given several times");
  verb.option("--ca-file", arguments.ca_file, "FILE", "a PEM file of the authorities to trust");
  verb.number("--port", arguments.port, "PORT", 1, 65535, "the port that policy hosts listen on");
  verb.option("--timeout", arguments.timeout, "TIME", "the most time to spend on one domain");
  verb.footer(
      "Examples:\n"
      "  mtastsctl check example.com\n"
      "  mtastsctl check --smtp example.com example.net\n"
      "  mtastsctl check --fail-on high --format markdown example.com > report.md\n\n"
      "Exit status: 0 nothing to fix, 1 something to fix, 2 could not be determined.");
}

}  // namespace mtastsd::ctl
