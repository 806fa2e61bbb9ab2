#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lmdb/env.h"
#include "mtastsd/base/result.h"

namespace mtastsd {
class Log;
}

namespace mtastsd::cache {

// The cache's file through its troubles. It is opened for writing, else for reading, else there
// is none; what could not be had is tried again, a file that somebody deleted is put back, and a
// damaged one replaced.
// One thread opens, mends and writes; any thread reads current().
class Environments {
 public:
  Environments(std::string directory, std::size_t map_size, Log& log);
  ~Environments();

  // At the start. Fails only where going on would be wrong: another daemon at work, a newer format.
  // Says in one sentence what is wrong; anything else is logged and lived with.
  Result<void, std::string> open();

  // The environment to read; null when there is none.
  const std::atomic<const LmdbEnv*>& current() const { return current_; }
  LmdbEnv* in_use() const { return all_.empty() ? nullptr : all_.back().get(); }
  bool writable() const { return writable_; }

  // Makes the file writable, or be where it belongs, if it is not and that can be had now. Whether
  // another environment is in use from now on. Blocks on the disk.
  bool mend();

  // What is in the file keeps it from being written: mend() sets it aside for one with what can
  // be read of it. Until then it is read, and not written.
  void set_damaged();
  bool damaged() const { return damaged_; }

  // LMDB cannot write any more (MDB_PANIC): the disk failed at its own page. What is there is
  // still read.
  void give_up_writing();

 private:
  Result<std::unique_ptr<LmdbEnv>, LmdbEnv::OpenError> open_to_write();
  bool put_aside(const std::string& reason);
  bool make_writable();
  bool put_back();
  bool replace_damaged();
  void note_not_replaced(std::string_view reason);
  void use(std::unique_ptr<LmdbEnv> env, bool writable);

  const std::string directory_;
  const std::size_t map_size_;
  Log& log_;
  // The last one is in use; readers may still hold transactions of those before.
  std::vector<std::unique_ptr<LmdbEnv>> all_;
  std::atomic<const LmdbEnv*> current_{nullptr};
  std::atomic<bool> writable_{false};
  struct Aside {
    std::string file;
    std::string reason;
  };
  std::optional<Aside> aside_;  // whose records are still to be read
  bool damaged_ = false;
  bool not_replaced_logged_ = false;
  bool failed_for_good_ = false;
  bool misplaced_logged_ = false;
};

}  // namespace mtastsd::cache
