#include "lmdb/env.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "salvage.h"

namespace mtastsd::cache {
namespace {

constexpr std::uint32_t kCacheFormat = 1;
constexpr std::string_view kFormatKey = "format";
constexpr char kDataFile[] = "/data.mdb";
constexpr char kLockFile[] = "/mtastsd.lock";
constexpr char kLmdbLockFile[] = "/lock.mdb";
constexpr unsigned kMaxReaders = 256;
constexpr off_t kLmdbLockBytes = 64 * (kMaxReaders + 2);
constexpr char kCleanMark[] = "/clean";      // the last daemon closed the file as it should
constexpr char kRunMark[] = "/run";          // see LastEnd::ProcessDied
constexpr char kDamagedMark[] = "/damaged";  // the last daemon could not write into it
constexpr std::uintmax_t kAlwaysWalked = std::uintmax_t{32} << 20;
constexpr int kLooksAtLength = 10;
constexpr std::chrono::milliseconds kBetweenLooks{20};

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
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_BAD_DBI:
    case MDB_INCOMPATIBLE:
      return LmdbEnv::OpenProblem::Damaged;
    default:
      return LmdbEnv::OpenProblem::Other;
  }
}

LmdbEnv::OpenError error_of(const std::string& directory, int rc) {
  return {classify(rc), "cache " + directory + ": " + mdb_strerror(rc)};
}

// How the daemon ended that had the file before.
enum class LastEnd {
  Closed,       // as it should
  ProcessDied,  // but not the machine: the kernel has all that was written, and LMDB never writes
                // over what the last commit needs, so the file is as sound as a closed one
  Unknown,
};

// Names this boot of the machine and the file; empty if either cannot be told.
std::string run_mark(const std::string& directory) {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  struct ::stat file {};
  if (boot.empty() || ::stat((directory + kDataFile).c_str(), &file) != 0) {
    return {};
  }
  return boot + " " + std::to_string(file.st_dev) + " " + std::to_string(file.st_ino);
}

// Takes the marks away.
LastEnd take_last_end(const std::string& directory) {
  const bool closed = std::remove((directory + kCleanMark).c_str()) == 0;
  std::string mark;
  std::getline(std::ifstream(directory + kRunMark), mark);
  std::remove((directory + kRunMark).c_str());
  if (closed) {
    return LastEnd::Closed;
  }
  return !mark.empty() && mark == run_mark(directory) ? LastEnd::ProcessDied : LastEnd::Unknown;
}

// Damage is looked for where it is likely, or the look is short.
bool believable(const std::string& directory, LastEnd last_end) {
  std::error_code ec;
  const std::uintmax_t size = std::filesystem::file_size(directory + kDataFile, ec);
  if (ec) {
    std::remove((directory + kDamagedMark).c_str());  // was of a file that is gone
    return true;
  }
  if (::access((directory + kDamagedMark).c_str(), F_OK) == 0) {
    return false;
  }
  if (size == 0 || (last_end != LastEnd::Unknown && size > kAlwaysWalked)) {
    return true;
  }
  return readable_throughout(directory);
}

// LMDB maps its lock file and makes it as long as it needs, without room on the disk: on one that
// is full, a reader that takes its place there would end the process. Returns an error number.
int reserve_lock_file(const std::string& directory) {
  const int fd = ::open((directory + kLmdbLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) {
    return errno;
  }
  const int rc = ::posix_fallocate(fd, 0, kLmdbLockBytes);
  ::close(fd);
  return rc == EOPNOTSUPP || rc == EINVAL ? 0 : rc;
}

void leave_mark(const std::string& directory, const char* mark, std::string_view text = {}) {
  const int fd = ::open((directory + mark).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd >= 0) {
    // Cut short it says nothing, and the file is looked at.
    [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
    ::close(fd);
  }
}

// What root makes in another user's directory belongs to that user: the daemon that runs as that
// user could not open it later.
void give_to_owner_of(const std::string& directory) {
  struct ::stat info {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &info) != 0 || info.st_uid == 0) {
    return;
  }
  for (const char* file : {kDataFile, kLmdbLockFile, kLockFile, kCleanMark, kRunMark}) {
    [[maybe_unused]] const int rc = ::lchown((directory + file).c_str(), info.st_uid, info.st_gid);
  }
}

}  // namespace

