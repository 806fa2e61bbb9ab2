#pragma once

#include <lmdb.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "map_guard.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/totals.h"

namespace mtastsd::cache {

inline constexpr const char* kEntriesTable = "entries";
inline constexpr const char* kTables[] = {"meta", kEntriesTable, "due", "negative"};

inline MDB_val to_val(std::string_view bytes) {
  return MDB_val{bytes.size(), const_cast<char*>(bytes.data())};
}
inline std::string_view from_val(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

// A transaction that is aborted unless committed.
class Txn {
 public:
  static Result<Txn, int> begin(MDB_env* env, unsigned flags);
  Txn(Txn&& other) noexcept : txn_(std::exchange(other.txn_, nullptr)) {}
  Txn& operator=(Txn&& other) noexcept {
    std::swap(txn_, other.txn_);
    return *this;
  }
  ~Txn() {
    if (txn_ != nullptr) {
      mdb_txn_abort(txn_);
    }
  }
  MDB_txn* get() const { return txn_; }
  int commit() { return mdb_txn_commit(std::exchange(txn_, nullptr)); }

 private:
  explicit Txn(MDB_txn* txn) : txn_(txn) {}
  MDB_txn* txn_;
};

// An open cache directory: one LMDB environment with its tables. Never opened twice in one
// process (an LMDB rule); the directory's lock keeps other daemons away.
class LmdbEnv {
 public:
  // ReadOnly falls back to ReadOnlyUnlocked where LMDB's lock file cannot be had: both are for
  // files that nobody writes. Beside never does: a daemon may be writing.
  enum class Access { ReadWrite, ReadOnly, ReadOnlyUnlocked, Beside };
  enum class OpenProblem { NotWritable, Damaged, Newer, Busy, Missing, Other };
  struct OpenError {
    OpenProblem problem;
    std::string message;
  };

  static Result<std::unique_ptr<LmdbEnv>, OpenError> open(const std::string& directory,
                                                          std::size_t map_size, Access access);
  ~LmdbEnv();
  LmdbEnv(const LmdbEnv&) = delete;
  LmdbEnv& operator=(const LmdbEnv&) = delete;

  MDB_env* env() const { return env_; }
  MDB_dbi entries() const { return entries_; }    // policy domain -> record
  MDB_dbi due() const { return due_; }            // due_at, domain -> end of the policy
  MDB_dbi negative() const { return negative_; }  // recheck_at, domain -> nothing: without one

  // LMDB does not write pages that it took from the end of the file and gave back within one
  // transaction, so that a sound file can be shorter than its header says. Makes it as long, so
  // that one which is shorter at the next start is damaged. After each commit.
  void fill_up() const;

  // Whether its readers have their place in LMDB's lock file.
  bool locks_readers() const;

  // Writes all of it into its directory again, which is made if it is gone. Not when there is a
  // data file: then it must not be called.
  bool copy_back() const;
  // Gives its lock of the directory away, to be opened again.
  void release_directory();

  // Whether the file that is written is the one in the directory: it may have been deleted.
  bool still_in_place() const;
  bool replaced() const;  // by another one

  // Has the next open() to write find it damaged: it cannot be written any more for what is in it.
  void mark_damaged();
  // Whether somebody cut the file short since the last commit, or pages are lost: LMDB must not
  // write then.
  bool shortened() const;
  // Whether something was looked for on a page that is gone from the file, and so not found.
  bool lost_pages() const { return guard_ && guard_->lost_pages(); }

  // Bytes in use by data, of the map: what the transaction sees.
  std::size_t used_bytes(MDB_txn* txn) const;
  CacheTotals totals(MDB_txn* txn) const;

 private:
  LmdbEnv() = default;
  bool cut_short(Access access) const;
  Result<void, OpenError> open_tables(const std::string& directory, Access access);
  void guard_map();
  std::size_t bytes_missing() const;

  std::string directory_;
  ino_t inode_ = 0;
  bool opened_to_write_ = false;
  int lock_fd_ = -1;
  MDB_env* env_ = nullptr;
  std::optional<MapGuard> guard_;  // depends-on: env_
  MDB_dbi meta_ = 0;
  MDB_dbi entries_ = 0;
  MDB_dbi due_ = 0;
  MDB_dbi negative_ = 0;
};

// Moves a cache file that cannot be used out of the way, so that nothing is lost that
// somebody might want to look at. Returns its new name, empty when there is no file.
std::optional<std::string> set_aside(const std::string& directory);
// Removes a cache file that was begun and could not be filled.
void remove_cache(const std::string& directory);

}  // namespace mtastsd::cache
