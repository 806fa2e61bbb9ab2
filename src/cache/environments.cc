// Logs: "cache not writable" (warn), "cache writable now" (warn), "cache set aside" (error), "cache
// file deleted or replaced" (error, once), "cache file put back" (warn), "cache damaged" (error,
// once), "cache given up" (error).

#include "environments.h"

#include <unistd.h>

#include <cstdint>
#include <utility>

#include "lmdb/tables.h"
#include "mtastsd/log/log.h"
#include "salvage.h"

namespace mtastsd::cache {
namespace {

using Problem = LmdbEnv::OpenProblem;

constexpr std::size_t kMaxEnvironments = 16;  // old ones stay: what they map may be in use
constexpr std::size_t kSalvageBatch = 1000;

// Stores what can be read of a damaged file in a new one. Returns how many records, or the error
// that kept one from being stored.
Result<std::uint64_t, int> salvage_into(const LmdbEnv& env, const std::string& damaged_file) {
  std::uint64_t stored = 0;
  auto txn = Txn::begin(env.env(), 0);
  int rc = txn ? 0 : txn.error();
  salvage(damaged_file, [&](const DomainName& domain, std::string_view record) {
    if (rc == 0 && (rc = write_record(env, txn->get(), domain, record)) == 0 &&
        ++stored % kSalvageBatch == 0 && (rc = txn->commit()) == 0) {
      txn = Txn::begin(env.env(), 0);
      rc = txn ? 0 : txn.error();
    }
  });
  rc = rc == 0 ? txn->commit() : rc;
  if (rc != 0) {
    return failure(int{rc});
  }
  return stored;
}

}  // namespace

Environments::Environments(std::string directory, std::size_t map_size, Log& log)
    : directory_(std::move(directory)), map_size_(map_size), log_(log) {}

Environments::~Environments() = default;

Result<void, std::string> Environments::open() {
  auto env = open_to_write();
  if (env) {
    use(std::move(*env), true);
    return {};
  }
  if (env.error().problem == Problem::Busy || env.error().problem == Problem::Newer) {
    return failure(std::move(env.error().message));
  }
  log_.write(Event::CacheNotWritable, {{"reason", env.error().message}});
  auto read_only = LmdbEnv::open(directory_, map_size_, LmdbEnv::Access::ReadOnly);
  if (read_only) {
    use(std::move(*read_only), false);
  } else if (read_only.error().problem == Problem::Newer) {
    return failure(std::move(read_only.error().message));
  }
  return {};
}

// A damaged file is set aside, and what can be read of it goes into the new one.
Result<std::unique_ptr<LmdbEnv>, LmdbEnv::OpenError> Environments::open_to_write() {
  auto env = LmdbEnv::open(directory_, map_size_, LmdbEnv::Access::ReadWrite);
  if (!env && env.error().problem == Problem::Damaged && put_aside(env.error().message)) {
    env = LmdbEnv::open(directory_, map_size_, LmdbEnv::Access::ReadWrite);
  }
  if (env && aside_) {
    const auto salvaged = salvage_into(**env, aside_->file);
    if (!salvaged) {
      env->reset();
      remove_cache(directory_);
      return failure(LmdbEnv::OpenError{
          Problem::NotWritable, "what could be read of " + aside_->file +
                                    " cannot be stored: " + mdb_strerror(salvaged.error())});
    }
    (*env)->fill_up();
    log_.write(
        Event::CacheSetAside,
        {{"reason", aside_->reason}, {"kept_as", aside_->file}, {"records_read", *salvaged}});
    aside_.reset();
  }
  return env;
}

bool Environments::put_aside(const std::string& reason) {
  auto file = set_aside(directory_);
  if (!file) {
    return false;
  }
  // Of two the first one has the policies: the other was to take its place.
  if (!aside_ && !file->empty()) {
    aside_ = Aside{std::move(*file), reason};
  }
  return true;
}

void Environments::use(std::unique_ptr<LmdbEnv> env, bool writable) {
  all_.push_back(std::move(env));
  current_.store(all_.back().get(), std::memory_order_release);
  writable_ = writable;
}

bool Environments::mend() {
  if (writable_ && in_use()->shortened()) {
    set_damaged();
  }
  if (failed_for_good_ || all_.size() >= kMaxEnvironments) {
    if (damaged_ && !failed_for_good_) {
      failed_for_good_ = true;
      log_.write(Event::CacheGivenUp, {{"directory", directory_}});
    }
    return false;
  }
  if (damaged_) {
    return replace_damaged();
  }
  if (!writable_) {
    return make_writable();
  }
  return !in_use()->still_in_place() && put_back();
}

bool Environments::make_writable() {
  // LMDB's locks are of the process: the same file must not be opened with them a second time.
  if (in_use() != nullptr && in_use()->locks_readers()) {
    return false;
  }
  auto env = open_to_write();
  if (!env) {
    return false;
  }
  use(std::move(*env), true);
  log_.write(Event::CacheWritable, {{"directory", directory_}});
  return true;
}

bool Environments::put_back() {
  const bool replaced = ::access((directory_ + "/data.mdb").c_str(), F_OK) == 0;
  if (!misplaced_logged_) {
    misplaced_logged_ = true;
    log_.write(replaced ? Event::CacheReplaced : Event::CacheDeleted, {{"directory", directory_}});
  }
  if (replaced || !in_use()->copy_back()) {
    return false;
  }
  in_use()->release_directory();
  auto env = LmdbEnv::open(directory_, map_size_, LmdbEnv::Access::ReadWrite);
  if (!env) {
    return false;
  }
  use(std::move(*env), true);
  misplaced_logged_ = false;
  log_.write(Event::CacheRestored, {{"directory", directory_}});
  return true;
}

void Environments::set_damaged() {
  damaged_ = true;
  writable_ = false;
  in_use()->mark_damaged();
}

bool Environments::replace_damaged() {
  // The file must be out of the way: no process may have the same one open twice. One that somebody
  // else put there is left alone.
  const bool replaced = in_use()->replaced();
  if (!aside_ && (replaced || !put_aside("cache " + directory_ +
                                         ": pages of the data file are damaged or gone"))) {
    note_not_replaced(replaced ? "somebody replaced the file" : "it cannot be renamed");
    return false;
  }
  in_use()->release_directory();
  auto env = open_to_write();
  if (!env) {
    note_not_replaced(env.error().message);
    return false;
  }
  use(std::move(*env), true);
  damaged_ = false;
  not_replaced_logged_ = false;
  return true;
}

void Environments::note_not_replaced(std::string_view reason) {
  if (!not_replaced_logged_) {
    not_replaced_logged_ = true;
    log_.write(Event::CacheDamaged, {{"directory", directory_}, {"reason", reason}});
  }
}

void Environments::give_up_writing() {
  failed_for_good_ = true;
  writable_ = false;
  log_.write(Event::CacheDiskFailed, {{"directory", directory_}});
  auto env = LmdbEnv::open(directory_, map_size_, LmdbEnv::Access::ReadOnlyUnlocked);
  if (env) {
    use(std::move(*env), false);
  }
}

}  // namespace mtastsd::cache
