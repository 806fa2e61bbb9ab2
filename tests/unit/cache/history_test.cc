#include "mtastsd/cache/history.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "fakes/temp_dir.h"
#include "mtastsd/cache/cache_view.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/log/log.h"

namespace mtastsd::cache {
namespace {

using mtasts::Mode;

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(seconds));
}

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

Entry entry(const std::string& id, std::int64_t fetched_at, const std::vector<std::string>& mx,
            Mode mode = Mode::Enforce) {
  Entry entry;
  entry.policy = StoredPolicy{id, {mode, Seconds(604800), {}}, at(fetched_at)};
  for (const std::string& one : mx) {
    entry.policy->policy.mx.push_back(*mtasts::MxPattern::parse(one));
  }
  entry.recheck_at = at(fetched_at + 60);
  entry.due_at = at(fetched_at + 86400);
  return entry;
}

Entry failed(Entry entry, std::uint16_t count, FailureType type = FailureType::FetchError) {
  entry.failure = Failure{.id = "x", .type = type, .detail = "no answer", .count = count};
  return entry;
}

// --- pure
// ---------------------------------------------------------------------------------------

TEST(History, APolicyThatNeverChangedHasNone) {
  History history;
  const Entry first = entry("1", 1000, {"mx.example"});
  EXPECT_FALSE(note_change(history, nullptr, first, 5, at(1000)));
  const Entry again = entry("1", 90000, {"mx.example"});
  EXPECT_FALSE(note_change(history, &first, again, 5, at(90000)));
  EXPECT_TRUE(history.empty());
  const History shown = complete(history, &again);
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown[0].id, "1");
  EXPECT_EQ(shown[0].last_at, at(90000));
  EXPECT_EQ(shown[0].first_at, WallTime{}) << "nobody noted it";
}

TEST(History, AnotherPolicyIsAVersion) {
  History history;
  const Entry first = entry("1", 1000, {"mx.example"});
  const Entry second = entry("2", 2000, {"mx.example", "b.example"});
  const Entry third = entry("2", 3000, {"b.example"}, Mode::Testing);
  EXPECT_TRUE(note_change(history, &first, second, 5, at(2000)));
  EXPECT_TRUE(note_change(history, &second, third, 5, at(3000)));
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(history[2].last_at, at(1000));
  EXPECT_EQ(history[1].first_at, at(2000));
  EXPECT_EQ(history[1].last_at, at(2000));
  EXPECT_EQ(history[0].first_at, at(3000));
  const VersionChange to_second = change_between(history[2], history[1]);
  EXPECT_FALSE(to_second.drifted);
  EXPECT_FALSE(to_second.weaker);
  EXPECT_TRUE(to_second.mx_changed);
  const VersionChange to_third = change_between(history[1], history[0]);
  EXPECT_TRUE(to_third.drifted) << "body drift under one id";
  EXPECT_TRUE(to_third.weaker);
  EXPECT_TRUE(to_third.mx_changed);
}

TEST(History, TheOrderOfMxHostsIsNoChange) {
  PolicyVersion one;
  one.policy = entry("1", 1, {"a.example", "b.example"}).policy->policy;
  PolicyVersion other;
  other.policy = entry("1", 1, {"b.example", "a.example"}).policy->policy;
  EXPECT_FALSE(change_between(one, other).mx_changed);
}

TEST(History, FetchesThatFailAreCountedForTheVersionInForce) {
  History history;
  const Entry good = entry("1", 1000, {"mx.example"});
  const Entry once = failed(good, 1);
  const Entry thrice = failed(good, 3, FailureType::WebpkiInvalid);
  EXPECT_TRUE(note_change(history, &good, once, 5, at(2000)));
  EXPECT_FALSE(note_change(history, &once, once, 5, at(2500))) << "only a use was noted";
  EXPECT_TRUE(note_change(history, &once, thrice, 5, at(3000)));
  ASSERT_EQ(history.size(), 1U);
  EXPECT_EQ(history[0].failures, 3U);
  EXPECT_EQ(history[0].last_failure->type, FailureType::WebpkiInvalid);
  EXPECT_EQ(history[0].failed_at, at(3000));
  // It is well again, and then another version comes.
  const Entry well = entry("1", 4000, {"mx.example"});
  EXPECT_FALSE(note_change(history, &thrice, well, 5, at(4000)));
  EXPECT_EQ(complete(history, &well)[0].last_at, at(4000));
  EXPECT_TRUE(note_change(history, &well, entry("2", 5000, {"mx.example"}), 5, at(5000)));
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[1].failures, 3U);
  EXPECT_EQ(history[1].last_at, at(4000));
}

TEST(History, AFirstFetchThatFailsIsNoVersion) {
  History history;
  Entry nothing;
  nothing.no_policy_reason = NoPolicyReason::FetchFailed;
  EXPECT_FALSE(note_change(history, nullptr, failed(nothing, 1), 5, at(1)));
}

TEST(History, AVersionThatComesBackAfterATimeWithoutIsNoted) {
  History history;
  note_change(history, nullptr, entry("1", 1, {"a.example"}), 5, at(1));
  const Entry one = entry("1", 1, {"a.example"});
  const Entry two = entry("2", 2, {"b.example"});
  note_change(history, &one, two, 5, at(2));
  Entry nothing;
  EXPECT_FALSE(note_change(history, &nothing, two, 5, at(3)));
  EXPECT_TRUE(note_change(history, &nothing, entry("3", 4, {"c.example"}), 5, at(4)));
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(history[0].id, "3");
}

