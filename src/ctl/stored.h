#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/term/terminal.h"
#include "settings.h"

namespace mtastsd {
class Log;
}

// What the daemon knows: asked of the running daemon, whose answers have what waits for its commit
// too, and read from its cache file where none runs. Errors are one sentence with what to do.
namespace mtastsd::ctl {

// Where the daemon's cache is, by the configuration or by its defaults.
std::string cache_directory(const Settings& settings);

// The policy domain that a key of Postfix names, or a sentence about it.
Result<DomainName, std::string> domain_of(const std::string& key);

struct Found {
  cache::EntryPtr entry;  // null: nothing is known
  bool from_daemon = false;
};
Result<Found, std::string> find_entry(const Settings& settings, const DomainName& domain);

// Every record, by name, in constant memory; ends early when `visit` returns false.
using Visit = std::function<bool(std::string_view domain, std::string_view record)>;
Result<void, std::string> each_record(const Settings& settings, const Visit& visit);

// How full the cache is.
struct Usage {
  std::string directory;
  std::size_t entries = 0;  // committed
  std::size_t used_bytes = 0;
  std::size_t max_bytes = 0;
};
Result<Usage, std::string> usage(const Settings& settings);

// The cache of a daemon that is down, to change it.
Result<std::unique_ptr<cache::LmdbStore>, std::string> open_to_change(const Settings& settings,
                                                                      Log& log);

// What is known of a domain, for people: a line for each field.
std::string describe(const term::Terminal& terminal, const DomainName& domain,
                     const cache::Entry& entry, WallTime now);

// "certificate x3": what went wrong, and how often in a row.
std::string short_problem(const cache::Failure& failed);

}  // namespace mtastsd::ctl
