#include "sample.h"

#include "mtastsd/mtasts/policy.h"

namespace bench {
namespace {

using namespace mtastsd;

// Longer than any run: no hit makes the daemon look anything up.
constexpr Seconds kAhead{6 * 3600};

}  // namespace

cache::Entry sample_policy(const std::string& domain, unsigned hosts, WallTime now) {
  std::string text = "version: STSv1\r\nmode: enforce\r\n";
  for (unsigned i = 1; i <= hosts; ++i) {
    text += "mx: mx" + std::to_string(i) + "." + domain + "\r\n";
  }
  text += "mx: *.mail." + domain + "\r\nmax_age: 604800\r\n";
  cache::Entry entry = sample_negative(now);
  entry.policy = cache::StoredPolicy{"20240101T000000", *mtasts::parse_policy(text), now};
  entry.due_at = entry.recheck_at;
  return entry;
}

cache::Entry sample_negative(WallTime now) {
  cache::Entry entry;
  entry.txt_checked_at = now;
  entry.recheck_at = now + kAhead;
  entry.last_used_at = now;
  return entry;
}

}  // namespace bench
