#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {

// Reads a damaged file on a thread of its own, and hands over each entry of it that is still of use
// at the pace at which they are taken. Stops at once when it is destroyed.
class Salvage {
 public:
  struct Sink {
    std::function<bool(const DomainName&, EntryPtr)> take;  // false: no room now, to be tried again
    std::function<bool()> all_committed;
    // All were taken and committed. Not called where the file cannot be read.
    std::function<void(std::size_t entries)> done;
  };

  // `clock` and what is behind the sink outlive this; the sink is called on the thread.
  Salvage(const std::string& file, const Clock& clock, Sink sink);
  ~Salvage();

  // Until all entries are taken, or the limit is over.
  void wait(Milliseconds limit);
  // True when there is nothing more to come of it.
  bool ended();

 private:
  void run(const std::string& file);
  bool found(std::string_view key, std::string_view record);
  bool stopped(Milliseconds wait);

  const Clock& clock_;
  const Sink sink_;
  std::size_t entries_ = 0;  // of the thread
  std::mutex mutex_;
  std::condition_variable changed_;
  bool all_taken_ = false;  // guarded by mutex_
  bool ended_ = false;      // guarded by mutex_
  bool stop_ = false;       // guarded by mutex_
  std::thread thread_;      // depends-on: all above
};

}  // namespace mtastsd::cache
