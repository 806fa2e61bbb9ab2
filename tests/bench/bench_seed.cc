// Fills a cache directory with policies and "no policy" results as if they had just been
// resolved, so that a daemon started on it has hits only. Prints nothing; the domains are
// p0.bench.test, p1.bench.test, ... and n0.bench.test, ...

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/mtasts/policy.h"
#include "mtastsd/observability/log.h"

namespace {

using namespace mtastsd;

constexpr std::size_t kFlushEvery = 2000;
constexpr Milliseconds kFlushLimit{30000};
// Longer than any run: no hit makes the daemon look anything up.
constexpr Seconds kAhead{6 * 3600};

std::string policy_text(const std::string& domain) {
  return "version: STSv1\r\nmode: enforce\r\nmx: mx1." + domain + "\r\nmx: mx2." + domain +
         "\r\nmx: *.mail." + domain + "\r\nmax_age: 604800\r\n";
}

cache::Entry entry_for(const std::string& domain, bool with_policy, WallTime now) {
  cache::Entry entry;
  entry.txt_checked_at = now;
  entry.recheck_at = now + kAhead;
  entry.last_used_at = now;
  if (with_policy) {
    const std::string text = policy_text(domain);
    entry.policy = cache::StoredPolicy{"20240101T000000", *mtasts::parse_policy(text), text, now};
    entry.due_at = now + kAhead;
  }
  return entry;
}

bool fill(cache::LmdbStore& store, char kind, std::size_t count, WallTime now) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string domain = kind + std::to_string(i) + ".bench.test";
    store.put(*DomainName::parse(domain), entry_for(domain, kind == 'p', now));
    if ((i + 1) % kFlushEvery == 0 && !store.flush(kFlushLimit)) {
      return false;
    }
  }
  return store.flush(kFlushLimit);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fills a cache directory for benchmarks.");
  std::string directory;
  std::size_t policies = 0;
  std::size_t negatives = 0;
  app.add_option("--directory", directory)->required();
  app.add_option("--policies", policies, "domains with a policy in mode enforce");
  app.add_option("--negatives", negatives, "domains without a policy");
  CLI11_PARSE(app, argc, argv);

  Log log = Log::null();
  auto store = cache::LmdbStore::open({directory}, log);
  if (!store || !(*store)->writable()) {
    std::fprintf(stderr, "cannot fill %s\n", directory.c_str());
    return 1;
  }
  const WallTime now = SystemClock().wall();
  if (!fill(**store, 'p', policies, now) || !fill(**store, 'n', negatives, now)) {
    std::fprintf(stderr, "cannot write to %s\n", directory.c_str());
    return 1;
  }
  return 0;
}
