// Domains are looked at some at a time, and reported in the order in which they were given.

#include <curl/curl.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "check_setup.h"
#include "mtastsd/check/gather.h"
#include "mtastsd/check/report.h"
#include "mtastsd/dns/ares_client.h"
#include "mtastsd/log/log.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kDomainsAtOnce = 4;
constexpr Milliseconds kProgressEvery{200};

class CheckRun {
 public:
  explicit CheckRun(const CheckSetup& setup)
      : setup_(setup),
        log_(Log::null()),
        dns_(dns::AresClient::make(loop_, clock_, log_, setup.dns)),
        fetcher_(https::make_curl_fetcher(loop_, log_, setup.https)),
        ipv6_(clock_),
        discovery_({loop_, *dns_, *fetcher_, [this] { return ipv6_.exists(); }}, setup.discovery),
        gatherer_({loop_, clock_, *dns_, discovery_}, setup.gather),
        places_(setup.domains.size()),
        progress_("checking", setup.domains.size()),
        progress_timer_(loop_.make_timer([this] { show_progress(); })) {}

  int run() {
    start_more();
    show_progress();
    loop_.run();
    if (setup_.format == CheckFormat::Json) {
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
      switch (setup_.format) {
        case CheckFormat::Text:
          print((printed_ > 0 ? "\n" : "") + report.text(setup_.colour));
          break;
        case CheckFormat::Markdown:
          print((printed_ > 0 ? "\n" : "") + report.markdown());
          break;
        case CheckFormat::Json:
          break;
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
  std::unique_ptr<https::PolicyFetcher> fetcher_;  // depends-on: loop_
  discovery::Ipv6Route ipv6_;
  discovery::Discovery discovery_;  // depends-on: all above
  check::Gatherer gatherer_;        // depends-on: all above
  std::vector<Place> places_;       // depends-on: gatherer_
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
  const auto setup = make_setup(arguments);
  if (!setup) {
    return term::trouble(setup.error());
  }
  std::signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const int status = CheckRun(*setup).run();
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
  verb.footer("Exit status: 0 nothing to fix, 1 something to fix, 2 could not be determined.");
}

}  // namespace mtastsd::ctl