Result<Txn, int> Txn::begin(MDB_env* env, unsigned flags) {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env, nullptr, flags, &txn); rc != 0) {
    return failure(int{rc});
  }
  return Txn(txn);
}

LmdbEnv::~LmdbEnv() {
  if (env_ != nullptr) {
    guard_.reset();
    mdb_env_close(env_);
    if (opened_to_write_) {
      leave_mark(directory_, kCleanMark);
      give_to_owner_of(directory_);
    }
  }
  if (lock_fd_ >= 0) {
    ::close(lock_fd_);
  }
}

Result<std::unique_ptr<LmdbEnv>, LmdbEnv::OpenError> LmdbEnv::open(const std::string& directory,
                                                                   std::size_t map_size,
                                                                   Access access) {
  auto self = std::unique_ptr<LmdbEnv>(new LmdbEnv);
  unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
  LastEnd last_end = LastEnd::Unknown;
  if (access == Access::ReadWrite) {
    std::error_code ec;
    std::filesystem::create_directories(directory, ec);
    if (ec) {
      return failure(error_of(directory, ec.value()));
    }
    self->lock_fd_ = ::open((directory + kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (self->lock_fd_ < 0) {
      return failure(error_of(directory, errno));
    }
    if (::flock(self->lock_fd_, LOCK_EX | LOCK_NB) != 0) {
      return failure(OpenError{OpenProblem::Busy,
                               "cache " + directory +
                                   " is in use by another mtastsd: stop that one, or give this "
                                   "one another [cache] directory"});
    }
    last_end = take_last_end(directory);
    if (!believable(directory, last_end)) {
      return failure(OpenError{OpenProblem::Damaged,
                               "cache " + directory + ": the data file cannot be read throughout"});
    }
    // A commit that is lost with the machine's power loses seconds of work, never the file.
    flags |= MDB_NOMETASYNC;
  } else {
    flags |= MDB_RDONLY;
  }

  if (const int rc = mdb_env_create(&self->env_); rc != 0) {
    return failure(error_of(directory, rc));
  }
  mdb_env_set_maxdbs(self->env_, 8);
  mdb_env_set_maxreaders(self->env_, kMaxReaders);
  if (access == Access::ReadWrite) {
    mdb_env_set_mapsize(self->env_, map_size);
  }
  // Beside a daemon: that one has made it.
  int rc = access == Access::Beside ? 0 : reserve_lock_file(directory);
  if (access != Access::ReadWrite && (rc != 0 || access == Access::ReadOnlyUnlocked)) {
    flags |= MDB_NOLOCK;  // where no lock file can be made, nobody can be writing
    rc = 0;
  }
  rc = rc != 0 ? rc : mdb_env_open(self->env_, directory.c_str(), flags, 0640);
  if (rc != 0) {
    return failure(error_of(directory, rc));
  }
  give_to_owner_of(directory);
  if (self->cut_short(access)) {
    return failure(
        OpenError{OpenProblem::Damaged, "cache " + directory + ": the data file is cut short"});
  }
  self->directory_ = directory;
  int dead = 0;
  mdb_reader_check(self->env_, &dead);
  if (auto opened = self->open_tables(directory, access); !opened) {
    return failure(std::move(opened.error()));
  }
  if (access == Access::ReadWrite) {
    self->fill_up();
  }
  if (access != Access::Beside) {
    self->guard_map();
  }
  struct ::stat file {};
  if (::stat((directory + kDataFile).c_str(), &file) == 0) {
    self->inode_ = file.st_ino;
  }
  self->opened_to_write_ = access == Access::ReadWrite;
  // A process that dies twice in a row may do so of what is in the file: that is looked for.
  if (self->opened_to_write_ && last_end != LastEnd::ProcessDied) {
    leave_mark(directory, kRunMark, run_mark(directory));
  }
  give_to_owner_of(directory);
  return self;
}

bool LmdbEnv::locks_readers() const {
  unsigned flags = 0;
  return mdb_env_get_flags(env_, &flags) == 0 && (flags & MDB_NOLOCK) == 0;
}

bool LmdbEnv::copy_back() const {
  std::error_code ec;
  std::filesystem::create_directories(directory_, ec);
  // LMDB's lock file there is still that of this environment; the next one makes its own.
  std::remove((directory_ + kLmdbLockFile).c_str());
  if (ec || mdb_env_copy(env_, directory_.c_str()) != 0) {
    std::remove((directory_ + kDataFile).c_str());
    return false;
  }
  return true;
}

void LmdbEnv::release_directory() {
  opened_to_write_ = false;
  ::close(std::exchange(lock_fd_, -1));
}

bool LmdbEnv::still_in_place() const {
  struct ::stat file {};
  return ::stat((directory_ + kDataFile).c_str(), &file) == 0 && file.st_ino == inode_;
}

bool LmdbEnv::replaced() const {
  return !still_in_place() && ::access((directory_ + kDataFile).c_str(), F_OK) == 0;
}

bool LmdbEnv::shortened() const {
  const bool too_short = bytes_missing() > 0;  // a look that can lose pages
  return too_short || lost_pages();
}

void LmdbEnv::mark_damaged() {
  leave_mark(directory_, kDamagedMark);
}

// How much shorter the file is than its header says. Reading a mapped page behind the end of the
// file would be a SIGBUS.
std::size_t LmdbEnv::bytes_missing() const {
  MDB_envinfo info;
  MDB_stat stat;
  struct ::stat file;
  int fd = -1;
  if (mdb_env_get_fd(env_, &fd) != 0 || mdb_env_info(env_, &info) != 0 ||
      mdb_env_stat(env_, &stat) != 0 || ::fstat(fd, &file) != 0 || file.st_size == 0) {
    return 0;
  }
  const std::size_t needed = (info.me_last_pgno + 1) * stat.ms_psize;
  const auto size = static_cast<std::size_t>(file.st_size);
  return size < needed ? needed - size : 0;
}

// A daemon that writes leaves its file short for a moment after a commit.
bool LmdbEnv::cut_short(Access access) const {
  if (access == Access::ReadWrite) {
    fill_up();
  }
  for (int looks = access == Access::Beside ? kLooksAtLength : 1; looks > 0; --looks) {
    if (bytes_missing() == 0) {
      return false;
    }
    if (looks > 1) {
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }
  return true;
}

void LmdbEnv::fill_up() const {
  if (bytes_missing() == 0) {
    return;
  }
  MDB_envinfo info;
  MDB_stat stat;
  int fd = -1;
  mdb_env_get_fd(env_, &fd);
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  const auto size = static_cast<off_t>((info.me_last_pgno + 1) * stat.ms_psize);
  // A sparse end: this takes no room, and a failure leaves things as they were.
  [[maybe_unused]] const int rc = ::ftruncate(fd, size);
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

// LMDB does not say where its map is, but what it finds stands in it.
void LmdbEnv::guard_map() {
  const auto txn = Txn::begin(env_, MDB_RDONLY);
  MDB_val key = to_val(kFormatKey);
  MDB_val value;
  if (txn && mdb_get(txn->get(), meta_, &key, &value) == 0) {
    guard_.emplace(value.mv_data);
  }
}

std::size_t LmdbEnv::used_bytes(MDB_txn* txn) const {
  std::size_t pages = 0;
  MDB_stat stat{};
  for (const MDB_dbi table : {entries_, due_, negative_}) {
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

std::optional<std::string> set_aside(const std::string& directory) {
  const std::string from = directory + kDataFile;
  std::string to = from + ".damaged-" + std::to_string(std::time(nullptr));
  while (::access(to.c_str(), F_OK) == 0) {
    to += '+';
  }
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    if (errno != ENOENT) {
      return std::nullopt;
    }
    to.clear();
  }
  std::remove((directory + kLmdbLockFile).c_str());
  std::remove((directory + kDamagedMark).c_str());
  return to;
}

void remove_cache(const std::string& directory) {
  std::remove((directory + kDataFile).c_str());
  std::remove((directory + kLmdbLockFile).c_str());
}

}  // namespace mtastsd::cache
