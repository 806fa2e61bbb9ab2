#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cache.h"
#include "mtastsd/base/text.h"
#include "mtastsd/term/exit_status.h"
#include "stored.h"

namespace mtastsd::ctl {

int cache_show(CacheArguments& arguments) {
  arguments.settings.load();
  const DomainName domain = domain_of(arguments.domain);
  const cache::EntryPtr entry = find_entry(arguments.settings, domain).entry;
  if (!entry) {
    term::trouble("nothing is known of " + domain.str() + ": \"mtastsctl query " + domain.str() +
                  "\" looks it up");
    return term::kNotFound;
  }
  if (arguments.json) {
    print_line(to_json(domain, entry));
    return term::kGood;
  }
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  std::fputs(describe(terminal, domain, *entry, SystemClock().wall()).c_str(), stdout);
  if (entry->holds_policy()) {
    std::puts("");
    std::istringstream lines(mtasts::text_of(entry->policy->policy));
    for (std::string line; std::getline(lines, line);) {
      std::printf("  %s\n", printable(line).c_str());
    }
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
