#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "cache.h"
#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/control/import.h"
#include "mtastsd/log/log.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr std::size_t kMaxComplaints = 10;
constexpr std::size_t kRoomForCommand = 100;

using control::Imported;
using control::ImportResult;

// Where records go: to the running daemon, or otherwise into the cache file.
class Target {
 public:
  explicit Target(const Settings& settings) : log_(Log::null()) {
    if (auto daemon = connect_to_daemon(settings)) {
      daemon_.emplace(std::move(*daemon));
    } else {
      store_ = open_to_change(settings, log_);
    }
  }

  Imported take(const std::string& line) {
    auto record = control::entry_from_json(line);
    if (!record) {
      return {ImportResult::Invalid, std::move(record.error())};
    }
    auto& [domain, entry] = *record;
    if (daemon_) {
      return need(daemon_->ask(control::ImportRequest{domain, std::move(entry)}));
    }
    auto imported = control::import_entry(store_->find(domain), entry, SystemClock().wall());
    if (!imported) {
      return {imported.error().why, imported.error().sentence};
    }
    if (!store_->has_room()) {
      commit(*store_);
    }
    store_->put(domain, std::move(*imported));
    return {ImportResult::Imported, ""};
  }

  void finish() {
    if (store_) {
      commit(*store_);
    }
  }

 private:
  Log log_;
  std::optional<control::Client> daemon_;
  std::unique_ptr<cache::LmdbStore> store_;
};

// How many lines came to each result.
class Counts {
 public:
  std::size_t& of(ImportResult result) { return counts_[static_cast<std::size_t>(result)]; }

  int report(bool as_json) {
    const std::size_t imported = of(ImportResult::Imported);
    const std::size_t newer = of(ImportResult::Newer);
    const std::size_t expired = of(ImportResult::Expired);
    const std::size_t invalid = of(ImportResult::Invalid);
    if (as_json) {
      print_line(
          {{"imported", imported}, {"newer", newer}, {"expired", expired}, {"invalid", invalid}});
    } else {
      std::printf("%s imported\n", term::count_text(imported).c_str());
      say(newer, "skipped: the cache already has a policy as new or newer");
      say(expired, "skipped: the policy has expired");
      say(invalid, "skipped: the line is not a record that can be used");
    }
    return expired + invalid == 0 ? term::kGood : term::kNotFound;
  }

 private:
  static void say(std::size_t count, const char* what) {
    if (count > 0) {
      std::printf("%s %s\n", term::count_text(count).c_str(), what);
    }
  }

  std::array<std::size_t, 4> counts_{};
};

void take_all(Target& target, Lines& lines, Counts& counts) {
  term::Progress progress("importing");
  for (std::size_t read = 1; const auto line = lines.read(); ++read) {
    progress.step(read);
    const Imported outcome = target.take(*line);
    if (++counts.of(outcome.result) <= kMaxComplaints && outcome.result == ImportResult::Invalid) {
      progress.hide();
      term::trouble(lines.position() + " " + printable(outcome.detail));
    }
  }
  target.finish();
}

}  // namespace

int cache_import(CacheArguments& arguments) {
  arguments.settings.load();
  Lines lines = Lines::of(arguments.file, control::kMaxLineBytes - kRoomForCommand);
  Target target(arguments.settings);
  Counts counts;
  try {
    take_all(target, lines, counts);
  } catch (const Trouble&) {
    counts.report(arguments.json);
    throw;
  }
  return counts.report(arguments.json);
}

}  // namespace mtastsd::ctl
