#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "daemon.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/history.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/term/terminal.h"

namespace mtastsd {
class Log;
}

// What the daemon knows. It is asked of the running daemon, whose answers include what waits for
// its commit. If none runs, it is read from the cache file. All of this throws Trouble.
namespace mtastsd::ctl {

// Where the daemon's cache is, by the configuration or by its defaults.
std::string cache_directory(const Settings& settings);

// The policy domain that a key of Postfix names.
DomainName domain_of(const std::string& key);

struct Found {
  cache::EntryPtr entry;  // null: nothing is known
  bool from_daemon = false;
};
Found find_entry(const Settings& settings, const DomainName& domain);

// The versions of a domain's policy, the newest first, and what is known of it now.
struct Past {
  cache::History versions;
  cache::EntryPtr entry;  // null: nothing
};
Past find_history(const Settings& settings, const DomainName& domain);

// Calls `visit` for every record, by name, in constant memory; ends early when it returns false.
using Visit = std::function<bool(std::string_view domain, std::string_view record)>;
void each_record(const Settings& settings, const Visit& visit);

// How full the cache is.
struct Usage {
  std::string directory;
  std::size_t entries = 0;  // committed
  std::size_t used_bytes = 0;
  std::size_t max_bytes = 0;
};
Usage usage(const Settings& settings);

// Opens the cache of a daemon that is down, to change it.
std::unique_ptr<cache::LmdbStore> open_to_change(const Settings& settings, Log& log);
// Waits until the changes are on disk.
void commit(cache::LmdbStore& store);

// What is known of a domain, for people: a line for each field.
std::string describe(const term::Terminal& terminal, const DomainName& domain,
                     const cache::Entry& entry, WallTime now);

// Prints "name:   value" on stdout.
void print_field(std::string_view name, std::string_view value,
                 term::Colour colour = term::Colour::None);

// The exit status for a reply of the daemon to a key: kGood for a policy in force, kNotFound for
// NOTFOUND, and kTrouble for an error or no reply.
int status_of(std::string_view reply);

// Why there is no policy: a clause such as "the domain publishes no MTA-STS record".
std::string no_policy_text(const cache::Entry& entry);

// The same for programs; null if there is no entry.
nlohmann::ordered_json to_json(const DomainName& domain, const cache::EntryPtr& entry);
// Prints it in one line of ASCII.
void print_line(const nlohmann::ordered_json& object);

}  // namespace mtastsd::ctl
