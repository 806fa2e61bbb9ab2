#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "cache.h"
#include "daemon.h"
#include "json.h"
#include "lines.h"
#include "mtastsd/base/text.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/control/import.h"
#include "mtastsd/log/log.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/table.h"
#include "mtastsd/term/terminal.h"
#include "stored.h"

namespace mtastsd::ctl {
namespace {

constexpr Milliseconds kFlushLimit{30000};
constexpr std::size_t kMaxComplaints = 10;
constexpr std::size_t kRoomForCommand = 100;

using control::Imported;
using control::ImportResult;

// Where records go: to the running daemon, else into the cache file.
class Target {
 public:
  static Result<Target, std::string> open(const Settings& settings, Log& log) {
    Target target;
    auto daemon = connect_to_daemon(settings);
    if (daemon) {
      target.daemon_.emplace(std::move(*daemon));
      return target;
    }
    if (daemon.error().problem != control::Error::Problem::NoDaemon) {
      return failure(std::move(daemon.error().message));
    }
    auto store = open_to_change(settings, log);
    if (!store) {
      return failure(std::move(store.error()));
    }
    target.store_ = std::move(*store);
    return target;
  }

  Result<Imported, std::string> take(const DomainName& domain, cache::Entry entry) {
    if (daemon_) {
      auto done = daemon_->ask(control::ImportRequest{domain, std::move(entry)});
      return done ? Result<Imported, std::string>(std::move(*done))
                  : failure(std::move(done.error().message));
    }
    auto imported = control::import_entry(store_->find(domain), entry, SystemClock().wall());
    if (!imported) {
      return Imported{imported.error().why, imported.error().sentence};
    }
    if (!store_->has_room() && !store_->flush(kFlushLimit)) {
      return failure(std::string("the cache could not be written: is the disk full?"));
    }
    store_->put(domain, std::move(*imported));
    return Imported{ImportResult::Imported, ""};
  }

  bool finish() { return !store_ || store_->flush(kFlushLimit); }

 private:
  std::optional<control::Client> daemon_;
  std::unique_ptr<cache::LmdbStore> store_;
};

class Import {
 public:
  explicit Import(Target target) : target_(std::move(target)) {}

  Result<void, std::string> run(Lines& lines) {
    while (!lines.at_end()) {
      auto line = lines.next();
      if (!line) {
        if (auto filled = lines.fill(); !filled) {
          return filled;
        }
        continue;
      }
      progress_.step(++read_);
      const auto outcome = take(*line);
      if (!outcome) {
        return failure("line " + std::to_string(lines.number()) + ": " + outcome.error());
      }
      ++count(outcome->result);
      if (outcome->result == ImportResult::Invalid &&
          count(ImportResult::Invalid) <= kMaxComplaints) {
        progress_.hide();
        term::trouble("line " + std::to_string(lines.number()) + " " + printable(outcome->detail));
      }
    }
    progress_.hide();
    if (!target_.finish()) {
      return failure(std::string("the cache could not be written: is the disk full?"));
    }
    return {};
  }

  int report(bool as_json) {
    const std::size_t imported = count(ImportResult::Imported);
    const std::size_t newer = count(ImportResult::Newer);
    const std::size_t expired = count(ImportResult::Expired);
    const std::size_t invalid = count(ImportResult::Invalid);
    if (as_json) {
      std::puts(json_object({{"imported", imported},
                             {"newer", newer},
                             {"expired", expired},
                             {"invalid", invalid}})
                    .text.c_str());
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

  std::size_t& count(ImportResult result) { return counts_[static_cast<std::size_t>(result)]; }

  Result<Imported, std::string> take(const std::string& line) {
    auto record = control::entry_from_json(line);
    if (!record) {
      return Imported{ImportResult::Invalid, std::move(record.error())};
    }
    return target_.take(record->first, std::move(record->second));
  }

  Target target_;
  term::Progress progress_{"importing"};
  std::array<std::size_t, 4> counts_{};
  std::size_t read_ = 0;
};

}  // namespace

int cache_import(const CacheArguments& arguments) {
  const bool from_stdin = arguments.file == "-";
  const int fd = from_stdin ? STDIN_FILENO : ::open(arguments.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return term::trouble(arguments.file + ": " + std::strerror(errno));
  }
  Log log = Log::null();
  auto target = Target::open(arguments.settings, log);
  if (!target) {
    return term::trouble(target.error());
  }
  Import import(std::move(*target));
  Lines lines(fd, control::kMaxLineBytes - kRoomForCommand);
  if (const auto done = import.run(lines); !done) {
    import.report(arguments.json);
    return term::trouble((from_stdin ? "standard input" : arguments.file) + ": " + done.error());
  }
  return import.report(arguments.json);
}

}  // namespace mtastsd::ctl
