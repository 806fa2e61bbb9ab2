#pragma once

#include <atomic>
#include <optional>
#include <string_view>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/versions.h"

struct MDB_txn;

namespace mtastsd::cache {

class LmdbEnv;
class Pending;

// Reads the cache: what is committed, and over it what waits for its commit. Without a lock where
// nothing waits for the domain, and without copying. One a thread; outlives its snapshots and is
// outlived by the store that made it.
class Reader {
 public:
  // The newest of a domain, one domain at a time. Keep it short: it pins old pages of the file.
  class Snapshot {
   public:
    explicit Snapshot(Reader& reader) : reader_(reader) {}
    ~Snapshot();
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

    // Valid until the next find() or the end of the snapshot. Empty where nothing is known, or
    // nothing that can be read: see failed() and damaged().
    std::optional<EntryView> find(const DomainName& domain);

    bool failed() const { return failed_; }  // LMDB could not read; policies may be there
    std::optional<RecordError> damaged() const { return damaged_; }  // of the last record found

   private:
    std::optional<EntryView> committed(const DomainName& domain);

    Reader& reader_;
    bool failed_ = false;
    std::optional<RecordError> damaged_;
  };

  // `current`: the environment to read, which may change between snapshots; null is an empty cache.
  Reader(const std::atomic<const LmdbEnv*>& current, const Pending& pending)
      : current_(current), pending_(pending) {}
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  const Versions& versions() const;

 private:
  friend class LmdbStore;

  MDB_txn* begin();
  void end();
  void forget_transaction();

  const std::atomic<const LmdbEnv*>& current_;
  const Pending& pending_;
  const LmdbEnv* env_ = nullptr;  // that of txn_
  MDB_txn* txn_ = nullptr;        // between snapshots: reset, to be renewed
  bool reading_ = false;          // txn_ is in use
};

}  // namespace mtastsd::cache
