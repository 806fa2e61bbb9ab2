// The record format. Layout of format 3, all numbers little-endian:
//
//    0 u64 XXH3 (64 bits, seed 0) of everything behind it
//    8 u8  format        9 u8  flags (1 policy, 2 failure)
//   10 u8  mode         11 u8  length of the policy's id
//   12 u8  why there is no policy (NoPolicyReason)
//   13 u8  length of the detail of that    14 u16 bytes of what is known of DANE
//   16 i64 txt_checked_at, recheck_at, first_used_at, last_used_at, due_at, fetched_at
//          (seconds since 1970, UTC)
//   64 u32 max_age      68 u32 bytes of MX patterns
//   72 detail, id, MX patterns (u8 length and the pattern, each)
//      then what is known of DANE for each target, kMaxDaneTargets at most: u16 port; u8 flags
//      (1 by MX); u8 ruling; i64 known_at, checked_at, renew_at; u8 mail; u8 number of hosts; u16
//      bytes of hosts; hosts (u8 status, i64 known_at, u8 length of the name, name, each)
//      then, with flag 2: i64 first_at, retry_at, warned_at; u16 count; u8 type;
//      u8 length of the id; u16 length of the detail; id; detail
//
// Without flag 1 the policy's fields are zero and empty. A record that does not end where its
// lengths say is malformed.
//
// Format 2 had nothing of DANE. Format 1 had the text of the policy and no first_used_at. No
// release wrote either of them, so they are not read: their records are dropped, and are found out
// again. 0.1 had a CRC-32C in place of the first field and no reason. No release wrote that layout,
// so it keeps no number: its records fail the checksum.

#include "mtastsd/cache/entry.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstring>

