#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/event/loop.h"
#include "mtastsd/overrides/override.h"
#include "mtastsd/overrides/table.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::daemon {

// The overrides of the configuration and of the command line. Those of the command line are kept in
// the cache file, and so is when each of the configuration's was first seen: of two for the same
// name, the later decision counts. Gives every change to the answering threads, and says when an
// override ends. On the main thread.
// Logs: override_added, override_removed, override_ended, override_ends_soon, override_unreadable.
class OverrideBook {
 public:
  // Gives the table to all who answer, and then calls `done`, which may be empty.
  using Publish = std::function<void(const overrides::TablePtr& table, event::Callback done)>;

  // `clock`, `store` and `log` outlive it.
  OverrideBook(event::Timers& timers, const Clock& clock, cache::LmdbStore& store, Log& log);

  // At the start, before anybody answers: reads what is stored. Nothing is published.
  void load(std::vector<overrides::Override> configured);
  void set_publish(Publish publish) { publish_ = std::move(publish); }

  // After a reload of the configuration.
  void configure(std::vector<overrides::Override> configured);

  // Stores an override of the command line and publishes it; `by` says who decided. `done` is
  // called when every answer knows of it. Errors are sentences; then nothing has changed.
  Result<void, std::string> add(overrides::Override one, std::string by, event::Callback done);
  // Takes one away in the same way. Returns it, or nullopt where there is none.
  Result<std::optional<overrides::Override>, std::string> remove(const overrides::Scope& scope,
                                                                 std::string_view by,
                                                                 event::Callback done);

  bool is_configured(const overrides::Scope& scope) const { return configured_.contains(scope); }
  // Null: there are none.
  const overrides::TablePtr& table() const { return table_; }

 private:
  using ByScope = std::map<overrides::Scope, overrides::Override>;
  using Key = std::pair<overrides::Scope, overrides::Source>;

  static std::vector<overrides::Override> values(const ByScope& overrides);
  void take_over(std::vector<overrides::Override> configured, ByScope seen);
  void make_table();
  void publish(event::Callback done);
  void look();
  bool drop_ended(WallTime now);
  void warn(WallTime now);
  void arm(WallTime now);
  void log_added(const overrides::Override& one);

  const Clock& clock_;
  cache::LmdbStore& store_;
  Log& log_;
  Publish publish_;
  ByScope configured_;
  ByScope commanded_;
  overrides::TablePtr table_;
  std::set<Key> told_of_end_;
  std::set<Key> warned_;
  std::unique_ptr<event::Timer> timer_;
};

}  // namespace mtastsd::daemon
