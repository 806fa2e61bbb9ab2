#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eviction.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/cache/counters.h"
#include "pending.h"

struct MDB_txn;

namespace mtastsd {
class Log;
}

namespace mtastsd::cache {

class CacheFile;
class LmdbEnv;
class Txn;

// A record that may have to make room.
struct Victim {
  Value value;
  EntryFacts facts;
  std::uint64_t owner = 0;  // a hash of its name
  std::uint64_t bytes = 0;
  DomainName domain;
};

// What one commit does.
struct Batch {
  std::vector<Pending::Item> changes;
  std::vector<std::string> stale_index;  // keys of the due index whose records are gone
  std::vector<bool> skipped;             // of changes: the committed record counts. Set by commit()
};

// Commits batches, and keeps the file within its bounds. On the writer's thread, while the file can
// be written. Logs: cache_full.
class Writer {
 public:
  struct Bounds {
    std::size_t max_size = 0;      // bytes in use by data
    std::size_t max_negative = 0;  // "no policy" results
    std::size_t versions = 0;      // of a policy, that its history keeps
  };

  Writer(CacheFile& file, Bounds bounds, const Clock& clock, Counters& counters, Log& log)
      : file_(file), bounds_(bounds), clock_(clock), counters_(counters), log_(log) {}

  // All of it or nothing. Returns 0, or an error of LMDB's for error_text(). Ends the process when
  // the file is damaged.
  int commit(Batch& batch);
  static const char* error_text(int rc);

 private:
  LmdbEnv& env() const;
  int try_commit(Batch& batch);
  int make_room();
  int apply(MDB_txn* txn, Batch& batch, std::size_t number);
  int note_history(MDB_txn* txn, const DomainName& domain, const Entry& entry);
  int trim(MDB_txn* txn);
  int drop_negative(MDB_txn* txn, std::size_t count);
  int drop_record_of(MDB_txn* txn, std::string_view negative_key);
  int count_owners(MDB_txn* txn, OwnerBytes& owners) const;
  int evict(MDB_txn* txn, std::size_t target);
  int drop(MDB_txn* txn, std::size_t target, std::vector<std::pair<Value, Victim>> lowest,
           OwnerBytes& owners, WallTime now);

  CacheFile& file_;
  const Bounds bounds_;
  const Clock& clock_;
  Counters& counters_;
  Log& log_;
};

}  // namespace mtastsd::cache
