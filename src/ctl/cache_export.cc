#include <unistd.h>

#include <cstdio>

#include "cache.h"
#include "mtastsd/answer/answerer.h"
#include "mtastsd/answer/reply.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr std::string_view kFound = "OK ";

// What the map "postfix" answers, as a line of a table; empty where that is "not found".
std::string table_line(const DomainName& domain, std::string_view record,
                       const postfix::Profile& profile, WallTime now) {
  const auto view = cache::RecordView::decode(record);
  if (!view) {
    return {};
  }
  cache::EntryView entry(*view, record);
  std::vector<std::string_view> patterns;
  std::string reply;
  answer::reply_from_entry(entry, {.domain = domain, .profile = profile, .target = {}}, now,
                           patterns, reply);
  return reply.starts_with(kFound) ? domain.str() + "\t" + reply.substr(kFound.size())
                                   : std::string();
}

std::string json_line(const DomainName& domain, std::string_view record, WallTime now) {
  const auto entry = cache::decode_entry(record);
  if (!entry || !entry->policy || entry->policy->expires_at() <= now) {
    return {};
  }
  return control::to_json(domain.view(), *entry);
}

}  // namespace

int cache_export(CacheArguments& arguments) {
  arguments.settings.load();
  const postfix::Profile& profile =
      arguments.settings.config.maps.find(answer::kDefaultMap)->second;
  const WallTime now = SystemClock().wall();
  // On a terminal the output itself shows that the export goes on.
  const bool quiet = term::look_at(STDOUT_FILENO).is_terminal;
  term::Progress progress("exporting");
  std::size_t read = 0;
  bool written = true;
  const auto visit = [&](std::string_view name, std::string_view record) {
    const auto domain = DomainName::parse(name);
    if (!domain) {
      return true;
    }
    const std::string line = arguments.postfix ? table_line(*domain, record, profile, now)
                                               : json_line(*domain, record, now);
    written = line.empty() || std::puts(line.c_str()) != EOF;
    ++read;
    if (!quiet) {
      progress.step(read);
    }
    return written;
  };
  each_record(arguments.settings, visit);
  progress.hide();
  if (std::fflush(stdout) != 0 || !written) {
    throw Trouble("the output could not be written: is the disk full?");
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
