// The first byte of the lock file says how the last daemon ended: nothing or '0': as it should;
// kDamagedMark: it met damage, so the file is set aside without a look; '1' to '9': it died, so
// many times in a row within the first minute. After the second time the look at the file is a long
// one: what is in it may be why.
//
// Logs: cache_not_writable, cache_writable, cache_deleted and cache_replaced (each minute, later
// each hour), cache_damaged and cache_disk_failed (the process ends).

#include "lmdb/cache_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "lmdb/damage.h"
#include "lmdb/pages.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/log/log.h"

namespace mtastsd::cache {
namespace {

using Problem = LmdbEnv::OpenProblem;

constexpr char kLockFile[] = "/mtastsd.lock";
constexpr char kBeingSalvaged[] = "/data.mdb.salvage";
constexpr char kKeptDamaged[] = "/data.mdb.damaged-";
constexpr Milliseconds kShortLook{20};
constexpr Milliseconds kLongLook{20000};
constexpr unsigned kSaidEachMinute = 5;  // then each hour
constexpr std::chrono::minutes kMinute{1};
constexpr std::chrono::minutes kHour{60};

// The map is larger than what it is to hold, so that the deletes that make room have pages to work
// with.
std::size_t map_size_for(std::size_t bytes) {
  return bytes + bytes / 4 + (std::size_t{16} << 20);
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

std::string dated_name(const std::string& directory) {
  std::string name = directory + kKeptDamaged + std::to_string(std::time(nullptr));
  while (exists(name)) {
    name += '+';
  }
  return name;
}

void on_lmdb_assertion(MDB_env* env, const char*) {
  static_cast<const CacheFile*>(mdb_env_get_userctx(env))->end(MDB_CORRUPTED);
}

}  // namespace

CacheFile::CacheFile(std::string directory, std::size_t max_size, Log& log)
    : directory_(std::move(directory)), max_size_(max_size), log_(log) {}

CacheFile::~CacheFile() {
  const bool clean = writable() != nullptr;
  env_.reset();
  if (lock_fd_) {
    if (clean) {
      [[maybe_unused]] const int rc = ::ftruncate(lock_fd_.get(), 0);
    }
    cache::end_on_lost_page("", -1, kDamagedExit);
  }
}

Result<void, std::string> CacheFile::open() {
  auto env = open_to_write();
  if (env) {
    use(std::move(*env));
    return {};
  }
  if (env.error().problem == Problem::Busy || env.error().problem == Problem::Newer) {
    return failure(std::move(env.error().message));
  }
  log_.write(Event::CacheNotWritable, {{"reason", env.error().message}});
  if (auto read_only = open_to_read(); !read_only && read_only.error().problem == Problem::Newer) {
    return failure(std::move(read_only.error().message));
  }
  return {};
}

Result<void, CacheFile::OpenError> CacheFile::open_to_read() {
  if (examine(path(kDataFile), kShortLook) != Examined::Sound) {
    return {};
  }
  end_on_lost_page();
  auto read_only = LmdbEnv::open(directory_, 0, LmdbEnv::Access::ReadOnly);
  if (!read_only) {
    return failure(std::move(read_only.error()));
  }
  env_ = std::move(*read_only);
  return {};
}

Result<void, CacheFile::OpenError> CacheFile::lock_directory() {
  if (lock_fd_) {
    return {};
  }
  std::error_code ec;
  std::filesystem::create_directories(directory_, ec);
  if (ec) {
    return failure(LmdbEnv::error_of(directory_, ec.value()));
  }
  Fd fd(::open(path(kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) {
    return failure(LmdbEnv::error_of(directory_, errno));
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return failure(OpenError{Problem::Busy, "cache " + directory_ +
                                                " is in use by another mtastsd: stop that one, or "
                                                "give this one another [cache] directory"});
  }
  lock_fd_ = std::move(fd);
  give_to_owner_of(directory_, kLockFile);
  [[maybe_unused]] const ssize_t got = ::pread(lock_fd_.get(), &last_mark_, 1, 0);
  return {};
}

Result<std::unique_ptr<LmdbEnv>, CacheFile::OpenError> CacheFile::open_to_write() {
  if (auto locked = lock_directory(); !locked) {
    return failure(std::move(locked.error()));
  }
  const Milliseconds limit = last_mark_ >= '2' && last_mark_ <= '9' ? kLongLook : kShortLook;
  const bool damaged =
      exists(path(kDataFile)) &&
      (last_mark_ == kDamagedMark || examine(path(kDataFile), limit) == Examined::Damaged);
  if (damaged && !set_aside()) {
    return failure(OpenError{Problem::NotWritable,
                             "cache " + directory_ + " is damaged and cannot be renamed"});
  }
  has_damaged_file_ = exists(path(kBeingSalvaged));
  auto env = open_environment();
  if (!env && env.error().problem == Problem::Damaged && set_aside()) {
    env = open_environment();
  }
  return env;
}

// LMDB reads from the file as soon as it opens it: what happens to the process then counts.
Result<std::unique_ptr<LmdbEnv>, CacheFile::OpenError> CacheFile::open_environment() {
  const bool died = last_mark_ >= '1' && last_mark_ <= '9';
  write_mark(died ? static_cast<char>(std::min(last_mark_ + 1, int{'9'})) : '1');
  end_on_lost_page();
  // A file that is larger than max_size, since that was lowered, takes room to become smaller.
  std::error_code ec;
  const auto there = std::filesystem::file_size(path(kDataFile), ec);
  const std::size_t bytes = std::max<std::size_t>(max_size_, ec ? 0 : there);
  auto env = LmdbEnv::open(directory_, map_size_for(bytes), LmdbEnv::Access::ReadWrite);
  if (!env) {
    write_mark(died ? last_mark_ : '0');
  }
  return env;
}

void CacheFile::end_on_lost_page() const {
  cache::end_on_lost_page(
      "mtastsd: the cache in " + directory_ +
          " was truncated or cannot be read any more. The process ends with status " +
          std::to_string(kDamagedExit) +
          "; the next start keeps every record that can still be read.",
      lock_fd_.get(), kDamagedExit);
}

// Of two damaged files the older one has the policies: the newer was to take its place.
bool CacheFile::set_aside() {
  const bool first = !exists(path(kBeingSalvaged));
  const std::string to = first ? path(kBeingSalvaged) : dated_name(directory_);
  if (std::rename(path(kDataFile).c_str(), to.c_str()) != 0) {
    return false;
  }
  std::remove(path(kLmdbLockFile).c_str());
  has_damaged_file_ = true;
  last_mark_ = '\0';
  return true;
}

std::string CacheFile::damaged_file() const {
  return has_damaged_file_ ? path(kBeingSalvaged) : std::string();
}

void CacheFile::use(std::unique_ptr<LmdbEnv> env) {
  env_ = std::move(env);
  mdb_env_set_userctx(env_->env(), this);
  mdb_env_set_assert(env_->env(), on_lmdb_assertion);
  struct ::stat file {};
  if (::stat(path(kDataFile).c_str(), &file) == 0) {
    inode_ = file.st_ino;
  }
  length_ = length();
  writable_.store(env_.get(), std::memory_order_release);
}

void CacheFile::write_mark(char mark) const {
  if (lock_fd_) {
    [[maybe_unused]] const ssize_t written = ::pwrite(lock_fd_.get(), &mark, 1, 0);
  }
}

CacheFile::ReadOnly CacheFile::read_only() const {
  std::unique_lock lock(mutex_);
  LmdbEnv* const env = writable() == nullptr ? env_.get() : nullptr;
  return {std::move(lock), env};
}

CacheTotals CacheFile::totals() const {
  const ReadOnly locked = writable() == nullptr ? read_only() : ReadOnly{};
  const LmdbEnv* const env = locked.env != nullptr ? locked.env : writable();
  if (env == nullptr) {
    return {};
  }
  const auto txn = Txn::begin(env->env(), MDB_RDONLY);
  return txn ? env->totals(txn->get()) : CacheTotals{};
}

std::string CacheFile::finish_damaged_file() {
  std::string kept = dated_name(directory_);
  std::rename(path(kBeingSalvaged).c_str(), kept.c_str());
  has_damaged_file_ = false;
  return kept;
}

void CacheFile::look_after() {
  if (writable() == nullptr) {
    const std::lock_guard lock(mutex_);
    env_.reset();  // LMDB wants one in a process
    if (auto env = open_to_write()) {
      use(std::move(*env));
      log_.write(Event::CacheWritable, {{"directory", directory_}});
    } else {
      [[maybe_unused]] const auto read_only = open_to_read();
    }
    return;
  }
  write_mark('1');
  check();
}

off_t CacheFile::length() const {
  int fd = -1;
  struct ::stat file {};
  return mdb_env_get_fd(env_->env(), &fd) == 0 && ::fstat(fd, &file) == 0 ? file.st_size : 0;
}

void CacheFile::check() {
  const off_t now = length();
  if (now < length_) {
    end(MDB_CORRUPTED);
  }
  length_ = now;
  struct ::stat file {};
  const bool there = ::stat(path(kDataFile).c_str(), &file) == 0;
  if (there && file.st_ino == inode_) {
    times_said_ = 0;
    return;
  }
  const SteadyTime at = std::chrono::steady_clock::now();
  if (times_said_ == 0 || at >= said_ + (times_said_ < kSaidEachMinute ? kMinute : kHour)) {
    ++times_said_;
    said_ = at;
    log_.write(there ? Event::CacheReplaced : Event::CacheDeleted, {{"directory", directory_}});
  }
}

void CacheFile::end(int rc) const {
  log_.write(rc == MDB_PANIC ? Event::CacheDiskFailed : Event::CacheDamaged,
             {{"directory", directory_}, {"reason", mdb_strerror(rc)}});
  log_.flush();
  // After MDB_PANIC the disk refused a page; the file is as sound as after a power cut.
  write_mark(rc == MDB_PANIC ? '0' : kDamagedMark);
  ::_exit(kDamagedExit);
}

void CacheFile::end_if_damaged(int rc) const {
  if (is_damage(rc)) {
    end(rc);
  }
}

}  // namespace mtastsd::cache
