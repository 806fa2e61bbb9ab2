#include <fnmatch.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "cache.h"
#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"
#include "mtastsd/cache/store.h"
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

constexpr std::size_t kMismatchWidth = 40;

// The MX hosts of the domains that the running daemon has found to differ from their policy.
std::map<std::string, std::string, std::less<>> read_mismatches(const Settings& settings) {
  auto daemon = connect_to_daemon(settings);
  if (!daemon) {
    throw Trouble("--mx-mismatch: " + daemon.error() +
                  ": the MX hosts are known to the running daemon only");
  }
  std::map<std::string, std::string, std::less<>> hosts;
  control::MxMismatchesRequest request;
  do {
    control::MxMismatches page = need(daemon->ask(request));
    for (const resolver::MxMismatch& one : page.domains) {
      hosts.emplace(one.domain.str(), one.hosts);
    }
    request.after = std::move(page.next);
  } while (!request.after.empty());
  return hosts;
}

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
  if (entry.holds_policy()) {
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
  explicit Listing(const CacheArguments& arguments)
      : arguments_(arguments),
        now_(SystemClock().wall()),
        table_(term::look_at(STDOUT_FILENO),
               {{"DOMAIN", 0},
                {"MODE", kModeWidth},
                {"UNTIL", kUntilWidth},
                {"CHECKED", kCheckedWidth},
                {arguments.mx_mismatch ? "MX HOSTS" : "PROBLEM",
                 arguments.mx_mismatch ? kMismatchWidth : kProblemWidth}}),
        reading_("reading the cache") {
    if (arguments.mx_mismatch) {
      mismatches_ = read_mismatches(arguments.settings);
    }
    if (!arguments.expiring.empty()) {
      const auto within = config::parse_duration(arguments.expiring);
      if (!within) {
        throw Trouble("--expiring '" + arguments.expiring + "': " + within.error());
      }
      ends_before_ = now_ + std::chrono::duration_cast<Seconds>(*within);
    }
  }

  // False once nobody reads any more.
  bool add(const std::string& domain, std::string_view record) {
    reading_.step(++read_);
    const std::string& glob = arguments_.match;
    if (!glob.empty() && ::fnmatch(glob.c_str(), domain.c_str(), FNM_CASEFOLD) != 0) {
      return true;
    }
    const auto entry = cache::decode_entry(record);
    if (!entry) {
      ++unreadable_;
      return true;
    }
    const auto mismatch = mismatches_.find(domain);
    if (!takes(*entry) || (arguments_.mx_mismatch && mismatch == mismatches_.end())) {
      return true;
    }
    if (shown_++ == 0) {
      reading_.hide();
      pager_.begin();
      if (!arguments_.json) {
        pager_.line(table_.head());
      }
    }
    if (arguments_.json) {
      return pager_.line(control::to_json(domain, *entry));
    }
    auto cells = cells_of(printable(domain), *entry, now_);
    if (mismatch != mismatches_.end()) {
      cells.back() = {printable(mismatch->second), term::Colour::Red};
    }
    return pager_.line(table_.row(cells));
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
  bool takes(const cache::Entry& entry) const {
    const std::string_view mode =
        entry.holds_policy() ? mtasts::to_string(entry.policy->policy.mode) : "no-policy";
    return (arguments_.mode.empty() || arguments_.mode == mode) &&
           (!arguments_.failing || cache::is_failing(entry, now_)) &&
           (!ends_before_ || (entry.holds_policy() && entry.policy->expires_at() <= *ends_before_));
  }

  const CacheArguments& arguments_;
  std::optional<WallTime> ends_before_;
  std::map<std::string, std::string, std::less<>> mismatches_;  // domain -> MX hosts
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
  Listing listing(arguments);
  each_record(arguments.settings, [&listing](std::string_view domain, std::string_view record) {
    return listing.add(std::string(domain), record);
  });
  return listing.finish();
}

}  // namespace mtastsd::ctl
