#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "mtastsd/base/result.h"
#include "mtastsd/cache/counters.h"
#include "mtastsd/cache/reader.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/cache/totals.h"

struct MDB_txn;

namespace mtastsd {
class Log;
}

namespace mtastsd::cache {

class DueSelection;
class Environments;
class Txn;

// Whether a domain may have a record that is not committed yet, readable by any thread
// without a lock. False means: what LMDB has is the newest. A domain is counted in two slots,
// so that hardly any other one is taken for it: such a query would go the long way, by the
// resolver's thread.
class UnsavedFilter {
 public:
  bool may_hold(const DomainName& domain) const {
    const std::size_t hash = std::hash<DomainName>{}(domain);
    return slots_[first(hash)].load(std::memory_order_acquire) != 0 &&
           slots_[second(hash)].load(std::memory_order_acquire) != 0;
  }
  void add(const DomainName& domain) {
    const std::size_t hash = std::hash<DomainName>{}(domain);
    slots_[first(hash)].fetch_add(1, std::memory_order_release);
    slots_[second(hash)].fetch_add(1, std::memory_order_release);
    changes_[place(domain)].fetch_add(1, std::memory_order_release);
  }
  void remove(const DomainName& domain) {
    const std::size_t hash = std::hash<DomainName>{}(domain);
    slots_[first(hash)].fetch_sub(1, std::memory_order_release);
    slots_[second(hash)].fetch_sub(1, std::memory_order_release);
  }

  // How often a domain of this place was counted. Who reads a record, then finds the same number
  // as before and no change that waited then, knows that it is still the newest.
  static std::uint32_t place(const DomainName& domain) {
    return static_cast<std::uint32_t>(std::hash<DomainName>{}(domain) % kPlaces);
  }
  std::uint32_t changes(std::uint32_t place) const {
    return changes_[place].load(std::memory_order_acquire);
  }

 private:
  static constexpr std::size_t kPlaces = std::size_t{1} << 12;
  static constexpr std::size_t kSlots = std::size_t{1} << 17;
  static std::size_t first(std::size_t hash) { return hash % kSlots; }
  static std::size_t second(std::size_t hash) { return hash / kSlots % kSlots; }
  // Wide enough: what waits is bounded, and each domain counts twice.
  std::array<std::atomic<std::uint16_t>, kSlots> slots_{};
  std::array<std::atomic<std::uint32_t>, kPlaces> changes_{};
};

struct StoreOptions {
  std::string directory;
  std::size_t max_size = std::size_t{1} << 30;
  std::size_t max_negative = 100000;
  // False: nothing is committed but by commit_now(). For tests that decide when a crash comes.
  bool background_writer = true;
  const Clock* clock = nullptr;  // says what has expired; null: the system's
  // How often a file that cannot be written, or is gone, is tried again.
  Milliseconds mend_spacing{60000};
};

// The cache in LMDB, with a writer thread that commits what the resolver puts, in batches.
// Records that wait for their commit are held in memory, bounded, and found by find(). While the
// directory cannot be written, what is there is still read, new records live in memory, and it is
// tried again; a file that somebody deletes is put back, and one that is cut short or damaged is
// replaced by a new one with what can be read of it.
class LmdbStore final : public Store {
 public:
  // Fails only where going on would be wrong: another daemon at work, a newer format. Anything
  // else is logged and lived with. Says in one sentence what is wrong.
  static Result<std::unique_ptr<LmdbStore>, std::string> open(const StoreOptions& options,
                                                              Log& log);
  // Commits what waits, within a bounded time.
  ~LmdbStore() override;

  std::optional<Entry> find(const DomainName& domain) override;
  void put(const DomainName& domain, const Entry& entry) override;
  void erase(const DomainName& domain) override;
  // Of those that are due, the kDueWindow which have been for longest are looked at. None while
  // hardly any more changes can be held: what a refresh found could not be kept.
  std::vector<DomainName> due(const DueRequest& request) override;

  // From any thread: the record that waits for its commit, empty where one waits to be erased; none
  // where what is committed counts. Takes a lock: unsaved() tells most of the time that none waits.
  std::optional<std::string> waiting_record(const DomainName& domain) const;

  std::unique_ptr<Reader> make_reader() const;
  const UnsavedFilter& unsaved() const { return unsaved_; }
  const Counters& counters() const { return counters_; }
  bool writable() const;

  // From any thread.
  CacheTotals totals() const;
  std::size_t pending() const;  // changes that wait for their commit
  // Whether so few wait that more may come in a stream, without that anything is lost.
  bool has_room() const;

  // Waits until everything put so far is committed, or the time is over: whether it is.
  bool flush(Milliseconds limit);

  // Without a background writer: commits what waits, on the caller's thread. Whether all of it is.
  bool commit_now();

 private:
  struct Pending {
    std::string record;  // empty: erase
    bool negative = false;
    bool unread = false;  // what is committed could not be read when this was found out
    std::uint64_t sequence = 0;
  };
  struct Change {
    DomainName domain;
    Pending pending;
  };

  LmdbStore(const StoreOptions& options, Log& log);
  LmdbEnv& env() const;  // of the writer's thread, and there while writable()
  void remember(const DomainName& domain, Pending pending);
  bool make_room_in_memory();
  int make_room_on_disk();
  int finish_transaction(Txn& txn);
  bool select_due_in_memory(const DueRequest& request, DueSelection& selection);
  void select_due_on_disk(const DueRequest& request, const Reader::Snapshot& snapshot,
                          DueSelection& selection);
  void consider_due(const DueRequest& request, std::string_view key, WallTime expires_at,
                    DueSelection& selection);
  bool is_pending(const DomainName& domain);
  void forget_index(std::string_view key);
  void note_read_error();
  void write_loop();
  bool has_work() const;
  bool write_batch();
  std::vector<Change> take_batch();
  std::vector<std::string> take_stale_index();
  int commit(const std::vector<Change>& batch, const std::vector<std::string>& stale_index);
  int apply(MDB_txn* txn, const Change& change);
  int trim(MDB_txn* txn);
  int drop_negative(MDB_txn* txn, std::size_t count);
  int evict(MDB_txn* txn, std::size_t target);
  void finish(const std::vector<Change>& batch);
  void note_commit_result(int rc, std::size_t changes);

  const StoreOptions options_;
  const Clock& clock_;
  Log& log_;
  std::unique_ptr<Environments> environments_;
  std::unique_ptr<Reader> reader_;  // depends-on: environments_; of the resolver's thread
  SteadyTime last_read_error_{};    // of the resolver's thread
  UnsavedFilter unsaved_;
  Counters counters_;
  bool failing_ = false;  // of the writer's thread

  mutable std::mutex mutex_;
  std::condition_variable wake_;                     // for the writer: work or stop
  std::condition_variable drained_;                  // for flush()
  std::unordered_map<DomainName, Pending> pending_;  // guarded by mutex_
  std::size_t pending_negative_ = 0;                 // guarded by mutex_
  std::vector<std::string> stale_index_;             // guarded by mutex_
  std::uint64_t sequence_ = 0;                       // guarded by mutex_
  std::uint64_t failed_attempts_ = 0;                // guarded by mutex_
  bool stop_ = false;                                // guarded by mutex_
  std::thread writer_;                               // depends-on: all above
};

}  // namespace mtastsd::cache
