// Does each operation of the micro set kTimes times, for callgrind to count the instructions:
// one dump an operation, named after it. instructions.py starts it and reads the dumps.

#include <sys/random.h>
#include <valgrind/callgrind.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>

#include "micro_set.h"

namespace {

// A multiple of the number of domains: each of them as often as the others.
constexpr int kTimes = bench::MicroSet::kDomains;

}  // namespace

// Instead of the C library's: the key of keyed_hash() is the same in every run, and so is which
// requests share a place in a table.
extern "C" ssize_t getrandom(void* buffer, std::size_t bytes, unsigned /*flags*/) {
  std::minstd_rand numbers;
  std::generate_n(static_cast<unsigned char*>(buffer), bytes,
                  [&numbers] { return static_cast<unsigned char>(numbers() >> 8); });
  return static_cast<ssize_t>(bytes);
}

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
