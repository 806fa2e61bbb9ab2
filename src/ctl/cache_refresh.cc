#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cache.h"
#include "daemon_link.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

std::string headline(const std::string& result, const std::string& change, bool has_policy) {
  if (result == "fetched") {
    if (change == "new") {
      return "fetched: a policy that was not known";
    }
    return change == "none" ? "fetched: the policy is the same, its life begins anew"
                            : "fetched: the policy has changed";
  }
  const std::string kept = has_policy ? ", the cached policy stays in force" : "";
  if (result == "no-record") {
    return "not fetched: the domain publishes no MTA-STS record" + kept;
  }
  if (result == "held-back") {
    return "not fetched: it is too soon for another try" + kept;
  }
  return "failed" + kept;
}

}  // namespace

int cache_refresh(const CacheArguments& arguments) {
  const auto domain = domain_of(arguments.domain);
  if (!domain) {
    return term::trouble(domain.error());
  }
  auto link = DaemonLink::connect(arguments.settings);
  if (!link) {
    return term::trouble(DaemonLink::needed(link.error(), "a refresh"));
  }
  term::Progress progress("waiting for mtastsd to fetch the policy of " + domain->str());
  const auto reply = link->ask({{"command", "refresh"}, {"domain", domain->view()}},
                               [&progress] { progress.tick(); });
  progress.hide();
  if (!reply) {
    return term::trouble(reply.error().message);
  }
  const std::string result = reply->value("result", "failed");
  const std::string detail = reply->value("detail", "");
  const std::string change = reply->value("change", "none");
  const nlohmann::json& entry = reply->at("entry");
  if (arguments.json) {
    const nlohmann::json object = {{"domain", domain->view()},
                                   {"result", result},
                                   {"detail", detail},
                                   {"change", change},
                                   {"entry", entry}};
    std::puts(control::to_line(object).c_str());
  } else {
    const term::Terminal terminal = term::look_at(STDOUT_FILENO);
    const auto read = control::entry_from_json(entry);
    const bool good = result == "fetched";
    std::puts(term::paint(terminal, good ? term::Colour::Green : term::Colour::Yellow,
                          headline(result, change, read && read->second.policy))
                  .c_str());
    if (!detail.empty()) {
      std::printf("The reason: %s\n", term::printable(detail).c_str());
    }
    if (read && (read->second.policy || read->second.failure)) {
      const WallTime now = SystemClock().wall();
      std::printf("\n%s", describe(terminal, *domain, read->second, now).c_str());
    }
  }
  return result == "fetched" ? term::kGood : term::kNotFound;
}

}  // namespace mtastsd::ctl
