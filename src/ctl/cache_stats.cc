#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cache.h"
#include "mtastsd/cache/cache_view.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr Seconds kDay{86400};

struct Stats {
  std::array<std::size_t, 3> by_mode{};
  std::size_t no_policy = 0;
  std::size_t failing = 0;
  std::size_t over = 0;
  std::size_t within_day = 0;
  std::size_t within_week = 0;
  std::size_t later = 0;
  std::size_t unreadable = 0;

  void add(std::string_view record, WallTime now) {
    const auto entry = cache::decode_entry(record);
    if (!entry) {
      ++unreadable;
      return;
    }
    if (!entry->policy) {
      ++no_policy;
      return;
    }
    ++by_mode[static_cast<std::size_t>(entry->policy->policy.mode)];
    failing += entry->failure ? 1 : 0;
    const Seconds left = entry->policy->expires_at() - now;
    std::size_t& part = left <= Seconds(0) ? over
                        : left <= kDay     ? within_day
                        : left <= 7 * kDay ? within_week
                                           : later;
    ++part;
  }
};

nlohmann::json to_json(const std::string& directory, const Stats& stats,
                       const cache::CacheTotals& totals, std::size_t max_bytes) {
  return {{"directory", directory},
          {"entries", totals.entries},
          {"enforce", stats.by_mode[2]},
          {"testing", stats.by_mode[1]},
          {"none", stats.by_mode[0]},
          {"no_policy", stats.no_policy},
          {"failing", stats.failing},
          {"expired", stats.over},
          {"expiring_within_day", stats.within_day},
          {"expiring_within_week", stats.within_week},
          {"expiring_later", stats.later},
          {"unreadable", stats.unreadable},
          {"used_bytes", totals.used_bytes},
          {"max_bytes", max_bytes}};
}

void print(const std::string& directory, const Stats& stats, const cache::CacheTotals& totals,
           std::size_t max_bytes) {
  const term::Terminal terminal = term::look_at(STDOUT_FILENO);
  const auto line = [&terminal](std::string_view name, const std::string& value,
                                term::Colour colour = term::Colour::None) {
    std::fputs(term::field(terminal, name, value, colour).c_str(), stdout);
  };
  line("Cache", directory);
  line("Entries", term::count_text(totals.entries));
  line("  enforce", term::count_text(stats.by_mode[2]));
  line("  testing", term::count_text(stats.by_mode[1]));
  line("  none", term::count_text(stats.by_mode[0]));
  line("  no policy", term::count_text(stats.no_policy));
  if (stats.unreadable > 0) {
    line("  unreadable", term::count_text(stats.unreadable), term::Colour::Red);
  }
  line("Failing", term::count_text(stats.failing),
       stats.failing > 0 ? term::Colour::Red : term::Colour::None);
  line("Policies end", term::count_text(stats.within_day) + " within a day, " +
                           term::count_text(stats.within_week) + " within a week, " +
                           term::count_text(stats.later) + " later, " +
                           term::count_text(stats.over) + " are over");
  char percent[16];
  std::snprintf(percent, sizeof(percent), "%.1f%%",
                100.0 * static_cast<double>(totals.used_bytes) / static_cast<double>(max_bytes));
  line("Size", term::size_text(totals.used_bytes) + " of " + term::size_text(max_bytes) + " (" +
                   percent + ")");
}

}  // namespace

int cache_stats(const CacheArguments& arguments) {
  const std::string directory = cache_directory(arguments.settings);
  const auto view = cache::CacheView::open(directory);
  if (!view) {
    return term::trouble(view.error().message);
  }
  const auto totals = (*view)->totals();
  if (!totals) {
    return term::trouble(totals.error());
  }
  const WallTime now = SystemClock().wall();
  Stats stats;
  std::size_t read = 0;
  term::Progress progress("reading the cache", totals->entries);
  const auto done = (*view)->each([&](std::string_view, std::string_view record) {
    stats.add(record, now);
    progress.step(++read);
    return true;
  });
  progress.hide();
  if (!done) {
    return term::trouble(done.error());
  }
  const std::size_t max_bytes = arguments.settings.config.cache.max_size;
  if (arguments.json) {
    std::puts(control::to_line(to_json(directory, stats, *totals, max_bytes)).c_str());
  } else {
    print(directory, stats, *totals, max_bytes);
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
