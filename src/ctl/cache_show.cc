#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "cache.h"
#include "mtastsd/base/text.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {

int cache_show(const CacheArguments& arguments) {
  const auto domain = domain_of(arguments.domain);
  if (!domain) {
    return term::trouble(domain.error());
  }
  const auto found = find_entry(arguments.settings, *domain);
  if (!found) {
    return term::trouble(found.error());
  }
  if (!found->entry) {
    term::trouble("nothing is known of " + domain->str() + ": \"mtastsctl query " + domain->str() +
                  "\" looks it up");
    return term::kNotFound;
  }
  if (arguments.json) {
    std::puts(control::to_json(domain->view(), *found->entry).c_str());
    return term::kGood;
  }
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  std::fputs(describe(terminal, *domain, *found->entry, SystemClock().wall()).c_str(), stdout);
  if (found->entry->policy) {
    std::puts("");
    std::istringstream lines(found->entry->policy->text);
    for (std::string line; std::getline(lines, line);) {
      if (line.ends_with('\r')) {
        line.pop_back();
      }
      std::printf("  %s\n", printable(line).c_str());
    }
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
