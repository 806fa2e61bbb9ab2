#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/result.h"
#include "mtastsd/dane/state.h"
#include "mtastsd/mtasts/policy.h"

namespace mtastsd::cache {

// A policy with the id of the TXT record that led to it. Of its text nothing is kept: a stranger
// can fill that with 64 KiB of fields that have no meaning.
struct StoredPolicy {
  std::string id;
  mtasts::Policy policy;
  WallTime fetched_at;  // of the last successful fetch: max_age counts from here

  // RFC 8461 section 3.2: the policy is good before this moment.
  WallTime expires_at() const { return fetched_at + policy.max_age; }
};

// Why there is no newer policy, by the names of RFC 8460 section 4.3.
enum class FailureType : std::uint8_t { FetchError = 1, PolicyInvalid = 2, WebpkiInvalid = 3 };
std::string_view to_string(FailureType type);

// Fetches that failed since the last good one.
struct Failure {
  std::string id;  // of the TXT record for which the fetch failed
  FailureType type = FailureType::FetchError;
  std::string detail;    // for people, cut at kMaxFailureDetail
  WallTime first_at;     // of this run of failures
  WallTime retry_at;     // RFC 8461 section 3.3: not again before this for the same id
  WallTime warned_at{};  // the operator was last told; epoch: not yet
  std::uint16_t count = 0;
};
inline constexpr std::size_t kMaxFailureDetail = 200;

// Why a domain has no policy. With a policy in force: None.
enum class NoPolicyReason : std::uint8_t {
  None = 0,
  NoRecord = 1,        // there is no MTA-STS record
  UnusableRecord = 2,  // there are records, and none that RFC 8461 section 3.1 lets a sender use
  DnsFailed = 3,       // DNS gave no answer
  FetchFailed = 4,     // there is a record, and the policy could not be fetched: see `failure`
};
inline constexpr std::size_t kMaxNoPolicyDetail = 200;

// What is known about one policy domain. Without a policy, or with a no_policy_reason, it is a "no
// policy" result that holds until recheck_at. A policy beside a reason has expired. It is kept for
// the case that the clock is ahead and is set right: then it is in force again.
struct Entry {
  std::optional<StoredPolicy> policy;
  std::optional<Failure> failure;
  NoPolicyReason no_policy_reason = NoPolicyReason::None;
  // For people, of UnusableRecord and DnsFailed; what is longer than kMaxNoPolicyDetail is cut.
  std::string no_policy_detail;
  WallTime txt_checked_at{};
  WallTime recheck_at{};     // when the TXT record is to be looked at again
  WallTime first_used_at{};  // the second query; epoch: there was one at most
  WallTime last_used_at{};   // last query, to about a day
  WallTime due_at{};         // with a policy: when the refresher looks at it again
  // Whether DANE decides, for each target that mail was sent to under a policy in force: at most
  // kMaxDaneTargets.
  std::vector<dane::State> dane_states;

  // False for a "no policy" result, whether or not an expired policy is kept with it.
  bool holds_policy() const { return policy && no_policy_reason == NoPolicyReason::None; }
};

inline constexpr std::size_t kMaxDaneTargets = 4;

// What is known of a target; null: nothing.
const dane::State* find_dane(const Entry& entry, const dane::Target& target);
// Puts it in place of what was known of its target, or of the target that was looked at longest
// ago.
void set_dane(Entry& entry, dane::State state);

// An entry that is shared between threads never changes. Null stands for "nothing is known".
using EntryPtr = std::shared_ptr<const Entry>;

// The part of an entry that answering decides on, from an Entry or straight from its record.
struct EntryFacts {
  bool has_policy = false;
  bool set_aside = false;  // it has expired, and the entry is a "no policy" result: see Entry
  mtasts::Mode mode = mtasts::Mode::None;
  Seconds max_age{0};
  WallTime fetched_at{};
  WallTime txt_checked_at{};
  WallTime recheck_at{};
  WallTime first_used_at{};
  WallTime last_used_at{};

  WallTime expires_at() const { return fetched_at + max_age; }
};
EntryFacts facts_of(const Entry& entry);

// About how many bytes an entry takes in memory.
std::size_t memory_of(const Entry& entry);

// The stored form: little-endian, versioned, with a checksum over all of it.
inline constexpr std::uint8_t kRecordFormat = 3;
std::string encode(const Entry& entry);

enum class RecordError { Truncated, Checksum, UnknownFormat, Malformed };
std::string_view to_string(RecordError error);

// A record read in place: the views point into it. Decoding allocates nothing.
class RecordView {
 public:
  RecordView() = default;
  static Result<RecordView, RecordError> decode(std::string_view record);

  const EntryFacts& facts() const { return facts_; }
  WallTime due_at() const { return due_at_; }
  // Clears `patterns` and fills it with the MX patterns in their stored form.
  void mx_patterns(std::vector<std::string_view>& patterns) const;
  // All zero if nothing is known of the target.
  dane::Facts dane_facts(const dane::Target& target) const;

 private:
  friend class EntryView;
  friend Result<Entry, RecordError> decode_entry(std::string_view record);

  EntryFacts facts_;
  WallTime due_at_{};
  NoPolicyReason no_policy_reason_ = NoPolicyReason::None;
  std::string_view no_policy_detail_;
  std::string_view id_;
  std::string_view mx_;       // each: one byte of length, then the pattern
  std::string_view dane_;     // see entry.cc
  std::string_view failure_;  // fixed part, id, detail; empty without a failure
};

Result<Entry, RecordError> decode_entry(std::string_view record);

// What a reader finds of a domain: a record that is read in place, or an entry in memory. Backed by
// a record, it is valid as long as the bytes of that record.
class EntryView {
 public:
  explicit EntryView(EntryPtr entry) : entry_(std::move(entry)) {
    view_.facts_ = facts_of(*entry_);
  }
  EntryView(const RecordView& view, std::string_view record) : view_(view), record_(record) {}

  const EntryFacts& facts() const { return view_.facts(); }
  WallTime due_at() const { return entry_ ? entry_->due_at : view_.due_at(); }

  // Clears `patterns` and fills it with the MX patterns in their stored form ("*.example.com").
  // They are valid as long as this object. Allocates only where an entry in memory has patterns.
  void mx_patterns(std::vector<std::string_view>& patterns);

  // All zero if nothing is known of the target.
  dane::Facts dane_facts(const dane::Target& target) const;

  // All of it: the entry itself, or a copy of what the record says.
  Result<EntryPtr, RecordError> entry() const;

 private:
  EntryPtr entry_;   // null: it is backed by a record
  RecordView view_;  // of an entry: only its facts
  std::string_view record_;
  std::vector<std::string> patterns_;  // of entry_, once they were asked for
};

}  // namespace mtastsd::cache
