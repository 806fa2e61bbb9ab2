#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cache.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/log/log.h"
#include "mtastsd/term/exit_status.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

// What mail loses with it.
std::string loss(const DomainName& domain, const cache::Entry& entry, WallTime now) {
  if (!entry.policy || entry.policy->expires_at() <= now) {
    return domain.str() + " has no policy in the cache: no protection is lost";
  }
  if (entry.policy->policy.mode != mtasts::Mode::Enforce) {
    return domain.str() + " has a policy of mode " +
           std::string(mtasts::to_string(entry.policy->policy.mode)) +
           " in the cache, which protects no mail";
  }
  return domain.str() + " has a policy in force, which expires " +
         relative_text(entry.policy->expires_at(), now) +
         ". Without it, mail is sent over unauthenticated TLS or none until the policy has been "
         "fetched again, and an attacker who can block DNS or HTTPS can keep it that way";
}

bool confirmed() {
  std::fprintf(stderr, "Forget it? [y/N] ");
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

void forget(const Settings& settings, const DomainName& domain, bool by_daemon) {
  if (by_daemon) {
    term::Progress progress("waiting for mtastsd");
    control::Client daemon = need(connect_to_daemon(settings));
    need(daemon.ask(control::ForgetRequest{domain}, [&progress] { progress.tick(); }));
    return;
  }
  Log log = Log::null();
  const auto store = open_to_change(settings, log);
  store->erase(domain);
  commit(*store);
}

}  // namespace

int cache_forget(CacheArguments& arguments) {
  arguments.settings.load();
  const DomainName domain = domain_of(arguments.domain);
  const Found found = find_entry(arguments.settings, domain);
  if (!found.entry) {
    term::trouble("nothing is known of " + domain.str());
    return term::kNotFound;
  }
  std::fprintf(stderr, "%s.\n", loss(domain, *found.entry, SystemClock().wall()).c_str());
  if (!arguments.yes) {
    if (::isatty(STDIN_FILENO) == 0) {
      throw Trouble(
          "standard input is not a terminal, so nobody can confirm: add --yes to forget the "
          "domain");
    }
    if (!confirmed()) {
      throw Trouble("not forgotten");
    }
  }
  forget(arguments.settings, domain, found.from_daemon);
  if (arguments.json) {
    print_line({{"domain", domain.str()}, {"forgotten", to_json(domain, found.entry)}});
  } else {
    std::printf("forgotten: %s\n", domain.str().c_str());
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
