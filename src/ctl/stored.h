#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/cache_view.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/term/terminal.h"
#include "settings.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::ctl {

// Where the daemon's cache is, by the configuration or by its defaults.
std::string cache_directory(const Settings& settings);

// The policy domain that a key of Postfix names, or a sentence about it.
Result<DomainName, std::string> domain_of(const std::string& key);

// What is known of a domain: by the running daemon, else by its files.
struct Found {
  std::optional<cache::Entry> entry;
  bool from_daemon = false;
};
Result<Found, std::string> find_entry(const Settings& settings, const DomainName& domain);

// The cache of a daemon that is down, to change it. Errors are one sentence.
Result<std::unique_ptr<cache::LmdbStore>, std::string> open_to_change(const Settings& settings,
                                                                      Log& log);

// What is known of a domain, for people: a line a field.
std::string describe(const term::Terminal& terminal, const DomainName& domain,
                     const cache::Entry& entry, WallTime now);

// "certificate x3": what went wrong, and how often in a row.
std::string short_problem(const cache::Failure& failed);

}  // namespace mtastsd::ctl
