// A record of the cache: as it is, and once more with the checksum that it should have, so that
// what lies behind the checksum is read too.

#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "mtastsd/cache/entry.h"

using namespace mtastsd;
using fuzz::require;

namespace {

constexpr std::size_t kChecksumBytes = 8;

bool same(const cache::EntryFacts& a, const cache::EntryFacts& b) {
  return a.has_policy == b.has_policy && a.set_aside == b.set_aside &&
         a.txt_checked_at == b.txt_checked_at && a.recheck_at == b.recheck_at &&
         a.first_used_at == b.first_used_at && a.last_used_at == b.last_used_at &&
         (!a.has_policy ||
          (a.mode == b.mode && a.max_age == b.max_age && a.fetched_at == b.fetched_at));
}

bool same(const cache::Failure& a, const cache::Failure& b) {
  return a.id == b.id && a.type == b.type && a.detail == b.detail && a.first_at == b.first_at &&
         a.retry_at == b.retry_at && a.warned_at == b.warned_at && a.count == b.count;
}

bool same(const cache::StoredPolicy& a, const cache::StoredPolicy& b) {
  return a.id == b.id && a.policy == b.policy && a.fetched_at == b.fetched_at;
}

bool same(const cache::Entry& a, const cache::Entry& b) {
  return same(cache::facts_of(a), cache::facts_of(b)) && a.due_at == b.due_at &&
         a.no_policy_reason == b.no_policy_reason && a.no_policy_detail == b.no_policy_detail &&
         a.policy.has_value() == b.policy.has_value() &&
         a.failure.has_value() == b.failure.has_value() &&
         (!a.policy || same(*a.policy, *b.policy)) && (!a.failure || same(*a.failure, *b.failure));
}

std::vector<std::string_view> patterns_of(const cache::RecordView& view, std::string_view record) {
  std::vector<std::string_view> patterns{"what was there before"};
  view.mx_patterns(patterns);
  const std::less_equal<const char*> not_after;
  const char* least = record.data();
  for (const std::string_view pattern : patterns) {
    require(not_after(least, pattern.data()) &&
                not_after(pattern.data() + pattern.size(), record.data() + record.size()),
            "patterns lie in the record, one behind the other");
    require(!pattern.empty() && pattern.size() <= 255, "a pattern has 1 to 255 bytes");
    least = pattern.data() + pattern.size();
  }
  return patterns;
}

void check_view(const cache::RecordView& view, const std::vector<std::string_view>& patterns) {
  const auto mode = static_cast<unsigned>(view.facts().mode);
  require(mode <= static_cast<unsigned>(mtasts::Mode::Enforce), "a mode that there is");
  require(!view.facts().has_policy || view.facts().mode == mtasts::Mode::None || !patterns.empty(),
          "a policy has patterns unless its mode is none");
}

void check_entry(const cache::Entry& entry, const cache::RecordView& view,
                 const std::vector<std::string_view>& patterns) {
  require(same(cache::facts_of(entry), view.facts()) && entry.due_at == view.due_at(),
          "read in place or taken out, it says the same");
  if (entry.policy) {
    std::vector<std::string> texts;
    for (const auto& pattern : entry.policy->policy.mx) {
      texts.push_back(pattern.str());
    }
    require(std::equal(texts.begin(), texts.end(), patterns.begin(), patterns.end()),
            "the answer path and the resolver see the same patterns");
  }
  require(!entry.failure || entry.failure->detail.size() <= cache::kMaxFailureDetail,
          "a detail has its bound");
}

void check(std::string_view record) {
  const auto view = cache::RecordView::decode(record);
  const auto entry = cache::decode_entry(record);
  require(view || (!entry && entry.error() == view.error()), "what cannot be read is no entry");
  if (!view) {
    return;
  }
  const auto patterns = patterns_of(*view, record);
  check_view(*view, patterns);
  if (!entry) {
    require(entry.error() == cache::RecordError::Malformed, "it was whole, and of this format");
    return;
  }
  check_entry(*entry, *view, patterns);
  const std::string written = cache::encode(*entry);
  const auto again = cache::decode_entry(written);
  require(again && same(*again, *entry), "what was read is written and read the same");
  require(cache::encode(*again) == written, "an entry is written in one way");
}

std::string with_its_checksum(std::string_view record) {
  std::string fixed(record);
  const std::uint64_t sum =
      XXH3_64bits(record.data() + kChecksumBytes, record.size() - kChecksumBytes);
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    fixed[i] = static_cast<char>(sum >> (8 * i) & 0xff);
  }
  return fixed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view record = fuzz::as_text(data, size);
  check(record);
  if (size >= kChecksumBytes) {
    const std::string fixed = with_its_checksum(record);
    const std::vector<char> exact(fixed.begin(), fixed.end());  // no zero byte behind it
    check({exact.data(), exact.size()});
    const auto view = cache::RecordView::decode(fixed);
    require(view || view.error() != cache::RecordError::Checksum, "the checksum is over all of it");
  }
  return 0;
}
