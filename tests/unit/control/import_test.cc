#include "mtastsd/control/import.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "mtastsd/control/entry_json.h"

namespace mtastsd::control {
namespace {

using nlohmann::json;

constexpr char kText[] =
    "version: STSv1\r\nmode: enforce\r\nmx: *.example.com\r\nmax_age: 1000\r\n";

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(1700000000 + seconds));
}

cache::Entry entry_fetched(std::int64_t seconds) {
  cache::Entry entry;
  entry.policy = cache::StoredPolicy{"abc", *mtasts::parse_policy(kText), at(seconds)};
  entry.txt_checked_at = at(seconds + 1);
  entry.recheck_at = at(seconds + 60);
  entry.last_used_at = at(seconds + 2);
  entry.due_at = at(seconds + 500);
  return entry;
}

cache::EntryPtr shared(cache::Entry entry) {
  return std::make_shared<const cache::Entry>(std::move(entry));
}

TEST(ImportEntry, KeepsTheLifeThatIsLeft) {
  cache::Entry offered = entry_fetched(0);
  offered.failure = cache::Failure{"abc", cache::FailureType::FetchError, "x", at(5), at(600)};
  const auto entry = import_entry(nullptr, offered, at(100));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->policy->expires_at(), at(1000));
  EXPECT_EQ(entry->policy->policy, *mtasts::parse_policy(kText));
  EXPECT_EQ(entry->recheck_at, at(100)) << "the next query has the record looked at";
  EXPECT_EQ(entry->due_at, at(500));
  EXPECT_EQ(entry->last_used_at, at(2));
  EXPECT_FALSE(entry->failure) << "another machine's trouble";
}

TEST(ImportEntry, NeverOverwritesANewerPolicy) {
  EXPECT_EQ(import_entry(shared(entry_fetched(10)), entry_fetched(9), at(100)).error().why,
            ImportResult::Newer);
  EXPECT_EQ(import_entry(shared(entry_fetched(10)), entry_fetched(10), at(100)).error().why,
            ImportResult::Newer);
  EXPECT_TRUE(import_entry(shared(entry_fetched(10)), entry_fetched(11), at(100)));
  // What is over, or says that there is none, is no newer policy.
  EXPECT_TRUE(import_entry(shared(entry_fetched(-2000)), entry_fetched(0), at(100)));
  EXPECT_TRUE(import_entry(shared(cache::Entry{}), entry_fetched(0), at(100)));
}

TEST(ImportEntry, RefusesWhatHasExpired) {
  EXPECT_TRUE(import_entry(nullptr, entry_fetched(0), at(999)));
  EXPECT_EQ(import_entry(nullptr, entry_fetched(0), at(1000)).error().why, ImportResult::Expired);
}

TEST(ImportEntry, ATimeInTheFutureGivesNoLongerLife) {
  EXPECT_EQ(import_entry(nullptr, entry_fetched(0), at(-301)).error().why, ImportResult::Invalid);
  const auto entry = import_entry(nullptr, entry_fetched(0), at(-299));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->policy->fetched_at, at(-299));
  EXPECT_EQ(entry->last_used_at, at(-299));
  EXPECT_EQ(import_entry(nullptr, cache::Entry{}, at(0)).error().why, ImportResult::Invalid);
}

TEST(ImportEntry, WhatIsMissingMeansNow) {
  cache::Entry offered = entry_fetched(0);
  offered.last_used_at = offered.due_at = WallTime{};
  const auto entry = import_entry(nullptr, offered, at(100));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->last_used_at, at(100));
  EXPECT_EQ(entry->due_at, at(100));
}

TEST(EntryJson, ComesBackAsItWas) {
  cache::Entry entry = entry_fetched(0);
  entry.failure =
      cache::Failure{"def", cache::FailureType::WebpkiInvalid, "expired", at(5), at(6), at(7), 3};
  const auto line = to_json("example.com", entry);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto read = entry_from_json(line);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->first.view(), "example.com");
  EXPECT_EQ(cache::encode(read->second), cache::encode(entry));

  cache::Entry dark;
  dark.no_policy_reason = cache::NoPolicyReason::DnsFailed;
  dark.no_policy_detail = "SERVFAIL";
  const auto without = entry_from_json(to_json("example.com", dark));
  ASSERT_TRUE(without);
  EXPECT_EQ(cache::encode(without->second), cache::encode(dark));

  const auto none = entry_from_json(to_json("example.com", cache::Entry{}));
  ASSERT_TRUE(none);
  EXPECT_EQ(cache::encode(none->second), cache::encode(cache::Entry{}));
}

TEST(EntryJson, TheTextOfThePolicyCounts) {
  json record = json::parse(to_json("example.com", entry_fetched(0)));
  record["policy"]["mode"] = "none";
  record["policy"]["mx"] = {"elsewhere.example"};
  record["policy"]["max_age"] = 31557600;
  const auto read = entry_from_json(record.dump());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->second.policy->policy, *mtasts::parse_policy(kText));
}

TEST(EntryJson, WithoutATextTheFieldsCount) {
  const cache::Entry entry = entry_fetched(0);
  json record = json::parse(to_json("example.com", entry));
  record["policy"]["text"] = "";
  const auto read = entry_from_json(record.dump());
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(cache::encode(read->second), cache::encode(entry));
  record["policy"]["mx"] = 5;
  EXPECT_FALSE(entry_from_json(record.dump()));
}

TEST(EntryJson, SaysWhatIsWrong) {
  const json good = json::parse(to_json("example.com", entry_fetched(0)));
  const auto changed = [&good](const char* path, const json& value) {
    json record = good;
    record[json::json_pointer(path)] = value;
    const auto read = entry_from_json(record.dump());
    return read ? "nothing" : read.error();
  };
  EXPECT_EQ(changed("/policy/id", "a b"), "has a policy.id that is not one of RFC 8461");
  EXPECT_EQ(changed("/policy/id", "a; id=b"), "has a policy.id that is not one of RFC 8461");
  EXPECT_EQ(changed("/policy/id", ""), "has a policy.id that is not one of RFC 8461");
  EXPECT_EQ(changed("/policy/id", 5), "lacks policy.id, policy.text or policy.fetched_at");
  EXPECT_EQ(changed("/policy/fetched_at", "yesterday"),
            "lacks policy.id, policy.text or policy.fetched_at");
  EXPECT_EQ(changed("/policy/fetched_at", "2026-01-01T00:00:00Z and more"),
            "lacks policy.id, policy.text or policy.fetched_at");
  EXPECT_EQ(changed("/domain", "example..com"), "has no \"domain\" that is a domain name");
  EXPECT_EQ(changed("/domain", nullptr), "has no \"domain\" that is a domain name");
  EXPECT_NE(changed("/policy/text", "mode: enforce").find("is not a policy of RFC 8461"),
            std::string::npos);
  EXPECT_EQ(changed("/policy/text", std::string(70000, 'x')),
            "has a policy.text that is longer than a policy may be");
  EXPECT_EQ(entry_from_json("[]").error(), "is not a JSON object");
  EXPECT_EQ(entry_from_json("rubbish").error(), "is not a JSON object");
}

TEST(EntryJson, IsASCIIWhateverBytesThereAre) {
  cache::Entry entry;
  entry.failure = cache::Failure{"a", cache::FailureType::FetchError, "x\xff\n\u202e\x1b"};
  const std::string line = to_json("example.com", entry);
  EXPECT_NE(line.find(R"("detail":"x\ufffd\n\u202e\u001b")"), std::string::npos) << line;
}

}  // namespace
}  // namespace mtastsd::control
