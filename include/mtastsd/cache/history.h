#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/mtasts/policy.h"

// The last versions of a domain's policy. They are in a table of their own and
// not in the record, because answering never needs them. What is written is
// only what the record does not say any more: a policy that never changed, and
// was always to be had, has no history but its record.
namespace mtastsd::cache {

// A version, and what came of the fetches while it was in force.
struct PolicyVersion {
  std::string id;
  mtasts::Policy policy;
  std::uint32_t mx_left_out = 0;        // patterns that were too many to keep
  WallTime first_at{};                  // first fetched; epoch: before the history begins
  WallTime last_at{};                   // last fetched, or found to be unchanged
  std::uint32_t failures = 0;           // fetches that failed since
  std::optional<Failure> last_failure;  // of these: type and detail
  WallTime failed_at{};
};
// Whether it is that of the policy, as far as it was kept.
bool is_version_of(const PolicyVersion& version, const StoredPolicy& stored);

inline constexpr std::size_t kDefaultVersions = 5;
inline constexpr std::size_t kMaxVersions = 50;
inline constexpr std::size_t kMaxHistoryBytes = 4096;  // of a domain

// The newest first.
using History = std::vector<PolicyVersion>;

// Notes what a record that takes the place of another one says. False: there is
// nothing to note. `before` may be null. What happens between two commits
// counts as one step.
bool note_change(History& history, const Entry* before, const Entry& after, std::size_t versions,
                 WallTime now);

// The history with the version that the record has at its front. Nothing where
// nothing is known.
History complete(History history, const Entry* entry);

// What a version has of which the one before it is `older`.
struct VersionChange {
  bool drifted = false;     // the id is the same, and the policy is not
  bool weaker = false;      // the mode asks for less
  bool mx_changed = false;  // not only in its order
};
VersionChange change_between(const PolicyVersion& older, const PolicyVersion& newer);

// JSON of kMaxHistoryBytes at most: what is too much goes, the oldest version
// first. Of a policy that is too large by itself, the last patterns go.
std::string encode_history(History history);
// Nothing for what is not one.
History decode_history(std::string_view text);

}  // namespace mtastsd::cache
