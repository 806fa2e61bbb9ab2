#include "mtastsd/cache/entry.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <memory>
#include <string>
#include <vector>

namespace mtastsd::cache {
namespace {

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(seconds));
}

Entry full_entry() {
  Entry entry;
  StoredPolicy policy;
  policy.id = "20260101T000000Z";
  policy.policy.mode = mtasts::Mode::Enforce;
  policy.policy.max_age = Seconds(604800);
  policy.policy.mx = {*mtasts::MxPattern::parse("mail.example.com"),
                      *mtasts::MxPattern::parse("*.example.net")};
  policy.fetched_at = at(1'700'000'000);
  entry.policy = policy;
  Failure failed;
  failed.id = "next";
  failed.type = FailureType::WebpkiInvalid;
  failed.detail = "certificate has expired";
  failed.first_at = at(1'700'000'100);
  failed.retry_at = at(1'700'000'400);
  failed.warned_at = at(1'700'000'101);
  failed.count = 3;
  entry.failure = failed;
  entry.txt_checked_at = at(1'700'000'099);
  entry.recheck_at = at(1'700'000'159);
  entry.first_used_at = at(1'600'000'098);
  entry.last_used_at = at(1'700'000'098);
  entry.due_at = at(1'700'000'400);
  entry.no_policy_reason = NoPolicyReason::UnusableRecord;
  entry.no_policy_detail = "more than one MTA-STS record";
  entry.dane_states = {
      {.facts = {dane::Ruling::Applies, at(1'700'000'010), at(1'700'000'020), at(1'700'000'030)},
       .mail = dane::Mail::Secure,
       .hosts = {{"mail.example.com", dane::HostStatus::Usable, at(1'700'000'010)},
                 {"mx.example.net", dane::HostStatus::Unknown, {}}}},
      {.target = {.by_mx = false, .port = 587},
       .facts = {dane::Ruling::Unknown, {}, at(1'700'000'020), at(1'700'000'030)}}};
  return entry;
}

TEST(Record, KeepsEveryField) {
  const Entry entry = full_entry();
  const auto back = decode_entry(encode(entry));
  ASSERT_TRUE(back);
  ASSERT_TRUE(back->policy && back->failure);
  EXPECT_EQ(back->policy->id, entry.policy->id);
  EXPECT_EQ(back->policy->policy, entry.policy->policy);
  EXPECT_EQ(back->policy->fetched_at, entry.policy->fetched_at);
  EXPECT_EQ(back->failure->id, entry.failure->id);
  EXPECT_EQ(back->failure->type, entry.failure->type);
  EXPECT_EQ(back->failure->detail, entry.failure->detail);
  EXPECT_EQ(back->failure->first_at, entry.failure->first_at);
  EXPECT_EQ(back->failure->retry_at, entry.failure->retry_at);
  EXPECT_EQ(back->failure->warned_at, entry.failure->warned_at);
  EXPECT_EQ(back->failure->count, entry.failure->count);
  EXPECT_EQ(back->txt_checked_at, entry.txt_checked_at);
  EXPECT_EQ(back->recheck_at, entry.recheck_at);
  EXPECT_EQ(back->first_used_at, entry.first_used_at);
  EXPECT_EQ(back->last_used_at, entry.last_used_at);
  EXPECT_EQ(back->due_at, entry.due_at);
  EXPECT_EQ(back->no_policy_reason, entry.no_policy_reason);
  EXPECT_EQ(back->no_policy_detail, entry.no_policy_detail);
  EXPECT_EQ(back->dane_states, entry.dane_states);
}

TEST(Record, GivesWhatIsKnownOfDaneByItsTarget) {
  const Entry entry = full_entry();
  const std::string record = encode(entry);
  const auto view = RecordView::decode(record);
  ASSERT_TRUE(view);
  const EntryView in_memory(std::make_shared<const Entry>(entry));
  for (const dane::State& state : entry.dane_states) {
    EXPECT_EQ(view->dane_facts(state.target), state.facts);
    EXPECT_EQ(in_memory.dane_facts(state.target), state.facts);
  }
  EXPECT_EQ(view->dane_facts({.by_mx = true, .port = 587}), dane::Facts{});
  EXPECT_EQ(in_memory.dane_facts({.by_mx = true, .port = 587}), dane::Facts{});
}

TEST(Entry, KeepsTheTargetsThatWereLookedAtLast) {
  Entry entry;
  for (std::uint16_t port = 1; port <= kMaxDaneTargets + 1; ++port) {
    set_dane(entry, {.target = {.port = port}, .facts = {.checked_at = at(100 + port)}});
  }
  EXPECT_EQ(entry.dane_states.size(), kMaxDaneTargets);
  EXPECT_EQ(find_dane(entry, {.port = 1}), nullptr);
  EXPECT_NE(find_dane(entry, {.port = kMaxDaneTargets + 1}), nullptr);
  set_dane(entry, {.target = {.port = 2}, .facts = {.checked_at = at(500)}});
  EXPECT_EQ(entry.dane_states.size(), kMaxDaneTargets);
  EXPECT_EQ(find_dane(entry, {.port = 2})->facts.checked_at, at(500));
}

TEST(Record, TheMostThatCanBeKnownOfDaneFits) {
  Entry entry = full_entry();
  entry.dane_states.clear();
  for (std::uint16_t port = 1; port <= kMaxDaneTargets; ++port) {
    dane::State state{.target = {.port = port}, .facts = {.checked_at = at(1)}};
    state.hosts.assign(dane::kMaxHosts, {std::string(253, 'a'), dane::HostStatus::None, at(1)});
    set_dane(entry, std::move(state));
  }
  const auto back = decode_entry(encode(entry));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->dane_states, entry.dane_states);
}

TEST(Record, HoldsAnEntryWithoutPolicy) {
  Entry entry;
  entry.recheck_at = at(5);
  const auto back = decode_entry(encode(entry));
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->policy);
  EXPECT_FALSE(back->failure);
  EXPECT_EQ(back->recheck_at, at(5));
}

TEST(Record, HoldsYearsWithoutOverflow) {
  Entry entry = full_entry();
  entry.policy->policy.max_age = mtasts::kMaxMaxAge;
  entry.policy->fetched_at = at(4'102'444'800);  // the year 2100
  const auto back = decode_entry(encode(entry));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->policy->expires_at(), at(4'102'444'800 + 31'557'600));
}

TEST(Record, ViewGivesThePatternsInTheirStoredForm) {
  const std::string record = encode(full_entry());
  const auto view = RecordView::decode(record);
  ASSERT_TRUE(view);
  std::vector<std::string_view> patterns;
  view->mx_patterns(patterns);
  EXPECT_EQ(patterns, (std::vector<std::string_view>{"mail.example.com", "*.example.net"}));
}

TEST(Record, AnyDamagedBitIsFound) {
  const std::string record = encode(full_entry());
  for (std::size_t i = 0; i < record.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = record;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_FALSE(RecordView::decode(damaged)) << "byte " << i << " bit " << bit;
    }
  }
}

TEST(Record, AnyMissingByteIsFound) {
  const std::string record = encode(full_entry());
  for (std::size_t size = 0; size < record.size(); ++size) {
    const std::vector<char> exact(record.begin(), record.begin() + static_cast<long>(size));
    EXPECT_FALSE(RecordView::decode({exact.data(), exact.size()})) << size;
  }
}

// Changes one byte and makes the checksum right again: what a wrong program might have written.
std::string with_byte(std::string record, std::size_t offset, char value) {
  record[offset] = value;
  const std::uint64_t sum = XXH3_64bits(record.data() + 8, record.size() - 8);
  for (std::size_t i = 0; i < 8; ++i) {
    record[i] = static_cast<char>(sum >> (8 * i) & 0xff);
  }
  return record;
}

TEST(Record, LengthsThatDoNotFitAreMalformedWhateverTheChecksum) {
  const std::string record = encode(full_entry());
  for (std::size_t offset = 8; offset < record.size(); ++offset) {
    for (const int value : {0x00, 0x01, 0x7f, 0xff}) {
      const std::string changed = with_byte(record, offset, static_cast<char>(value));
      const std::vector<char> exact(changed.begin(), changed.end());
      const auto entry = decode_entry({exact.data(), exact.size()});
      if (entry && entry->policy) {
        for (const auto& pattern : entry->policy->policy.mx) {
          EXPECT_TRUE(mtasts::MxPattern::parse(pattern.str()));
        }
      }
    }
  }
}

TEST(Record, AFormatOfTheFutureIsNotGuessedAt) {
  const auto view = RecordView::decode(with_byte(encode(full_entry()), 8, kRecordFormat + 1));
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error(), RecordError::UnknownFormat);
}

TEST(Record, AnEnforcedPolicyWithoutPatternsIsMalformed) {
  Entry entry = full_entry();
  entry.policy->policy.mx.clear();
  EXPECT_FALSE(RecordView::decode(encode(entry)));
  entry.policy->policy.mode = mtasts::Mode::None;
  EXPECT_TRUE(RecordView::decode(encode(entry)));
}

TEST(Record, APatternThatIsNotInItsOwnFormIsMalformed) {
  const std::string record = encode(full_entry());
  const auto upper = with_byte(record, record.find("mail.example.com"), 'M');
  ASSERT_TRUE(RecordView::decode(upper));
  EXPECT_FALSE(decode_entry(upper));
}

TEST(Record, ADetailIsCutAndALongerOneMalformed) {
  Entry entry = full_entry();
  entry.failure->detail = std::string(kMaxFailureDetail + 56, 'd');
  const std::string record = encode(entry);
  const auto back = decode_entry(record);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->failure->detail, std::string(kMaxFailureDetail, 'd'));

  const std::string id_and_detail = "next" + back->failure->detail;
  const std::size_t detail_size = record.find(id_and_detail) - 2;
  const char longer = static_cast<char>(kMaxFailureDetail + 1);
  EXPECT_FALSE(decode_entry(with_byte(record + "d", detail_size, longer)));
}

TEST(Record, TheDetailOfNoPolicyIsCutAndALongerOneOrAnUnknownReasonMalformed) {
  Entry entry;
  entry.no_policy_reason = NoPolicyReason::DnsFailed;
  entry.no_policy_detail = std::string(kMaxNoPolicyDetail + 55, 'd');
  const std::string record = encode(entry);
  const auto back = decode_entry(record);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->no_policy_detail, std::string(kMaxNoPolicyDetail, 'd'));
  EXPECT_FALSE(
      decode_entry(with_byte(record + "d", 13, static_cast<char>(kMaxNoPolicyDetail + 1))));
  EXPECT_FALSE(decode_entry(with_byte(record, 12, 5)));
}

TEST(EntryView, SaysTheSameOfARecordAndOfAnEntry) {
  const auto entry = std::make_shared<const Entry>(full_entry());
  const std::string record = encode(*entry);
  EntryView in_place(*RecordView::decode(record), record);
  EntryView in_memory(entry);
  for (EntryView* view : {&in_place, &in_memory}) {
    EXPECT_EQ(view->facts().mode, mtasts::Mode::Enforce);
    EXPECT_EQ(view->facts().expires_at(), entry->policy->expires_at());
    EXPECT_EQ(view->due_at(), entry->due_at);
    std::vector<std::string_view> patterns{"what was there before"};
    view->mx_patterns(patterns);
    EXPECT_EQ(patterns, (std::vector<std::string_view>{"mail.example.com", "*.example.net"}));
    EXPECT_EQ(encode(**view->entry()), record);
  }
  EXPECT_EQ(*in_memory.entry(), entry);
}

TEST(Record, ATypicalPolicyIsSmall) {
  EXPECT_LT(encode(full_entry()).size(), 320U);
}

}  // namespace
}  // namespace mtastsd::cache
