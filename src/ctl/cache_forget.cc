#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "cache.h"
#include "daemon.h"
#include "json.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/log/log.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr Milliseconds kFlushLimit{30000};

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

Result<void, std::string> forget(const Settings& settings, const DomainName& domain,
                                 bool by_daemon) {
  if (by_daemon) {
    auto daemon = connect_to_daemon(settings);
    if (!daemon) {
      return failure(daemon.error().message);
    }
    term::Progress progress("waiting for mtastsd");
    const auto done = daemon->ask(control::ForgetRequest{domain}, [&progress] { progress.tick(); });
    return done ? Result<void, std::string>() : failure(done.error().message);
  }
  Log log = Log::null();
  const auto store = open_to_change(settings, log);
  if (!store) {
    return failure(store.error());
  }
  (*store)->erase(domain);
  return (*store)->flush(kFlushLimit) ? Result<void, std::string>()
                                      : failure("the cache in " + cache_directory(settings) +
                                                " could not be written: is the disk full?");
}

}  // namespace

int cache_forget(const CacheArguments& arguments) {
  const auto domain = domain_of(arguments.domain);
  if (!domain) {
    return term::trouble(domain.error());
  }
  const auto found = find_entry(arguments.settings, *domain);
  if (!found) {
    return term::trouble(found.error());
  }
  if (!found->entry) {
    term::trouble("nothing is known of " + domain->str());
    return term::kNotFound;
  }
  std::fprintf(stderr, "%s.\n", loss(*domain, *found->entry, SystemClock().wall()).c_str());
  if (!arguments.yes) {
    if (::isatty(STDIN_FILENO) == 0) {
      return term::trouble(
          "standard input is not a terminal, so nobody can confirm: add --yes to forget the "
          "domain");
    }
    if (!confirmed()) {
      return term::trouble("not forgotten");
    }
  }
  if (const auto done = forget(arguments.settings, *domain, found->from_daemon); !done) {
    return term::trouble(done.error());
  }
  if (arguments.json) {
    const Json entry{control::to_json(domain->view(), *found->entry)};
    std::puts(json_object({{"domain", domain->str()}, {"forgotten", entry}}).text.c_str());
  } else {
    std::printf("forgotten: %s\n", domain->str().c_str());
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
