#include <fnmatch.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "cache.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/pager.h"
#include "mtastsd/term/table.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kModeWidth = 9;
constexpr std::size_t kUntilWidth = 10;
constexpr std::size_t kCheckedWidth = 11;
constexpr std::size_t kProblemWidth = 15;

struct Filter {
  std::string mode;
  bool failing = false;
  std::optional<WallTime> ends_before;
  std::string match;

  bool matches(const std::string& domain) const {
    return match.empty() || ::fnmatch(match.c_str(), domain.c_str(), FNM_CASEFOLD) == 0;
  }
  bool takes(const cache::Entry& entry) const {
    const std::string_view of_entry =
        entry.policy ? mtasts::to_string(entry.policy->policy.mode) : "no-policy";
    return (mode.empty() || mode == of_entry) && (!failing || entry.failure) &&
           (!ends_before || (entry.policy && entry.policy->expires_at() <= *ends_before));
  }
};

// "certificate x3": what went wrong, and how often in a row.
std::string short_problem(const cache::Failure& failed) {
  const bool invalid = failed.type == cache::FailureType::PolicyInvalid;
  const bool untrusted = failed.type == cache::FailureType::WebpkiInvalid;
  return std::string(untrusted ? "certificate"
                     : invalid ? "policy"
                               : "fetch") +
         " x" + std::to_string(failed.count);
}

std::vector<std::pair<std::string, term::Colour>> cells_of(const std::string& domain,
                                                           const cache::Entry& entry,
                                                           WallTime now) {
  std::string mode = "no policy";
  term::Colour colour = term::Colour::Dim;
  WallTime until = entry.recheck_at;
  if (entry.policy) {
    mode = mtasts::to_string(entry.policy->policy.mode);
    colour = entry.policy->policy.mode == mtasts::Mode::Enforce ? term::Colour::Green
                                                                : term::Colour::Yellow;
    until = entry.policy->expires_at();
  }
  return {{domain, term::Colour::None},
          {mode, colour},
          {until <= now ? "expired" : relative_text(until, now),
           until <= now ? term::Colour::Red : term::Colour::None},
          {relative_text(entry.txt_checked_at, now), term::Colour::None},
          {entry.failure ? short_problem(*entry.failure) : "-",
           entry.failure ? term::Colour::Red : term::Colour::Dim}};
}

class Listing {
 public:
  Listing(const CacheArguments& arguments, Filter filter)
      : json_(arguments.json),
        filter_(std::move(filter)),
        now_(SystemClock().wall()),
        table_(term::look_at(STDOUT_FILENO), {{"DOMAIN", 0},
                                              {"MODE", kModeWidth},
                                              {"UNTIL", kUntilWidth},
                                              {"CHECKED", kCheckedWidth},
                                              {"PROBLEM", kProblemWidth}}),
        reading_("reading the cache") {}

  // False once nobody reads any more.
  bool add(const std::string& domain, std::string_view record) {
    reading_.step(++read_);
    if (!filter_.matches(domain)) {
      return true;
    }
    const auto entry = cache::decode_entry(record);
    if (!entry) {
      ++unreadable_;
      return true;
    }
    if (!filter_.takes(*entry)) {
      return true;
    }
    if (shown_++ == 0) {
      reading_.hide();
      pager_.begin();
      if (!json_) {
        pager_.line(table_.head());
      }
    }
    return pager_.line(json_ ? control::to_json(domain, *entry)
                             : table_.row(cells_of(printable(domain), *entry, now_)));
  }

  int finish() {
    reading_.hide();
    pager_.end();
    if (unreadable_ > 0) {
      term::trouble(std::to_string(unreadable_) +
                    " records cannot be read: the daemon replaces each when it next needs it");
    }
    if (shown_ == 0) {
      term::trouble(read_ == 0 ? "the cache is empty" : "no entry matches");
      return term::kNotFound;
    }
    return term::kGood;
  }

 private:
  const bool json_;
  const Filter filter_;
  const WallTime now_;
  const term::Table table_;
  term::Progress reading_;
  term::Pager pager_;
  std::size_t read_ = 0;
  std::size_t shown_ = 0;
  std::size_t unreadable_ = 0;
};

}  // namespace

int cache_list(CacheArguments& arguments) {
  arguments.settings.load();
  Filter filter{arguments.mode, arguments.failing, std::nullopt, arguments.match};
  if (!arguments.expiring.empty()) {
    const auto within = config::parse_duration(arguments.expiring);
    if (!within) {
      throw Trouble("--expiring '" + arguments.expiring + "': " + within.error());
    }
    filter.ends_before = SystemClock().wall() + std::chrono::duration_cast<Seconds>(*within);
  }
  Listing listing(arguments, std::move(filter));
  each_record(arguments.settings, [&listing](std::string_view domain, std::string_view record) {
    return listing.add(std::string(domain), record);
  });
  return listing.finish();
}

}  // namespace mtastsd::ctl
