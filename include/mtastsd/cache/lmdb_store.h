#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
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
class Pending;
class Txn;
enum class Origin : std::uint8_t;

struct StoreOptions {
  std::string directory;
  std::size_t max_size = std::size_t{1} << 30;
  std::size_t max_negative = 100000;
  // WhenAsked: there is no writer's thread, and only commit_now() commits.
  enum class Commit { InBackground, WhenAsked };
  Commit commit = Commit::InBackground;
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

  EntryPtr find(const DomainName& domain) override;
  void put(const DomainName& domain, Entry entry) override;
  void erase(const DomainName& domain) override;
  // Of those that are due, the kDueWindow which have been for longest are looked at. None while
  // hardly any more changes can be held: what a refresh found could not be kept.
  std::vector<DomainName> due(const DueRequest& request) override;

  std::unique_ptr<Reader> make_reader() const;
  const Counters& counters() const { return counters_; }
  bool writable() const;

  // From any thread.
  CacheTotals totals() const;
  std::size_t pending() const;  // changes that wait for their commit
  // True while there is room for a bulk import.
  bool has_room() const;

  // Waits until everything put so far is committed. False: the time was over before, or a commit
  // failed.
  bool flush(Milliseconds limit);

  // Commit::WhenAsked: commits what waits, on the caller's thread. False: some of it still waits.
  bool commit_now();

 private:
  struct Work;

  LmdbStore(const StoreOptions& options, Log& log);
  LmdbEnv& env() const;  // of the writer's thread, and there while writable()
  void remember(const DomainName& domain, EntryPtr entry, Origin origin);
  int make_room_on_disk();
  int finish_transaction(Txn& txn);
  void select_due_in_memory(const DueRequest& request, DueSelection& selection);
  void select_due_on_disk(const DueRequest& request, DueSelection& selection);
  void consider_due(const DueRequest& request, std::string_view key, WallTime expires_at,
                    DueSelection& selection);
  void forget_index(std::string_view key);
  void note_read_error();
  void write_loop();
  bool has_work() const;
  bool write_batch();
  std::vector<std::string> take_stale_index();
  int commit(Work& work);
  int apply(MDB_txn* txn, Work& work, std::size_t number);
  int trim(MDB_txn* txn);
  int drop_negative(MDB_txn* txn, std::size_t count);
  int evict(MDB_txn* txn, std::size_t target);
  void finish(const Work& work);
  void note_commit_result(int rc, std::size_t changes);

  const StoreOptions options_;
  const Clock& clock_;
  Log& log_;
  std::unique_ptr<Environments> environments_;
  std::unique_ptr<Reader> reader_;  // depends-on: environments_; of the resolver's thread
  SteadyTime last_read_error_{};    // of the resolver's thread
  std::unique_ptr<Pending> pending_;
  Counters counters_;
  bool failing_ = false;  // of the writer's thread

  mutable std::mutex mutex_;
  std::condition_variable wake_;          // for the writer: work or stop
  std::condition_variable drained_;       // for flush()
  std::vector<std::string> stale_index_;  // guarded by mutex_
  std::uint64_t failed_attempts_ = 0;     // guarded by mutex_
  bool stop_ = false;                     // guarded by mutex_
  std::thread writer_;                    // depends-on: all above
};

}  // namespace mtastsd::cache
