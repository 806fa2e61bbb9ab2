#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "cache.h"
#include "daemon_link.h"
#include "lines.h"
#include "mtastsd/control/entry_json.h"
#include "mtastsd/control/import.h"
#include "mtastsd/control/server.h"
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

struct Outcome {
  std::string result;  // imported, newer, expired or invalid
  std::string detail;
};

// Where records go: to the running daemon, else into the files.
class Target {
 public:
  static Result<Target, std::string> open(const Settings& settings, Log& log) {
    Target target;
    auto link = DaemonLink::connect(settings);
    if (link) {
      target.link_.emplace(std::move(*link));
      return target;
    }
    if (link.error().problem == DaemonLink::Problem::Trouble) {
      return failure(link.error().message);
    }
    auto store = open_to_change(settings, log);
    if (!store) {
      return failure(std::move(store.error()));
    }
    target.store_ = std::move(*store);
    return target;
  }

  Result<Outcome, std::string> take(const nlohmann::json& record) {
    if (link_) {
      const auto reply = link_->ask({{"command", "import"}, {"entry", record}});
      if (!reply) {
        return failure(reply.error().message);
      }
      return Outcome{reply->value("result", "invalid"), reply->value("detail", "")};
    }
    const auto read = control::entry_from_json(record);
    if (!read) {
      return Outcome{"invalid", read.error()};
    }
    const auto known = store_->find(read->first);
    const auto imported = control::import_entry(known ? std::optional(*known) : std::nullopt,
                                                read->second, SystemClock().wall());
    if (!imported) {
      return Outcome{std::string(control::to_string(imported.error().why)),
                     imported.error().sentence};
    }
    if (!store_->has_room() && !store_->flush(kFlushLimit)) {
      return failure(std::string("the cache could not be written: is the disk full?"));
    }
    store_->put(read->first, *imported);
    return Outcome{"imported", ""};
  }

  bool finish() { return !store_ || store_->flush(kFlushLimit); }

 private:
  std::optional<DaemonLink> link_;
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
      ++counts_[outcome->result];
      if (outcome->result == "invalid" && ++complaints_ <= kMaxComplaints) {
        progress_.hide();
        term::trouble("line " + std::to_string(lines.number()) + " " +
                      term::printable(outcome->detail));
      }
    }
    progress_.hide();
    if (!target_.finish()) {
      return failure(std::string("the cache could not be written: is the disk full?"));
    }
    return {};
  }

  int report(bool as_json) {
    const auto count = [this](const char* name) { return counts_[name]; };
    if (as_json) {
      const nlohmann::json object = {{"imported", count("imported")},
                                     {"newer", count("newer")},
                                     {"expired", count("expired")},
                                     {"invalid", count("invalid")}};
      std::puts(control::to_line(object).c_str());
    } else {
      std::printf(
          "imported %s, as new or newer in the cache %s, expired %s, not readable %s\n",
          term::count_text(count("imported")).c_str(), term::count_text(count("newer")).c_str(),
          term::count_text(count("expired")).c_str(), term::count_text(count("invalid")).c_str());
    }
    return count("expired") + count("invalid") == 0 ? term::kGood : term::kNotFound;
  }

 private:
  Result<Outcome, std::string> take(const std::string& line) {
    const nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
    if (!record.is_object()) {
      return Outcome{"invalid", "is no JSON object"};
    }
    return target_.take(record);
  }

  Target target_;
  term::Progress progress_{"importing"};
  std::map<std::string, std::size_t> counts_;
  std::size_t read_ = 0;
  std::size_t complaints_ = 0;
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
