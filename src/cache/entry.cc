// The record format. Layout of format 1, all numbers little-endian:
//
//    0 u32 crc32c of everything behind it
//    4 u8  format        5 u8  flags (1 policy, 2 failure)
//    6 u8  mode          7 u8  length of the policy's id
//    8 i64 txt_checked_at, recheck_at, last_used_at, due_at     (seconds since 1970, UTC)
//   40 i64 fetched_at   48 u32 max_age   52 u32 bytes of MX patterns   56 u32 bytes of text
//   60 id, MX patterns (u8 length and the pattern, each), text
//      then, with flag 2: i64 first_at, retry_at, warned_at; u16 count; u8 type;
//      u8 length of the id; u16 length of the detail; id; detail
//
// Without flag 1 the policy's fields are zero and empty. A record that does not end where its
// lengths say is malformed.

#include "mtastsd/cache/entry.h"

#include <bit>
#include <concepts>
#include <cstring>
#include <type_traits>

#include "mtastsd/base/checksum.h"

namespace mtastsd::cache {
namespace {

constexpr std::size_t kHeaderSize = 60;
constexpr std::size_t kFailureFixedSize = 30;
constexpr std::uint8_t kHasPolicy = 1;
constexpr std::uint8_t kHasFailure = 2;

template <std::integral T>
T load(std::string_view bytes, std::size_t at) {
  std::make_unsigned_t<T> value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<decltype(value)>(value << 8 | static_cast<unsigned char>(bytes[at + i]));
  }
  return static_cast<T>(value);
}

template <>
std::uint8_t load<std::uint8_t>(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

WallTime load_time(std::string_view bytes, std::size_t at) {
  return WallTime(Seconds(load<std::int64_t>(bytes, at)));
}

template <std::integral T>
void store(std::string& out, T value) {
  auto rest = static_cast<std::make_unsigned_t<T>>(value);
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(rest & 0xff));
    if constexpr (sizeof(T) > 1) {
      rest = static_cast<decltype(rest)>(rest >> 8);
    }
  }
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
  facts.recheck_at = entry.recheck_at;
  facts.last_used_at = entry.last_used_at;
  return facts;
}

std::string encode(const Entry& entry) {
  static const StoredPolicy kNoPolicy{};
  const StoredPolicy& policy = entry.policy ? *entry.policy : kNoPolicy;
  const std::string mx = packed_patterns(policy.policy);

  std::string body;
  body.reserve(kHeaderSize + policy.id.size() + mx.size() + policy.text.size() + 64);
  store(body, kRecordFormat);
  store(body, static_cast<std::uint8_t>((entry.policy ? kHasPolicy : 0) |
                                        (entry.failure ? kHasFailure : 0)));
  store(body, static_cast<std::uint8_t>(policy.policy.mode));
  store(body, static_cast<std::uint8_t>(policy.id.size()));
  store_time(body, entry.txt_checked_at);
  store_time(body, entry.recheck_at);
  store_time(body, entry.last_used_at);
  store_time(body, entry.due_at);
  store_time(body, policy.fetched_at);
  store(body, static_cast<std::uint32_t>(policy.policy.max_age.count()));
  store(body, static_cast<std::uint32_t>(mx.size()));
  store(body, static_cast<std::uint32_t>(policy.text.size()));
  body += policy.id;
  body += mx;
  body += policy.text;
  if (entry.failure) {
    encode_failure(body, *entry.failure);
  }

  std::string record;
  record.reserve(body.size() + 4);
  store(record, crc32c(body));
  record += body;
  return record;
}

Result<RecordView, RecordError> RecordView::decode(std::string_view record) {
  if (record.size() < 5) {
    return failure(RecordError::Truncated);
  }
  if (load<std::uint32_t>(record, 0) != crc32c(record.substr(4))) {
    return failure(RecordError::Checksum);
  }
  if (load<std::uint8_t>(record, 4) != kRecordFormat) {
    return failure(RecordError::UnknownFormat);
  }
  if (record.size() < kHeaderSize) {
    return failure(RecordError::Truncated);
  }
  RecordView view;
  const auto flags = load<std::uint8_t>(record, 5);
  const auto mode = load<std::uint8_t>(record, 6);
  const std::size_t id_size = load<std::uint8_t>(record, 7);
  view.facts_.has_policy = (flags & kHasPolicy) != 0;
  view.facts_.mode = static_cast<mtasts::Mode>(mode);
  view.facts_.txt_checked_at = load_time(record, 8);
  view.facts_.recheck_at = load_time(record, 16);
  view.facts_.last_used_at = load_time(record, 24);
  view.due_at_ = load_time(record, 32);
  view.facts_.fetched_at = load_time(record, 40);
  view.facts_.max_age = Seconds(load<std::uint32_t>(record, 48));
  const std::size_t mx_size = load<std::uint32_t>(record, 52);
  const std::size_t text_size = load<std::uint32_t>(record, 56);
  if (mode > 2 || record.size() < kHeaderSize + id_size + mx_size + text_size) {
    return failure(RecordError::Malformed);
  }
  view.id_ = record.substr(kHeaderSize, id_size);
  view.mx_ = record.substr(kHeaderSize + id_size, mx_size);
  view.text_ = record.substr(kHeaderSize + id_size + mx_size, text_size);
  view.failure_ = record.substr(kHeaderSize + id_size + mx_size + text_size);
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

Result<Entry, RecordError> decode_entry(std::string_view record) {
  const auto view = RecordView::decode(record);
  if (!view) {
    return failure(view.error());
  }
  Entry entry;
  const EntryFacts& facts = view->facts();
  entry.txt_checked_at = facts.txt_checked_at;
  entry.recheck_at = facts.recheck_at;
  entry.last_used_at = facts.last_used_at;
  entry.due_at = view->due_at();
  if (facts.has_policy) {
    StoredPolicy policy;
    policy.id = view->id_;
    policy.policy.mode = facts.mode;
    policy.policy.max_age = facts.max_age;
    policy.text = view->text_;
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
  if (!view->failure_.empty()) {
    entry.failure = decode_failure(view->failure_);
    if (!entry.failure) {
      return failure(RecordError::Malformed);
    }
  }
  return entry;
}

}  // namespace mtastsd::cache
