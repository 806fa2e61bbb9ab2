#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cache.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/term/exit_status.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

using control::Refreshed;
using resolver::Change;

std::string headline(const Refreshed& done) {
  const std::string kept =
      done.entry && done.entry->holds_policy() ? "; the cached policy stays in force" : "";
  switch (done.result) {
    case Refreshed::Result::Fetched:
      switch (done.change) {
        case Change::None:
          return "fetched: the policy has not changed, and its lifetime begins anew";
        case Change::New:
          return "fetched: a new policy";
        case Change::Replaced:
        case Change::Drifted:
          return "fetched: the policy has changed";
      }
      break;
    case Refreshed::Result::Failed:
      return "failed" + kept;
    case Refreshed::Result::NoRecord:
      return "not fetched: the domain publishes no MTA-STS record" + kept;
    case Refreshed::Result::HeldBack:
      return "not fetched: it is too soon for another attempt" + kept;
  }
  return "";
}

std::string reason(const Refreshed& done, WallTime now) {
  if (done.result != Refreshed::Result::HeldBack || !done.entry || !done.entry->failure) {
    return done.detail;
  }
  return "the last fetch for this policy id failed (" + done.detail + "); the next attempt is " +
         relative_text(done.entry->failure->retry_at, now);
}

void print(const DomainName& domain, const Refreshed& done) {
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  const WallTime now = SystemClock().wall();
  const bool good = done.result == Refreshed::Result::Fetched;
  std::puts(term::paint(terminal, good ? term::Colour::Green : term::Colour::Yellow, headline(done))
                .c_str());
  if (const std::string why = reason(done, now); !why.empty()) {
    std::printf("The reason: %s\n", printable(why).c_str());
  }
  if (done.entry && (done.entry->holds_policy() || done.entry->failure)) {
    std::printf("\n%s", describe(terminal, domain, *done.entry, now).c_str());
  }
}

}  // namespace

int cache_refresh(CacheArguments& arguments) {
  arguments.settings.load();
  const DomainName domain = domain_of(arguments.domain);
  auto daemon = connect_to_daemon(arguments.settings);
  if (!daemon) {
    throw Trouble(daemon.error() +
                  ": a refresh needs a running daemon: start it, or name its configuration with "
                  "--config");
  }
  term::Progress progress("waiting for mtastsd to fetch the policy of " + domain.str());
  const Refreshed done =
      need(daemon->ask(control::RefreshRequest{domain}, [&progress] { progress.tick(); }));
  progress.hide();
  if (arguments.json) {
    print_line({{"domain", domain.str()},
                {"result", control::to_string(done.result)},
                {"detail", done.detail},
                {"change", to_string(done.change)},
                {"entry", to_json(domain, done.entry)}});
  } else {
    print(domain, done);
  }
  return done.result == Refreshed::Result::Fetched ? term::kGood : term::kNotFound;
}

}  // namespace mtastsd::ctl