namespace mtastsd::cache {
namespace {

constexpr std::size_t kChecksumSize = 8;
constexpr std::size_t kHeaderSize = 72;
constexpr std::size_t kFailureFixedSize = 30;
constexpr std::size_t kDaneFixedSize = 32;
constexpr std::size_t kDaneHostFixedSize = 10;
constexpr std::uint8_t kByMx = 1;
constexpr std::uint8_t kHasPolicy = 1;
constexpr std::uint8_t kHasFailure = 2;
constexpr auto kLastReason = static_cast<std::uint8_t>(NoPolicyReason::FetchFailed);

// From this machine's order of bytes to little-endian, and back.
template <std::integral T>
T little_endian(T value) {
  if constexpr (std::endian::native == std::endian::little) {
    return value;
  }
  auto bytes = std::bit_cast<std::array<char, sizeof(T)>>(value);
  std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

// The caller has looked at the length.
template <std::integral T>
T load(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return little_endian(value);
}

std::uint64_t checksum_of(std::string_view record) {
  return XXH3_64bits(record.data() + kChecksumSize, record.size() - kChecksumSize);
}

WallTime load_time(std::string_view bytes, std::size_t at) {
  return WallTime(Seconds(load<std::int64_t>(bytes, at)));
}

template <std::integral T>
void store(std::string& out, T value) {
  value = little_endian(value);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void store_time(std::string& out, WallTime time) {
  store(out, static_cast<std::int64_t>(time.time_since_epoch().count()));
}

std::string packed_patterns(const mtasts::Policy& policy) {
  std::string out;
  for (const auto& pattern : policy.mx) {
    const std::string text = pattern.str();
    store(out, static_cast<std::uint8_t>(text.size()));
    out += text;
  }
  return out;
}

std::string packed_dane(const std::vector<dane::State>& states) {
  std::string out;
  for (const dane::State& state : states) {
    std::string hosts;
    for (const dane::Host& host : state.hosts) {
      store(hosts, static_cast<std::uint8_t>(host.status));
      store_time(hosts, host.known_at);
      store(hosts, static_cast<std::uint8_t>(host.name.size()));
      hosts += host.name;
    }
    store(out, state.target.port);
    store(out, static_cast<std::uint8_t>(state.target.by_mx ? kByMx : 0));
    store(out, static_cast<std::uint8_t>(state.facts.ruling));
    store_time(out, state.facts.known_at);
    store_time(out, state.facts.checked_at);
    store_time(out, state.facts.renew_at);
    store(out, static_cast<std::uint8_t>(state.mail));
    store(out, static_cast<std::uint8_t>(state.hosts.size()));
    store(out, static_cast<std::uint16_t>(hosts.size()));
    out += hosts;
  }
  return out;
}

// Takes the first target off `bytes`: its fixed part, and its hosts. Nullopt at the end, and where
// the bytes do not add up.
struct PackedTarget {
  std::string_view fixed;
  std::string_view hosts;
  dane::Target target() const {
    return {.by_mx = (load<std::uint8_t>(fixed, 2) & kByMx) != 0,
            .port = load<std::uint16_t>(fixed, 0)};
  }
  dane::Facts facts() const {
    return {.ruling = static_cast<dane::Ruling>(load<std::uint8_t>(fixed, 3)),
            .known_at = load_time(fixed, 4),
            .checked_at = load_time(fixed, 12),
            .renew_at = load_time(fixed, 20)};
  }
};
std::optional<PackedTarget> take_target(std::string_view& bytes) {
  if (bytes.size() < kDaneFixedSize) {
    return std::nullopt;
  }
  const std::size_t size = load<std::uint16_t>(bytes, 30);
  if (bytes.size() < kDaneFixedSize + size ||
      load<std::uint8_t>(bytes, 3) > static_cast<std::uint8_t>(dane::Ruling::Applies)) {
    return std::nullopt;
  }
  const PackedTarget target{bytes.substr(0, kDaneFixedSize), bytes.substr(kDaneFixedSize, size)};
  bytes.remove_prefix(kDaneFixedSize + size);
  return target;
}

bool decode_hosts(std::string_view bytes, std::vector<dane::Host>& hosts) {
  while (!bytes.empty()) {
    if (bytes.size() < kDaneHostFixedSize) {
      return false;
    }
    const auto status = load<std::uint8_t>(bytes, 0);
    const std::size_t size = load<std::uint8_t>(bytes, 9);
    if (status > static_cast<std::uint8_t>(dane::HostStatus::Usable) ||
        bytes.size() < kDaneHostFixedSize + size) {
      return false;
    }
    hosts.push_back({std::string(bytes.substr(kDaneHostFixedSize, size)),
                     static_cast<dane::HostStatus>(status), load_time(bytes, 1)});
    bytes.remove_prefix(kDaneHostFixedSize + size);
  }
  return true;
}

std::optional<std::vector<dane::State>> decode_dane(std::string_view bytes) {
  std::vector<dane::State> states;
  while (!bytes.empty()) {
    const auto packed = take_target(bytes);
    if (!packed || states.size() == kMaxDaneTargets) {
      return std::nullopt;
    }
    dane::State state{.target = packed->target(), .facts = packed->facts()};
    const auto mail = load<std::uint8_t>(packed->fixed, 28);
    state.mail = static_cast<dane::Mail>(mail);
    if (mail > static_cast<std::uint8_t>(dane::Mail::NoDomain) ||
        !decode_hosts(packed->hosts, state.hosts) || state.hosts.size() > dane::kMaxHosts ||
        state.hosts.size() != load<std::uint8_t>(packed->fixed, 29)) {
      return std::nullopt;
    }
    states.push_back(std::move(state));
  }
  return states;
}

void encode_failure(std::string& out, const Failure& failure) {
  const auto detail = std::string_view(failure.detail).substr(0, kMaxFailureDetail);
  store_time(out, failure.first_at);
  store_time(out, failure.retry_at);
  store_time(out, failure.warned_at);
  store(out, failure.count);
  store(out, static_cast<std::uint8_t>(failure.type));
  store(out, static_cast<std::uint8_t>(failure.id.size()));
  store(out, static_cast<std::uint16_t>(detail.size()));
  out += failure.id;
  out += detail;
}

std::optional<Failure> decode_failure(std::string_view bytes) {
  if (bytes.size() < kFailureFixedSize) {
    return std::nullopt;
  }
  Failure failure;
  failure.first_at = load_time(bytes, 0);
  failure.retry_at = load_time(bytes, 8);
  failure.warned_at = load_time(bytes, 16);
  failure.count = load<std::uint16_t>(bytes, 24);
  const auto type = load<std::uint8_t>(bytes, 26);
  const std::size_t id_size = load<std::uint8_t>(bytes, 27);
  const std::size_t detail_size = load<std::uint16_t>(bytes, 28);
  if (type < 1 || type > 3 || detail_size > kMaxFailureDetail ||
      bytes.size() != kFailureFixedSize + id_size + detail_size) {
    return std::nullopt;
  }
  failure.type = static_cast<FailureType>(type);
  failure.id = bytes.substr(kFailureFixedSize, id_size);
  failure.detail = bytes.substr(kFailureFixedSize + id_size);
  return failure;
}

bool well_formed_patterns(std::string_view mx) {
  while (!mx.empty()) {
    const std::size_t size = static_cast<unsigned char>(mx.front());
    if (size == 0 || mx.size() < 1 + size) {
      return false;
    }
    mx.remove_prefix(1 + size);
  }
  return true;
}

}  // namespace

std::string_view to_string(FailureType type) {
  switch (type) {
    case FailureType::FetchError:
      return "sts-policy-fetch-error";
    case FailureType::PolicyInvalid:
      return "sts-policy-invalid";
    case FailureType::WebpkiInvalid:
      return "sts-webpki-invalid";
  }
  return "sts-policy-fetch-error";
}

std::string_view to_string(RecordError error) {
  switch (error) {
    case RecordError::Truncated:
      return "truncated";
    case RecordError::Checksum:
      return "checksum does not match";
    case RecordError::UnknownFormat:
      return "unknown format";
    case RecordError::Malformed:
      return "malformed";
  }
  return "malformed";
}

EntryFacts facts_of(const Entry& entry) {
  EntryFacts facts;
  if (entry.policy) {
    facts.has_policy = true;
    facts.mode = entry.policy->policy.mode;
    facts.max_age = entry.policy->policy.max_age;
    facts.fetched_at = entry.policy->fetched_at;
  }
  facts.txt_checked_at = entry.txt_checked_at;
  facts.set_aside = entry.policy && !entry.holds_policy();
  facts.recheck_at = entry.recheck_at;
  facts.first_used_at = entry.first_used_at;
  facts.last_used_at = entry.last_used_at;
  return facts;
}

const dane::State* find_dane(const Entry& entry, const dane::Target& target) {
  const auto it = std::find_if(entry.dane_states.begin(), entry.dane_states.end(),
                               [&](const dane::State& state) { return state.target == target; });
  return it == entry.dane_states.end() ? nullptr : &*it;
}

void set_dane(Entry& entry, dane::State state) {
  auto it = std::find_if(entry.dane_states.begin(), entry.dane_states.end(),
                         [&](const dane::State& one) { return one.target == state.target; });
  if (it == entry.dane_states.end() && entry.dane_states.size() < kMaxDaneTargets) {
    entry.dane_states.push_back(std::move(state));
    return;
  }
  if (it == entry.dane_states.end()) {
    it = std::min_element(entry.dane_states.begin(), entry.dane_states.end(),
                          [](const dane::State& a, const dane::State& b) {
                            return a.facts.checked_at < b.facts.checked_at;
                          });
  }
  *it = std::move(state);
}

std::size_t memory_of(const Entry& entry) {
  constexpr std::size_t kUsualName = 32;
  std::size_t bytes = sizeof(Entry) + entry.no_policy_detail.size();
  if (entry.policy) {
    bytes += entry.policy->id.size() + entry.policy->policy.mx.size() * sizeof(mtasts::MxPattern);
  }
  for (const dane::State& state : entry.dane_states) {
    bytes += sizeof(state) + state.hosts.size() * (sizeof(dane::Host) + kUsualName);
  }
  return bytes + (entry.failure ? entry.failure->id.size() + entry.failure->detail.size() : 0);
}

std::string encode(const Entry& entry) {
  static const StoredPolicy kNoPolicy{};
  const StoredPolicy& policy = entry.policy ? *entry.policy : kNoPolicy;
  const std::string mx = packed_patterns(policy.policy);

  const std::string dane_bytes = packed_dane(entry.dane_states);
  const auto detail = std::string_view(entry.no_policy_detail).substr(0, kMaxNoPolicyDetail);

  std::string record(kChecksumSize, '\0');
  record.reserve(
      kHeaderSize + detail.size() + policy.id.size() + mx.size() + dane_bytes.size() +
      (entry.failure ? kFailureFixedSize + entry.failure->id.size() + kMaxFailureDetail : 0));
  store(record, kRecordFormat);
  store(record, static_cast<std::uint8_t>((entry.policy ? kHasPolicy : 0) |
                                          (entry.failure ? kHasFailure : 0)));
  store(record, static_cast<std::uint8_t>(policy.policy.mode));
  store(record, static_cast<std::uint8_t>(policy.id.size()));
  store(record, static_cast<std::uint8_t>(entry.no_policy_reason));
  store(record, static_cast<std::uint8_t>(detail.size()));
  store(record, static_cast<std::uint16_t>(dane_bytes.size()));
  store_time(record, entry.txt_checked_at);
  store_time(record, entry.recheck_at);
  store_time(record, entry.first_used_at);
  store_time(record, entry.last_used_at);
  store_time(record, entry.due_at);
  store_time(record, policy.fetched_at);
  store(record, static_cast<std::uint32_t>(policy.policy.max_age.count()));
  store(record, static_cast<std::uint32_t>(mx.size()));
  record += detail;
  record += policy.id;
  record += mx;
  record += dane_bytes;
  if (entry.failure) {
    encode_failure(record, *entry.failure);
  }
  const std::uint64_t checksum = little_endian(checksum_of(record));
  std::memcpy(record.data(), &checksum, sizeof checksum);
  return record;
}

Result<RecordView, RecordError> RecordView::decode(std::string_view record) {
  if (record.size() <= kChecksumSize) {
    return failure(RecordError::Truncated);
  }
  if (load<std::uint64_t>(record, 0) != checksum_of(record)) {
    return failure(RecordError::Checksum);
  }
  if (load<std::uint8_t>(record, 8) != kRecordFormat) {
    return failure(RecordError::UnknownFormat);
  }
  if (record.size() < kHeaderSize) {
    return failure(RecordError::Truncated);
  }
  RecordView view;
  const auto flags = load<std::uint8_t>(record, 9);
  const auto mode = load<std::uint8_t>(record, 10);
  const std::size_t id_size = load<std::uint8_t>(record, 11);
  const auto reason = load<std::uint8_t>(record, 12);
  const std::size_t detail_size = load<std::uint8_t>(record, 13);
  view.facts_.has_policy = (flags & kHasPolicy) != 0;
  view.facts_.mode = static_cast<mtasts::Mode>(mode);
  view.no_policy_reason_ = static_cast<NoPolicyReason>(reason);
  view.facts_.set_aside = view.facts_.has_policy && view.no_policy_reason_ != NoPolicyReason::None;
  view.facts_.txt_checked_at = load_time(record, 16);
  view.facts_.recheck_at = load_time(record, 24);
  view.facts_.first_used_at = load_time(record, 32);
  view.facts_.last_used_at = load_time(record, 40);
  view.due_at_ = load_time(record, 48);
  view.facts_.fetched_at = load_time(record, 56);
  view.facts_.max_age = Seconds(load<std::uint32_t>(record, 64));
  const std::size_t mx_size = load<std::uint32_t>(record, 68);
  const std::size_t dane_size = load<std::uint16_t>(record, 14);
  if (mode > 2 || reason > kLastReason || detail_size > kMaxNoPolicyDetail ||
      record.size() < kHeaderSize + detail_size + id_size + mx_size + dane_size) {
    return failure(RecordError::Malformed);
  }
  std::string_view rest = record.substr(kHeaderSize);
  const auto take = [&rest](std::size_t size) {
    const std::string_view part = rest.substr(0, size);
    rest.remove_prefix(size);
    return part;
  };
  view.no_policy_detail_ = take(detail_size);
  view.id_ = take(id_size);
  view.mx_ = take(mx_size);
  view.dane_ = take(dane_size);
  view.failure_ = rest;
  // RFC 8461 section 3.2: only mode none goes without a pattern.
  const bool lacks_mx =
      view.facts_.has_policy && view.mx_.empty() && view.facts_.mode != mtasts::Mode::None;
  if (lacks_mx || !well_formed_patterns(view.mx_) ||
      view.failure_.empty() == ((flags & kHasFailure) != 0)) {
    return failure(RecordError::Malformed);
  }
  return view;
}

void RecordView::mx_patterns(std::vector<std::string_view>& patterns) const {
  patterns.clear();
  std::string_view rest = mx_;
  while (!rest.empty()) {
    const std::size_t size = static_cast<unsigned char>(rest.front());
    patterns.push_back(rest.substr(1, size));
    rest.remove_prefix(1 + size);
  }
}

dane::Facts RecordView::dane_facts(const dane::Target& target) const {
  std::string_view rest = dane_;
  while (const auto packed = take_target(rest)) {
    if (packed->target() == target) {
      return packed->facts();
    }
  }
  return {};
}

Result<Entry, RecordError> decode_entry(std::string_view record) {
  const auto view = RecordView::decode(record);
  if (!view) {
    return failure(view.error());
  }
  Entry entry;
  const EntryFacts& facts = view->facts();
  entry.txt_checked_at = facts.txt_checked_at;
  entry.recheck_at = facts.recheck_at;
  entry.first_used_at = facts.first_used_at;
  entry.last_used_at = facts.last_used_at;
  entry.due_at = view->due_at();
  entry.no_policy_reason = view->no_policy_reason_;
  entry.no_policy_detail = view->no_policy_detail_;
  if (facts.has_policy) {
    StoredPolicy policy;
    policy.id = view->id_;
    policy.policy.mode = facts.mode;
    policy.policy.max_age = facts.max_age;
    policy.fetched_at = facts.fetched_at;
    std::vector<std::string_view> patterns;
    view->mx_patterns(patterns);
    for (const auto text : patterns) {
      auto pattern = mtasts::MxPattern::parse(text);
      if (!pattern || pattern->str() != text) {
        return failure(RecordError::Malformed);
      }
      policy.policy.mx.push_back(*pattern);
    }
    entry.policy = std::move(policy);
  }
  auto states = decode_dane(view->dane_);
  if (!states) {
    return failure(RecordError::Malformed);
  }
  entry.dane_states = std::move(*states);
  if (!view->failure_.empty()) {
    entry.failure = decode_failure(view->failure_);
    if (!entry.failure) {
      return failure(RecordError::Malformed);
    }
  }
  return entry;
}

void EntryView::mx_patterns(std::vector<std::string_view>& patterns) {
  if (!entry_) {
    view_.mx_patterns(patterns);
    return;
  }
  if (patterns_.empty() && entry_->policy) {
    for (const auto& pattern : entry_->policy->policy.mx) {
      patterns_.push_back(pattern.str());
    }
  }
  patterns.assign(patterns_.begin(), patterns_.end());
}

dane::Facts EntryView::dane_facts(const dane::Target& target) const {
  if (!entry_) {
    return view_.dane_facts(target);
  }
  const dane::State* state = find_dane(*entry_, target);
  return state != nullptr ? state->facts : dane::Facts{};
}

Result<EntryPtr, RecordError> EntryView::entry() const {
  if (entry_) {
    return entry_;
  }
  auto entry = decode_entry(record_);
  if (!entry) {
    return failure(entry.error());
  }
  return std::make_shared<const Entry>(std::move(*entry));
}

}  // namespace mtastsd::cache
