#pragma once

#include <lmdb.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "mtastsd/base/result.h"
#include "mtastsd/cache/totals.h"

namespace mtastsd::cache {

inline constexpr const char* kEntriesTable = "entries";
inline constexpr const char* kMetaTable = "meta";
inline constexpr const char* kTables[] = {kMetaTable, kEntriesTable, "due", "negative"};
// In the table of the format number, because each table costs every transaction some instructions.
inline constexpr std::string_view kNotePrefix = "note ";
inline constexpr std::string_view kHistoryPrefix = "history ";           // then the policy domain
inline constexpr std::string_view kNotesSalvagedKey = "notes salvaged";  // from a damaged file
inline constexpr char kDataFile[] = "/data.mdb";
inline constexpr char kLmdbLockFile[] = "/lock.mdb";

inline MDB_val to_val(std::string_view bytes) {
  return MDB_val{bytes.size(), const_cast<char*>(bytes.data())};
}
inline std::string_view from_val(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

// True for what LMDB says of a file whose pages are damaged or gone.
bool is_damage(int rc);

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

// An open LMDB environment with the tables of a cache. LMDB wants it opened once in a process.
class LmdbEnv {
 public:
  // ReadOnly is for a file that nobody can write: it takes no place in LMDB's table of readers.
  // Beside does: a daemon may be writing.
  enum class Access { ReadWrite, ReadOnly, Beside };
  enum class OpenProblem { NotWritable, Damaged, Newer, Busy, Missing, Other };
  struct OpenError {
    OpenProblem problem;
    std::string message;  // one sentence
  };

  // The directory is there. `map_size` counts for ReadWrite.
  static Result<std::unique_ptr<LmdbEnv>, OpenError> open(const std::string& directory,
                                                          std::size_t map_size, Access access);
  static OpenError error_of(const std::string& directory, int rc);
  ~LmdbEnv();
  LmdbEnv(const LmdbEnv&) = delete;
  LmdbEnv& operator=(const LmdbEnv&) = delete;

  MDB_env* env() const { return env_; }
  // "format" -> its number; kNotePrefix, key -> note; kHistoryPrefix, domain -> see history.h
  MDB_dbi meta() const { return meta_; }
  MDB_dbi entries() const { return entries_; }    // policy domain -> record
  MDB_dbi due() const { return due_; }            // due_at, domain -> end of the policy
  MDB_dbi negative() const { return negative_; }  // recheck_at, domain -> nothing: without one

  // Bytes in use by data, of the map: what the transaction sees.
  std::size_t used_bytes(MDB_txn* txn) const;
  CacheTotals totals(MDB_txn* txn) const;

 private:
  LmdbEnv() = default;
  Result<void, OpenError> open_tables(const std::string& directory, Access access);

  MDB_env* env_ = nullptr;
  MDB_dbi meta_ = 0;
  MDB_dbi entries_ = 0;
  MDB_dbi due_ = 0;
  MDB_dbi negative_ = 0;
};

// What root makes in another user's directory is given to that user: the daemon that runs as that
// user could not open it later.
void give_to_owner_of(const std::string& directory, std::string_view file);

}  // namespace mtastsd::cache
