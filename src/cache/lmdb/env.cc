#include "lmdb/env.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "mtastsd/base/fd.h"

namespace mtastsd::cache {
namespace {

constexpr std::uint32_t kCacheFormat = 1;
constexpr std::string_view kFormatKey = "format";
constexpr unsigned kMaxReaders = 256;
constexpr off_t kLmdbLockBytes = 64 * (kMaxReaders + 2);
constexpr mode_t kFileMode = 0640;

LmdbEnv::OpenProblem classify(int rc) {
  switch (rc) {
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOSPC:
    case EDQUOT:
    case ENOTDIR:
      return LmdbEnv::OpenProblem::NotWritable;
    case ENOENT:
      return LmdbEnv::OpenProblem::Missing;
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_BAD_DBI:
    case MDB_INCOMPATIBLE:
      return LmdbEnv::OpenProblem::Damaged;
    default:
      return is_damage(rc) ? LmdbEnv::OpenProblem::Damaged : LmdbEnv::OpenProblem::Other;
  }
}

// LMDB maps its lock file and makes it as long as it needs, without room on the disk: on one that
// is full, a reader that takes its place there would end the process. Returns an error number.
int reserve_lock_file(const std::string& directory) {
  const Fd fd(::open((directory + kLmdbLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!fd) {
    return errno;
  }
  const int rc = ::posix_fallocate(fd.get(), 0, kLmdbLockBytes);
  return rc == EOPNOTSUPP || rc == EINVAL ? 0 : rc;
}

unsigned flags_for(LmdbEnv::Access access) {
  switch (access) {
    case LmdbEnv::Access::ReadWrite:
      // A commit that is lost with the machine's power loses seconds of work, never the file.
      return MDB_NOMETASYNC;
    case LmdbEnv::Access::ReadOnly:
      return MDB_RDONLY | MDB_NOLOCK;
    case LmdbEnv::Access::Beside:
      return MDB_RDONLY;
  }
  return MDB_RDONLY;
}

}  // namespace

bool is_damage(int rc) {
  return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_CURSOR_FULL || rc == MDB_PANIC;
}

void give_to_owner_of(const std::string& directory, std::string_view file) {
  struct ::stat info {};
  if (::geteuid() == 0 && ::stat(directory.c_str(), &info) == 0 && info.st_uid != 0) {
    const std::string path = directory + std::string(file);
    [[maybe_unused]] const int rc = ::lchown(path.c_str(), info.st_uid, info.st_gid);
  }
}

Result<Txn, int> Txn::begin(MDB_env* env, unsigned flags) {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env, nullptr, flags, &txn); rc != 0) {
    return failure(int{rc});
  }
  return Txn(txn);
}

LmdbEnv::OpenError LmdbEnv::error_of(const std::string& directory, int rc) {
  return {classify(rc), "cache " + directory + ": " + mdb_strerror(rc)};
}

LmdbEnv::~LmdbEnv() {
  if (env_ != nullptr) {
    mdb_env_close(env_);
  }
}

Result<std::unique_ptr<LmdbEnv>, LmdbEnv::OpenError> LmdbEnv::open(const std::string& directory,
                                                                   std::size_t map_size,
                                                                   Access access) {
  auto self = std::unique_ptr<LmdbEnv>(new LmdbEnv);
  if (const int rc = mdb_env_create(&self->env_); rc != 0) {
    return failure(error_of(directory, rc));
  }
  mdb_env_set_maxdbs(self->env_, 8);
  mdb_env_set_maxreaders(self->env_, kMaxReaders);
  int rc = 0;
  if (access == Access::ReadWrite) {
    mdb_env_set_mapsize(self->env_, map_size);
    rc = reserve_lock_file(directory);
  }
  rc = rc != 0 ? rc
               : mdb_env_open(self->env_, directory.c_str(),
                              MDB_NOTLS | MDB_NORDAHEAD | flags_for(access), kFileMode);
  if (rc != 0) {
    return failure(error_of(directory, rc));
  }
  give_to_owner_of(directory, kDataFile);
  give_to_owner_of(directory, kLmdbLockFile);
  int dead = 0;
  mdb_reader_check(self->env_, &dead);
  if (auto opened = self->open_tables(directory, access); !opened) {
    return failure(std::move(opened.error()));
  }
  return self;
}

Result<void, LmdbEnv::OpenError> LmdbEnv::open_tables(const std::string& directory, Access access) {
  const bool writing = access == Access::ReadWrite;
  auto txn = Txn::begin(env_, writing ? 0 : MDB_RDONLY);
  if (!txn) {
    return failure(error_of(directory, txn.error()));
  }
  const unsigned create = writing ? MDB_CREATE : 0;
  MDB_dbi* const tables[] = {&meta_, &entries_, &due_, &negative_};
  for (std::size_t i = 0; i < std::size(kTables); ++i) {
    if (const int rc = mdb_dbi_open(txn->get(), kTables[i], create, tables[i]); rc != 0) {
      return failure(error_of(directory, rc));
    }
  }
  MDB_val key = to_val(kFormatKey);
  MDB_val value;
  std::uint32_t format = kCacheFormat;
  const int found = mdb_get(txn->get(), meta_, &key, &value);
  if (found == 0) {
    if (value.mv_size != sizeof(format)) {
      return failure(OpenError{OpenProblem::Damaged, "cache " + directory + ": no format number"});
    }
    std::memcpy(&format, value.mv_data, sizeof(format));
  }
  if (format > kCacheFormat) {
    return failure(
        OpenError{OpenProblem::Newer,
                  "cache " + directory + " was written by a newer mtastsd (cache format " +
                      std::to_string(format) + ", this one knows " + std::to_string(kCacheFormat) +
                      "): run that version, or give this one another [cache] directory"});
  }
  if (writing && found == MDB_NOTFOUND) {
    value = MDB_val{sizeof(format), &format};
    if (const int rc = mdb_put(txn->get(), meta_, &key, &value, 0); rc != 0) {
      return failure(error_of(directory, rc));
    }
  }
  if (const int rc = txn->commit(); rc != 0) {
    return failure(error_of(directory, rc));
  }
  return {};
}

std::size_t LmdbEnv::used_bytes(MDB_txn* txn) const {
  std::size_t pages = 0;
  MDB_stat stat{};
  for (const MDB_dbi table : {meta_, entries_, due_, negative_}) {
    if (mdb_stat(txn, table, &stat) == 0) {
      pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
  }
  return pages * stat.ms_psize;
}

CacheTotals LmdbEnv::totals(MDB_txn* txn) const {
  CacheTotals totals;
  const std::pair<MDB_dbi, std::size_t*> tables[] = {
      {entries_, &totals.entries}, {due_, &totals.policies}, {negative_, &totals.negatives}};
  for (const auto& [table, count] : tables) {
    MDB_stat stat{};
    if (mdb_stat(txn, table, &stat) == 0) {
      *count = stat.ms_entries;
    }
  }
  MDB_envinfo info{};
  mdb_env_info(env_, &info);
  totals.used_bytes = used_bytes(txn);
  totals.map_bytes = info.me_mapsize;
  return totals;
}

}  // namespace mtastsd::cache