TEST(History, IsBoundedInVersionsAndBytes) {
  History history;
  for (int i = 1; i < 20; ++i) {
    const Entry before = entry(std::to_string(i), i, {"a.example"});
    note_change(history, &before, entry(std::to_string(i + 1), i + 1, {"a.example"}), 3, at(i));
  }
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(history[0].id, "20");
  EXPECT_FALSE(note_change(history, nullptr, entry("9", 9, {"a.example"}), 0, at(9)))
      << "none kept";

  std::vector<std::string> many;
  for (int i = 0; i < 2000; ++i) {
    many.push_back("mail" + std::to_string(i) + ".a-long-name-of-a-domain.example");
  }
  History large;
  const Entry small = entry("1", 1, {"a.example"});
  const Entry big = entry("2", 2, many);
  note_change(large, &small, big, 5, at(2));
  const std::string text = encode_history(large);
  EXPECT_LE(text.size(), kMaxHistoryBytes);
  const History read = decode_history(text);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].policy.mx.size() + read[0].mx_left_out, 2000U);
  EXPECT_EQ(read[1].policy.mx.size(), 1U);
  EXPECT_TRUE(is_version_of(read[0], *big.policy));
  EXPECT_TRUE(change_between(read[1], read[0]).mx_changed);
}

TEST(History, ComesBackAsItWas) {
  History history;
  const Entry first = entry("1", 1000, {"*.mail.example"});
  const Entry second = entry("2", 2000, {"mx.example"}, Mode::None);
  note_change(history, &first, second, 5, at(2000));
  note_change(history, &second, failed(second, 2), 5, at(3000));
  const History read = decode_history(encode_history(history));
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].policy, second.policy->policy);
  EXPECT_EQ(read[0].failures, 1U);
  EXPECT_EQ(read[0].last_failure->detail, "no answer");
  EXPECT_EQ(read[0].failed_at, at(3000));
  EXPECT_EQ(read[1].policy, first.policy->policy);
  EXPECT_EQ(read[1].last_at, at(1000));
  for (const char* rubbish : {"", "x", "{}", "[1]", "[{}]", "[{\"id\":1}]", "\x80"}) {
    EXPECT_TRUE(decode_history(rubbish).empty()) << rubbish;
  }
}

// --- in the file
// --------------------------------------------------------------------------------

class StoredHistory : public testing::Test {
 protected:
  StoredHistory() { open({}); }
  void open(StoreOptions options) {
    store_.reset();
    options.directory = dir_.path();
    auto opened = LmdbStore::open(options, log_);
    ASSERT_TRUE(opened) << opened.error();
    store_ = std::move(*opened);
  }
  void put(const std::string& domain, const Entry& entry) {
    store_->put(name(domain), entry);
    ASSERT_TRUE(store_->flush(Milliseconds(20000)));
  }
  std::size_t versions(const std::string& domain) const {
    return decode_history(store_->history(name(domain))).size();
  }
  void change(const std::string& domain) {
    put(domain, entry("1", 1000, {"mx.example"}));
    put(domain, entry("2", 2000, {"b.example"}));
  }

  test::TempDir dir_;
  Log log_ = Log::null();
  std::unique_ptr<LmdbStore> store_;
};

TEST_F(StoredHistory, IsKeptAcrossRestartsAndReadByAnotherProcess) {
  change("a.example");
  EXPECT_EQ(versions("a.example"), 2U);
  EXPECT_EQ(versions("b.example"), 0U);
  open({});
  EXPECT_EQ(versions("a.example"), 2U);
  store_.reset();
  const auto view = CacheView::open(dir_.path());
  ASSERT_TRUE(view);
  EXPECT_EQ(decode_history(*(*view)->history(name("a.example"))).size(), 2U);
}

TEST_F(StoredHistory, GoesWithItsDomain) {
  change("a.example");
  change("b.example");
  store_->erase(name("a.example"));
  ASSERT_TRUE(store_->flush(Milliseconds(20000)));
  EXPECT_EQ(versions("a.example"), 0U);
  EXPECT_EQ(versions("b.example"), 2U);
  // As a "no policy" result it is still there, until that has to make room.
  Entry nothing;
  nothing.recheck_at = at(5000);
  put("b.example", nothing);
  EXPECT_EQ(versions("b.example"), 2U);
  open({.max_negative = 0});
  put("c.example", nothing);
  EXPECT_EQ(store_->find(name("b.example")), nullptr);
  EXPECT_EQ(versions("b.example"), 0U);
}

TEST_F(StoredHistory, CountsForTheSizeOfTheFileAndMakesRoom) {
  open({.max_size = std::size_t{1} << 20});
  for (int i = 0; i < 1500; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    store_->put(name(domain), entry("1", 1000, {"a-first-host-of-it." + domain}));
    if (i % 100 == 99) {
      ASSERT_TRUE(store_->flush(Milliseconds(20000)));
    }
  }
  for (int i = 0; i < 1500; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    store_->put(name(domain), entry("2", 2000, {"another-host-of-it." + domain}));
    if (i % 100 == 99) {
      ASSERT_TRUE(store_->flush(Milliseconds(20000)));
    }
  }
  EXPECT_LE(store_->totals().used_bytes, std::size_t{1} << 20);
  EXPECT_GT(store_->counters().evicted.value(), 0U);
  std::size_t without = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    if (!store_->find(name(domain))) {
      ++without;
      EXPECT_EQ(versions(domain), 0U) << domain;
    }
  }
  EXPECT_GT(without, 0U);
}

TEST_F(StoredHistory, NoneIsKeptWhereTheOperatorWantsNone) {
  open({.versions = 0});
  change("a.example");
  EXPECT_EQ(versions("a.example"), 0U);
}

}  // namespace
}  // namespace mtastsd::cache
