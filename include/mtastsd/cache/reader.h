#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/cache/versions.h"

struct MDB_txn;

namespace mtastsd::cache {

class CacheFile;
class LmdbEnv;
class Pending;

// Reads the cache: what is committed, and over it what waits for its commit. Without a lock where
// nothing waits for the domain and the file can be written, and without copying. One a thread;
// outlives its snapshots and is outlived by the store that made it.
class Reader {
 public:
  // The newest of a domain, one domain at a time. Keep it short: it pins old pages of the file.
  class Snapshot {
   public:
    explicit Snapshot(Reader& reader) : reader_(reader) {}
    ~Snapshot() { reader_.end(); }
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

  Reader(const CacheFile& file, const Pending& pending) : file_(file), pending_(pending) {}
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  const Versions& versions() const;

  using Page = cache::Page;
  // Those behind `after`, empty for the first page. An entry that changes meanwhile is seen before
  // or after. Copies, and holds up nobody.
  Page page(const std::string& after);
  // The same of what is committed, and at most `most` of them. It takes no lock while the file can
  // be written.
  Page committed_page(const std::string& after, std::size_t most);

  // The keys of the due index in the time ranges of `request`, at most `most` from each end, with
  // the end of each policy.
  using VisitDue = std::function<void(std::string_view key, WallTime expires_at)>;
  void each_due(const DueRequest& request, std::size_t most, const VisitDue& visit);

 private:
  using Entries = std::map<DomainName, EntryPtr>;
  std::string copy_committed(const std::string& after, std::size_t most, Entries& entries);
  MDB_txn* begin();
  void end();

  const CacheFile& file_;
  const Pending& pending_;
  const LmdbEnv* env_ = nullptr;            // that of txn_
  MDB_txn* txn_ = nullptr;                  // between snapshots: reset, to be renewed
  bool reading_ = false;                    // txn_ is in use
  std::unique_lock<std::mutex> read_only_;  // held while reading from a file that cannot be written
};

}  // namespace mtastsd::cache
