// Fills a cache directory with policies and "no policy" results as if they had just been
// resolved, so that a daemon started on it has hits only. The domains are p00000000.bench.test,
// p00000001.bench.test, ... and n00000000.bench.test, ...: in the order of the table, so that
// millions are appended in seconds. --shuffled stores them in the order of chance, as mail does,
// which leaves the pages of the file as full as they become in life. Prints nothing.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "lmdb/env.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/cache/entry.h"
#include "sample.h"

namespace {

using namespace mtastsd;

constexpr std::size_t kCommitEvery = 50000;
constexpr std::size_t kCommitEveryShuffled = 2000;  // as the daemon: what a commit frees is reused
constexpr std::size_t kMapSize = std::size_t{64} << 30;

struct Options {
  std::string directory;
  std::size_t policies = 0;
  std::size_t negatives = 0;
  unsigned hosts = 2;
  Seconds spread{0};
  bool shuffled = false;
};

std::string name_of(char kind, std::size_t number) {
  std::string digits = std::to_string(number);
  return kind + std::string(8 - std::min<std::size_t>(digits.size(), 8), '0') + digits +
         ".bench.test";
}

// As in the store's index tables: the time, highest byte first.
std::string time_bytes(WallTime time) {
  const auto seconds = static_cast<std::uint64_t>(time.time_since_epoch().count());
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(seconds >> shift & 0xff));
  }
  return bytes;
}

class Filler {
 public:
  Filler(cache::LmdbEnv& env, const Options& options) : env_(env), options_(options) {}

  // One pass a table: appending takes keys in order.
  void fill() {
    each('n', options_.negatives, [this](const std::string& domain, const cache::Entry& entry) {
      put(env_.entries(), domain, cache::encode(entry));
    });
    each('p', options_.policies, [this](const std::string& domain, const cache::Entry& entry) {
      put(env_.entries(), domain, cache::encode(entry));
    });
    each('n', options_.negatives, [this](const std::string& domain, const cache::Entry& entry) {
      put(env_.negative(), time_bytes(entry.recheck_at) + domain, "");
    });
    each('p', options_.policies, [this](const std::string& domain, const cache::Entry& entry) {
      put(env_.due(), time_bytes(entry.due_at) + domain, time_bytes(entry.policy->expires_at()));
    });
  }

 private:
  void each(char kind, std::size_t count,
            const std::function<void(const std::string&, const cache::Entry&)>& store) {
    std::vector<std::uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    if (options_.shuffled) {
      std::shuffle(order.begin(), order.end(), std::mt19937(8461));
    }
    const std::size_t every = options_.shuffled ? kCommitEveryShuffled : kCommitEvery;
    for (std::size_t i = 0; i < count;) {
      auto txn = cache::Txn::begin(env_.env(), 0);
      check(txn ? 0 : txn.error());
      txn_ = txn->get();
      for (const std::size_t end = std::min(count, i + every); i < end; ++i) {
        const std::string domain = name_of(kind, order[i]);
        store(domain, entry_for(kind, domain, order[i], count));
      }
      check(txn->commit());
    }
  }

  // With a spread, refreshes come due evenly over it, as after days of running.
  cache::Entry entry_for(char kind, const std::string& domain, std::size_t number,
                         std::size_t count) const {
    if (kind == 'n') {
      return bench::sample_negative(now_);
    }
    cache::Entry entry = bench::sample_policy(domain, options_.hosts, now_);
    entry.due_at +=
        options_.spread * static_cast<std::int64_t>(number) / static_cast<std::int64_t>(count);
    return entry;
  }

  void put(MDB_dbi table, std::string_view key, std::string_view value) {
    MDB_val k = cache::to_val(key);
    MDB_val v = cache::to_val(value);
    check(mdb_put(txn_, table, &k, &v, options_.shuffled ? 0U : unsigned{MDB_APPEND}));
  }

  static void check(int rc) {
    if (rc != 0) {
      std::fprintf(stderr, "bench_seed: %s\n", mdb_strerror(rc));
      std::exit(1);
    }
  }

  cache::LmdbEnv& env_;
  const Options options_;
  const WallTime now_ = SystemClock().wall();
  MDB_txn* txn_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fills an empty cache directory for benchmarks.");
  Options options;
  std::int64_t spread = 0;
  app.add_option("--directory", options.directory)->required();
  app.add_option("--policies", options.policies, "domains with a policy in mode enforce");
  app.add_option("--negatives", options.negatives, "domains without a policy");
  app.add_option("--hosts", options.hosts, "MX patterns of a policy, beside a wildcard");
  app.add_option("--spread", spread, "seconds over which refreshes come due");
  app.add_flag("--shuffled", options.shuffled, "store in the order of chance, not of the names");
  CLI11_PARSE(app, argc, argv);
  options.spread = Seconds(spread);

  std::filesystem::create_directories(options.directory);
  auto env = cache::LmdbEnv::open(options.directory, kMapSize, cache::LmdbEnv::Access::ReadWrite);
  if (!env) {
    std::fprintf(stderr, "%s\n", env.error().message.c_str());
    return 1;
  }
  mdb_env_set_flags((*env)->env(), MDB_NOSYNC, 1);
  Filler(**env, options).fill();
  mdb_env_sync((*env)->env(), 1);
  return 0;
}
