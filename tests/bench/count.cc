// Does each operation of the micro set kTimes times, for callgrind to count the instructions:
// one dump an operation, named after it. instructions.py starts it and reads the dumps.

#include <valgrind/callgrind.h>

#include <cstdio>
#include <string>

#include "micro_set.h"

namespace {

// A multiple of the number of domains: each of them as often as the others.
constexpr int kTimes = bench::MicroSet::kDomains;

}  // namespace

int main() {
  const bench::MicroSet set;
  for (const bench::MicroCase& each : set.cases()) {
    for (int i = 0; i < 3 * kTimes; ++i) {
      each.once();  // the first ones make buffers, and what was said lately is kept
    }
    CALLGRIND_TOGGLE_COLLECT;
    for (int i = 0; i < kTimes; ++i) {
      each.once();
    }
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS_AT(each.name.data());
  }
  std::printf("%d\n", kTimes);
  return 0;
}
