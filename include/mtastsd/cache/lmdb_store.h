#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "mtastsd/base/result.h"
#include "mtastsd/cache/counters.h"
#include "mtastsd/cache/history.h"
#include "mtastsd/cache/reader.h"
#include "mtastsd/cache/store.h"
#include "mtastsd/cache/totals.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::cache {

class CacheFile;
class DueSelection;
class Pending;
class Salvage;
class Writer;
enum class Origin : std::uint8_t;

// The exit status of a process whose cache file was damaged or truncated under it, or whose disk
// failed at LMDB's own pages. It has said so; the next start heals.
inline constexpr int kDamagedExit = 75;

struct StoreOptions {
  std::string directory;
  std::size_t max_size = std::size_t{1} << 30;
  std::size_t max_negative = 100000;
  std::size_t versions = kDefaultVersions;  // of a policy, that its history keeps; 0: none
  // WhenAsked: there is no writer's thread, and only commit_now() commits.
  enum class Commit { InBackground, WhenAsked };
  Commit commit = Commit::InBackground;
  const Clock* clock = nullptr;  // says what has expired; null: the system's
  // How often the writer's thread tries again to write a file that could not be, and looks whether
  // the file is still where it belongs.
  Milliseconds look_after_spacing{60000};
};

// The cache in LMDB, with a writer thread that commits what the resolver puts, in batches.
// Records that wait for their commit are held in memory, bounded, and every reader sees them. While
// the directory cannot be written, what is there is still read, new records live in memory, and it
// is tried again.
//
// A damaged file is found at the start, set aside, and every record that can still be read is kept;
// where that takes long, answering begins meanwhile. One that is damaged or truncated in use ends
// the process with kDamagedExit.
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
  Due due(const DueRequest& request) override;
  Page page(const std::string& after) override { return reader_->page(after); }

  // The last versions of a domain's policy that are committed (history.h), as they are stored. From
  // any thread; blocks for the disk.
  std::string history(const DomainName& domain) const;

  // What the operator decided: records of the caller's, by a key of the caller's. erase() and
  // evictions leave them alone. Both block for the disk, and are called by one thread. Those of a
  // damaged file are kept: of several values for a key, the greatest one, so a value should begin
  // with its time.
  struct Note {
    std::string key;
    std::string value;  // to write: empty takes it away
  };
  // Nothing where the file cannot be read.
  std::vector<Note> notes() const;
  // Writes all of them or none, and returns when they are committed: a kill does not lose them.
  // The error is the end of a sentence: "the disk is full".
  Result<void, std::string> write_notes(const std::vector<Note>& notes);

  // From any thread.
  std::unique_ptr<Reader> make_reader() const;
  const Counters& counters() const { return counters_; }
  bool writable() const;
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
  LmdbStore(const StoreOptions& options, Log& log);
  void start_salvage();
  bool salvage_notes();
  void look_after();
  bool remember(const DomainName& domain, EntryPtr entry, Origin origin);
  void select_due_in_memory(const DueRequest& request, DueSelection& selection);
  void select_due_on_disk(const DueRequest& request, DueSelection& selection);
  void forget_index(std::string_view key);
  void note_read_error();
  bool knows_all() const;
  void write_loop();
  bool has_work() const;
  bool write_batch();
  std::vector<std::string> take_stale_index();
  // Calls `read` with the file and a transaction that reads it; not at all where there is none.
  template <typename Read>
  void with_reading(Read read) const;
  void note_commit_result(int rc, std::size_t changes);

  const StoreOptions options_;
  const Clock& clock_;
  Log& log_;
  Counters counters_;
  std::unique_ptr<CacheFile> file_;
  std::unique_ptr<Pending> pending_;
  std::unique_ptr<Reader> reader_;        // depends-on: file_, pending_; of the resolver's thread
  std::unique_ptr<Writer> batch_writer_;  // depends-on: file_; of the writer's thread
  SteadyTime last_read_error_{};          // of the resolver's thread
  // Of the resolver's thread: when there was more on the disk than it could read.
  std::optional<SteadyTime> last_unsure_;
  bool failing_ = false;  // of the writer's thread

  mutable std::mutex mutex_;
  std::condition_variable wake_;          // for the writer: work or stop
  std::condition_variable drained_;       // for flush()
  std::vector<std::string> stale_index_;  // guarded by mutex_
  std::uint64_t failed_attempts_ = 0;     // guarded by mutex_
  bool stop_ = false;                     // guarded by mutex_
  std::thread writer_;                    // depends-on: all above
  std::mutex salvage_mutex_;
  bool closing_ = false;              // guarded by salvage_mutex_
  std::unique_ptr<Salvage> salvage_;  // guarded by salvage_mutex_; depends-on: all above
};

}  // namespace mtastsd::cache
