#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "lmdb/env.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/fd.h"
#include "mtastsd/base/result.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::cache {

// The cache's file, from the look at it before it is opened to the day when somebody deletes it. It
// is opened for writing, else for reading, else there is none; writing is tried again until it can
// be had. There is one environment at a time, and that for writing stays until the end.
// One thread opens, and looks after it; any thread reads.
class CacheFile {
 public:
  CacheFile(std::string directory, std::size_t max_size, Log& log);
  ~CacheFile();
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;

  // At the start. A damaged file is set aside for a new one: see damaged_file(). Fails only where
  // going on would be wrong: another daemon at work, a newer format. Says in one sentence what is
  // wrong; anything else is logged and lived with.
  Result<void, std::string> open();

  // Null while the file cannot be written; once there it stays.
  LmdbEnv* writable() const { return writable_.load(std::memory_order_acquire); }

  // While the file cannot be written: the environment to read, or null, for as long as the lock is
  // held. Null as well when it can be written by now.
  struct ReadOnly {
    std::unique_lock<std::mutex> lock;
    LmdbEnv* env;
  };
  ReadOnly read_only() const;

  CacheTotals totals() const;

  // The file that was set aside and whose records are still to be read; empty: there is none. It is
  // found again by the next start until it is finished. From any thread.
  std::string damaged_file() const;
  bool has_damaged_file() const { return has_damaged_file_; }
  // Its records are committed: it is kept under another name, which is returned. From any thread.
  std::string finish_damaged_file();

  // To be called about once a minute: tries to write where that could not be had, else check().
  void look_after();

  // Ends the process, as end() does, when somebody cut the file short; says loudly, again and
  // again, when somebody deleted or replaced it. While it can be written.
  void check();

  // LMDB cannot go on: says so on the log and ends the process with kDamagedExit. The next start
  // heals.
  [[noreturn]] void end(int rc) const;
  // The same where `rc` speaks of damage; otherwise nothing.
  void end_if_damaged(int rc) const;

 private:
  using OpenError = LmdbEnv::OpenError;

  std::string path(const char* file) const { return directory_ + file; }
  Result<void, OpenError> lock_directory();
  Result<std::unique_ptr<LmdbEnv>, OpenError> open_to_write();
  Result<std::unique_ptr<LmdbEnv>, OpenError> open_environment();
  Result<void, OpenError> open_to_read();
  void end_on_lost_page() const;
  bool set_aside();
  void use(std::unique_ptr<LmdbEnv> env);
  void write_mark(char mark) const;
  off_t length() const;

  const std::string directory_;
  const std::size_t max_size_;
  Log& log_;
  Fd lock_fd_;
  char last_mark_ = '\0';  // how the last daemon ended: see cache_file.cc
  std::atomic<bool> has_damaged_file_{false};
  ino_t inode_ = 0;
  off_t length_ = 0;
  unsigned times_said_ = 0;   // that it was deleted or replaced
  SteadyTime said_{};         // the last time
  mutable std::mutex mutex_;  // of env_ while that can only be read
  std::unique_ptr<LmdbEnv> env_;
  std::atomic<LmdbEnv*> writable_{nullptr};
};

}  // namespace mtastsd::cache
