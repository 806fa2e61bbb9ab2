#pragma once

#include "mtastsd/base/counter.h"

namespace mtastsd::cache {

// Counted by the writer's thread, the last one by the resolver's; any thread may read them.
struct Counters {
  Counter commits;
  Counter failed_commits;
  Counter commit_ms;  // that all of these took
  Counter evicted;    // entries dropped to make room
  Counter not_kept;   // new results refused: too many wait for a disk that cannot be written
};

}  // namespace mtastsd::cache
