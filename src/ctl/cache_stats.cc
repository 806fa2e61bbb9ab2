#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "cache.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr Seconds kDay{86400};

struct Stats {
  std::array<std::size_t, 3> by_mode{};
  std::size_t no_policy = 0;
  std::size_t failing = 0;
  std::size_t expired = 0;
  std::size_t within_day = 0;
  std::size_t within_week = 0;
  std::size_t later = 0;
  std::size_t unreadable = 0;

  std::size_t entries() const {
    return by_mode[0] + by_mode[1] + by_mode[2] + no_policy + unreadable;
  }
  void add(std::string_view record, WallTime now) {
    const auto entry = cache::decode_entry(record);
    if (!entry) {
      ++unreadable;
      return;
    }
    failing += cache::is_failing(*entry, now) ? 1 : 0;
    if (!entry->holds_policy()) {
      ++no_policy;
      return;
    }
    ++by_mode[static_cast<std::size_t>(entry->policy->policy.mode)];
    const Seconds left = entry->policy->expires_at() - now;
    std::size_t& part = left <= Seconds(0) ? expired
                        : left <= kDay     ? within_day
                        : left <= 7 * kDay ? within_week
                                           : later;
    ++part;
  }
};

nlohmann::ordered_json to_json(const Stats& stats, const Usage& usage) {
  return {{"directory", usage.directory},
          {"entries", stats.entries()},
          {"enforce", stats.by_mode[2]},
          {"testing", stats.by_mode[1]},
          {"none", stats.by_mode[0]},
          {"no_policy", stats.no_policy},
          {"failing", stats.failing},
          {"expired", stats.expired},
          {"expiring_within_day", stats.within_day},
          {"expiring_within_week", stats.within_week},
          {"expiring_later", stats.later},
          {"unreadable", stats.unreadable},
          {"used_bytes", usage.used_bytes},
          {"max_bytes", usage.max_bytes}};
}

void print(const Stats& stats, const Usage& usage) {
  print_field("Cache", usage.directory);
  print_field("Entries", term::count_text(stats.entries()));
  print_field("  enforce", term::count_text(stats.by_mode[2]));
  print_field("  testing", term::count_text(stats.by_mode[1]));
  print_field("  none", term::count_text(stats.by_mode[0]));
  print_field("  no policy", term::count_text(stats.no_policy));
  if (stats.unreadable > 0) {
    print_field("  unreadable", term::count_text(stats.unreadable), term::Colour::Red);
  }
  print_field("Failing", term::count_text(stats.failing),
              stats.failing > 0 ? term::Colour::Red : term::Colour::None);
  print_field("Policies",
              fmt::format("{} expire within a day, {} within a week, {} later; {} have expired",
                          term::count_text(stats.within_day), term::count_text(stats.within_week),
                          term::count_text(stats.later), term::count_text(stats.expired)));
  print_field("Size", term::usage_text(usage.used_bytes, usage.max_bytes));
}

}  // namespace

int cache_stats(CacheArguments& arguments) {
  arguments.settings.load();
  const Usage full = usage(arguments.settings);
  const WallTime now = SystemClock().wall();
  Stats stats;
  term::Progress progress("reading the cache", full.entries);
  each_record(arguments.settings, [&](std::string_view /*domain*/, std::string_view record) {
    stats.add(record, now);
    progress.step(stats.entries());
    return true;
  });
  progress.hide();
  if (arguments.json) {
    print_line(to_json(stats, full));
  } else {
    print(stats, full);
  }
  return term::kGood;
}

}  // namespace mtastsd::ctl
