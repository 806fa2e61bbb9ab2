// How long one look of the refresh scheduler at the cache takes: LmdbStore::due() with nothing due
// and with everything due. Prints one line of JSON; the median of kTimes each, in milliseconds.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/log/log.h"

namespace {

using namespace mtastsd;

constexpr std::size_t kTimes = 9;
constexpr Seconds kLongAhead{30 * 86400};
constexpr std::size_t kMapSize = std::size_t{48} << 30;

struct Look {
  double milliseconds = 0;
  std::size_t found = 0;
};

Look look(cache::LmdbStore& store, const cache::DueRequest& request) {
  std::array<double, kTimes> times{};
  Look result;
  for (double& time : times) {
    const auto begin = std::chrono::steady_clock::now();
    result.found = store.due(request).domains.size();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    time = took.count();
  }
  std::nth_element(times.begin(), times.begin() + kTimes / 2, times.end());
  result.milliseconds = times[kTimes / 2];
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times LmdbStore::due() on a cache directory.");
  std::string directory;
  std::size_t max = 0;
  app.add_option("--directory", directory)->required();
  app.add_option("--max", max, "how many are asked for")->required();
  CLI11_PARSE(app, argc, argv);

  Log log = Log::null();
  cache::StoreOptions options;
  options.directory = directory;
  options.max_size = kMapSize;
  options.commit = cache::StoreOptions::Commit::WhenAsked;
  auto store = cache::LmdbStore::open(options, log);
  if (!store) {
    std::fprintf(stderr, "%s\n", store.error().c_str());
    return 1;
  }
  const WallTime now = SystemClock().wall();
  const Look none = look(**store, {now, now + kLongAhead, max, {}});
  const Look all = look(**store, {now + kLongAhead, now + 2 * kLongAhead, max, {}});
  std::printf("{\"none_ms\": %.4f, \"none\": %zu, \"all_ms\": %.4f, \"all\": %zu}\n",
              none.milliseconds, none.found, all.milliseconds, all.found);
  return 0;
}
