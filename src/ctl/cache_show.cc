#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cache.h"
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
    std::fprintf(stderr, "mtastsctl: nothing is known of %s: \"mtastsctl query %s\" finds out\n",
                 domain->str().c_str(), domain->str().c_str());
    return term::kNotFound;
  }
  if (arguments.json) {
    std::puts(control::to_line(control::entry_to_json(domain->view(), *found->entry)).c_str());
    return term::kGood;
  }
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  std::fputs(describe(terminal, *domain, *found->entry, SystemClock().wall()).c_str(), stdout);
  if (found->entry->policy) {
    std::puts("");
    std::string line;
    for (const char c : found->entry->policy->text) {
      if (c == '\n') {
        std::printf("  %s\n", term::printable(line).c_str());
        line.clear();
      } else if (c != '\r') {
        line += c;
      }
    }
    if (!line.empty()) {
      std::printf("  %s\n", term::printable(line).c_str());
    }
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
