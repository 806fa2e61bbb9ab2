#pragma once

#include <atomic>
#include <string_view>

#include "mtastsd/base/domain_name.h"

struct MDB_txn;

namespace mtastsd::cache {

class LmdbEnv;

// Reads committed records, without locks and without copying. One a thread; outlives its
// snapshots and is outlived by the store that made it.
class Reader {
 public:
  // A view of the cache at one moment. What find() returns is valid until it is destroyed: keep it
  // short, it pins old pages.
  class Snapshot {
   public:
    explicit Snapshot(Reader& reader);
    ~Snapshot();
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

    // Empty when it is not there, or cannot be read: then failed().
    std::string_view find(const DomainName& domain);
    bool failed() const { return failed_; }

   private:
    friend class LmdbStore;
    const LmdbEnv* env_ = nullptr;
    MDB_txn* txn_ = nullptr;  // null: an empty cache
    bool failed_ = false;
  };

  // `current`: the environment to read, which may change between snapshots; null is an empty cache.
  explicit Reader(const std::atomic<const LmdbEnv*>& current) : current_(current) {}
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

 private:
  void forget_transaction();

  const std::atomic<const LmdbEnv*>& current_;
  const LmdbEnv* env_ = nullptr;  // that of txn_
  MDB_txn* txn_ = nullptr;        // between snapshots: reset, to be renewed
};

}  // namespace mtastsd::cache
