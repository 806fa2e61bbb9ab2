#include <unistd.h>

#include <cstdio>

#include "cache.h"
#include "daemon.h"
#include "json.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

using control::Refreshed;
using resolver::Change;

std::string headline(const Refreshed& done) {
  const std::string kept =
      done.entry && done.entry->policy ? "; the cached policy stays in force" : "";
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

Json to_json(const DomainName& domain, const Refreshed& done) {
  return json_object(
      {{"domain", domain.str()},
       {"result", std::string(control::to_string(done.result))},
       {"detail", done.detail},
       {"change", std::string(to_string(done.change))},
       {"entry", done.entry ? Json{control::to_json(domain.view(), *done.entry)} : null()}});
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
  if (done.entry && (done.entry->policy || done.entry->failure)) {
    std::printf("\n%s", describe(terminal, domain, *done.entry, now).c_str());
  }
}

}  // namespace

int cache_refresh(const CacheArguments& arguments) {
  const auto domain = domain_of(arguments.domain);
  if (!domain) {
    return term::trouble(domain.error());
  }
  auto daemon = connect_to_daemon(arguments.settings);
  if (!daemon) {
    return term::trouble(daemon_needed(daemon.error(), "a refresh"));
  }
  term::Progress progress("waiting for mtastsd to fetch the policy of " + domain->str());
  const auto done = daemon->ask(control::RefreshRequest{*domain}, [&progress] { progress.tick(); });
  progress.hide();
  if (!done) {
    return term::trouble(done.error().message);
  }
  if (arguments.json) {
    std::puts(to_json(*domain, *done).text.c_str());
  } else {
    print(*domain, *done);
  }
  return done->result == Refreshed::Result::Fetched ? term::kGood : term::kNotFound;
}

}  // namespace mtastsd::ctl
