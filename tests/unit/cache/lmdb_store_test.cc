#include "mtastsd/cache/lmdb_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <lmdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "fakes/temp_dir.h"
#include "mtastsd/log/log.h"
#include "unit/cache/patterns.h"

namespace mtastsd::cache {
namespace {

constexpr Milliseconds kPatience{20000};

WallTime at(std::int64_t seconds) {
  return WallTime(Seconds(seconds));
}
DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

Entry policy_entry(std::int64_t due, const std::string& id = "a") {
  Entry entry;
  entry.policy = StoredPolicy{
      id,
      {mtasts::Mode::Enforce, Seconds(604800), {*mtasts::MxPattern::parse("mx.example")}},
      at(1000)};
  entry.recheck_at = at(1060);
  entry.due_at = at(due);
  return entry;
}

Entry negative_entry(std::int64_t until) {
  Entry entry;
  entry.recheck_at = at(until);
  return entry;
}

DueRequest due_at(std::int64_t now, std::size_t max) {
  return {at(now), at(now + 864000), max, {}};
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) {
    usleep(5000);
  }
  return condition();
}

class LmdbStoreTest : public testing::Test {
 protected:
  std::unique_ptr<LmdbStore> open(StoreOptions options) {
    options.directory = dir_.path();
    auto store = LmdbStore::open(options, log_);
    EXPECT_TRUE(store) << store.error();
    return std::move(*store);
  }
  std::unique_ptr<LmdbStore> open() { return open(StoreOptions{}); }
  std::string data_file() const { return dir_.path() + "/data.mdb"; }

  static EntryPtr read(Reader& reader, const DomainName& domain) {
    Reader::Snapshot snapshot(reader);
    const auto view = snapshot.find(domain);
    return view ? *view->entry() : nullptr;
  }

  test::TempDir dir_;
  Log log_ = Log::null();
};

TEST_F(LmdbStoreTest, WhatWasPutIsFoundAtOnceAndSurvivesARestart) {
  auto store = open();
  store->put(name("a.example"), policy_entry(5000));
  ASSERT_TRUE(store->find(name("a.example")));
  store.reset();
  store = open();
  const auto entry = store->find(name("a.example"));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->policy->id, "a");
}

TEST_F(LmdbStoreTest, EveryThreadSeesWhatWaitsForItsCommitAtOnce) {
  StoreOptions options;
  options.commit = StoreOptions::Commit::WhenAsked;
  auto store = open(options);
  const auto reader = store->make_reader();
  const DomainName domain = name("a.example");
  const auto seen = [&] {
    std::string id = "none";
    std::thread([&] {
      if (const EntryPtr entry = read(*reader, domain)) {
        id = entry->policy->id;
      }
    }).join();
    return id;
  };
  EXPECT_EQ(seen(), "none");
  store->put(domain, policy_entry(5000, "1"));
  EXPECT_EQ(seen(), "1");
  store->put(domain, policy_entry(5000, "2"));
  EXPECT_EQ(seen(), "2");
  ASSERT_TRUE(store->commit_now());
  EXPECT_EQ(seen(), "2");
  store->put(domain, policy_entry(5000, "3"));
  EXPECT_EQ(seen(), "3");
  store->erase(domain);
  EXPECT_EQ(seen(), "none");
  ASSERT_TRUE(store->commit_now());
  EXPECT_EQ(seen(), "none");
}

TEST_F(LmdbStoreTest, WhileItIsCommittedNoReaderSeesAnOlderRecord) {
  auto store = open();
  const DomainName domain = name("a.example");
  store->put(domain, policy_entry(5000, "0"));
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    const auto reader = store->make_reader();
    int newest = 0;
    while (!done) {
      const EntryPtr entry = read(*reader, domain);
      ASSERT_TRUE(entry);
      const int id = std::stoi(entry->policy->id);
      ASSERT_GE(id, newest);
      newest = id;
    }
  });
  for (int i = 1; i <= 10; ++i) {
    for (int round = 0; round < 100; ++round) {
      store->put(domain, policy_entry(5000, std::to_string(i * 100 + round)));
    }
    ASSERT_TRUE(store->flush(kPatience));
  }
  done = true;
  watcher.join();
}

TEST_F(LmdbStoreTest, CommittedRecordsSurviveAKill) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Log log = Log::null();
    StoreOptions options;
    options.directory = dir_.path();
    auto store = LmdbStore::open(options, log);
    (*store)->put(name("a.example"), policy_entry(5000));
    if (!(*store)->flush(kPatience)) {
      _exit(1);
    }
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(open()->find(name("a.example")));
}

TEST_F(LmdbStoreTest, DueGivesPoliciesWhoseTimeHasCome) {
  auto store = open();
  Entry late = policy_entry(3000);
  late.policy->policy.max_age += Seconds(1);
  store->put(name("late.example"), late);
  store->put(name("early.example"), policy_entry(2000));
  store->put(name("future.example"), policy_entry(9000));
  store->put(name("none.example"), negative_entry(100));
  ASSERT_TRUE(store->flush(kPatience));
  EXPECT_EQ(store->due(due_at(5000, 10)).domains,
            (std::vector<DomainName>{name("early.example"), name("late.example")}));
  EXPECT_EQ(store->due(due_at(5000, 1)).domains, (std::vector<DomainName>{name("early.example")}));

  store->put(name("early.example"), policy_entry(8000));
  ASSERT_TRUE(store->flush(kPatience));
  EXPECT_EQ(store->due(due_at(5000, 10)).domains, (std::vector<DomainName>{name("late.example")}));
}

TEST_F(LmdbStoreTest, DueGivesThoseWithTheLeastOfTheirLifeLeftFirst) {
  auto store = open();
  for (int i = 0; i < 20; ++i) {
    Entry entry = policy_entry(2000);
    entry.policy->policy.max_age = Seconds(100000 - i);
    store->put(name("d" + std::to_string(i) + ".example"), entry);
  }
  const auto soonest = std::vector<DomainName>{name("d19.example"), name("d18.example")};
  EXPECT_EQ(store->due(due_at(5000, 2)).domains, soonest);
  ASSERT_TRUE(store->flush(kPatience));
  EXPECT_EQ(store->due(due_at(5000, 2)).domains, soonest);
  // Some of them wait for their commit.
  Entry soon = policy_entry(4000);
  soon.policy->policy.max_age = Seconds(5000);
  store->put(name("d3.example"), soon);
  EXPECT_EQ(store->due(due_at(5000, 2)).domains,
            (std::vector<DomainName>{name("d3.example"), name("d19.example")}));
}

// A short policy that has just become due can wait; a long one that has waited cannot.
TEST(Due, WhatCountsIsTheFractionThatIsLeft) {
  const auto at = [](int second) { return WallTime(Seconds(second)); };
  EXPECT_DOUBLE_EQ(life_left(at(100), at(200), at(100)), 1);
  EXPECT_DOUBLE_EQ(life_left(at(100), at(200), at(150)), 0.5);
  EXPECT_LT(life_left(at(0), at(1000), at(900)), life_left(at(890), at(930), at(900)));
  EXPECT_DOUBLE_EQ(life_left(at(300), at(200), at(100)), 0) << "a clock that was ahead";
}

TEST(Due, OverdueIsAfterAnEighthOfTheTimeThatThereIsOrAMinute) {
  const auto at = [](int second) { return WallTime(Seconds(second)); };
  EXPECT_FALSE(is_overdue(at(0), at(8000), at(1000)));
  EXPECT_TRUE(is_overdue(at(0), at(8000), at(1001)));
  EXPECT_FALSE(is_overdue(at(0), at(80), at(60)));
  EXPECT_TRUE(is_overdue(at(0), at(80), at(61)));
  EXPECT_FALSE(is_overdue(at(0), at(80), at(80))) << "it has expired";
}

TEST(Failing, AreFirstFetchesRefreshesAndBrokenRecords) {
  Entry entry = policy_entry(1000);
  const WallTime before = at(1000);
  EXPECT_FALSE(is_failing(entry, before));
  EXPECT_TRUE(is_failing(entry, entry.policy->expires_at() - Seconds(1))) << "it is overdue";
  entry.failure = Failure{};
  EXPECT_TRUE(is_failing(entry, before)) << "a refresh";

  Entry none;
  for (const auto& [reason, failing] :
       {std::pair(NoPolicyReason::NoRecord, false), std::pair(NoPolicyReason::DnsFailed, false),
        std::pair(NoPolicyReason::UnusableRecord, true)}) {
    none.no_policy_reason = reason;
    EXPECT_EQ(is_failing(none, before), failing) << static_cast<int>(reason);
  }
  none.no_policy_reason = NoPolicyReason::FetchFailed;
  none.failure = Failure{};
  EXPECT_TRUE(is_failing(none, before)) << "a first fetch";
}

TEST_F(LmdbStoreTest, DueCountsWhatIsOverdueWhetherOrNotItIsBusy) {
  auto store = open();
  store->put(name("a.example"), policy_entry(2000));
  store->put(name("b.example"), policy_entry(4990));
  DueRequest request = due_at(200000, 1);
  request.busy = [](const DomainName&) { return true; };
  EXPECT_EQ(store->due(request).overdue, 2U);
  ASSERT_TRUE(store->flush(kPatience));
  EXPECT_EQ(store->due(request).overdue, 2U);
  request.now = due_at(5000, 1).now;
  EXPECT_EQ(store->due(request).overdue, 0U);
}

TEST_F(LmdbStoreTest, DuePassesOverWhatIsBeingLookedAt) {
  auto store = open();
  for (const char* text : {"a.example", "b.example", "c.example"}) {
    store->put(name(text), policy_entry(2000));
  }
  DueRequest request = due_at(5000, 1);
  request.busy = [](const DomainName& domain) { return domain != name("b.example"); };
  EXPECT_EQ(store->due(request).domains, (std::vector<DomainName>{name("b.example")}));
  ASSERT_TRUE(store->flush(kPatience));
  EXPECT_EQ(store->due(request).domains, (std::vector<DomainName>{name("b.example")}));
}

TEST_F(LmdbStoreTest, DueFindsWhatAClockAheadOfTimePutOff) {
  auto store = open();
  store->put(name("soon.example"), policy_entry(6000));
  store->put(name("never.example"), policy_entry(5000 + 864001));
  const auto put_off = std::vector<DomainName>{name("never.example")};
  EXPECT_EQ(store->due(due_at(5000, 10)).domains, put_off);
  ASSERT_TRUE(store->flush(kPatience));
  EXPECT_EQ(store->due(due_at(5000, 10)).domains, put_off);
}

TEST_F(LmdbStoreTest, NoPolicyResultsAreBoundedAndPoliciesAreNot) {
  StoreOptions options;
  options.max_negative = 10;
  auto store = open(options);
  for (int i = 0; i < 50; ++i) {
    store->put(name("n" + std::to_string(i) + ".example"), negative_entry(1000 + i));
    store->put(name("p" + std::to_string(i) + ".example"), policy_entry(5000));
  }
  ASSERT_TRUE(store->flush(kPatience));
  int negative = 0;
  int policies = 0;
  for (int i = 0; i < 50; ++i) {
    negative += store->find(name("n" + std::to_string(i) + ".example")) ? 1 : 0;
    policies += store->find(name("p" + std::to_string(i) + ".example")) ? 1 : 0;
  }
  EXPECT_EQ(negative, 10);
  EXPECT_EQ(policies, 50);
  // Those that end first go first.
  EXPECT_TRUE(store->find(name("n49.example")));
  EXPECT_FALSE(store->find(name("n0.example")));
}

// Writes into the open file as a wrong program would.
void overwrite(const std::string& dir, const std::string& key, std::string value,
               const char* table = "entries") {
  MDB_env* env = nullptr;
  mdb_env_create(&env);
  mdb_env_set_maxdbs(env, 8);
  ASSERT_EQ(mdb_env_open(env, dir.c_str(), 0, 0640), 0);
  MDB_txn* txn = nullptr;
  ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
  MDB_dbi dbi = 0;
  ASSERT_EQ(mdb_dbi_open(txn, table, 0, &dbi), 0);
  MDB_val k{key.size(), const_cast<char*>(key.data())};
  MDB_val v{value.size(), value.data()};
  ASSERT_EQ(mdb_put(txn, dbi, &k, &v, 0), 0);
  ASSERT_EQ(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
}

TEST_F(LmdbStoreTest, ARecordThatCannotBeReadIsDroppedNotTrusted) {
  {
    auto store = open();
    store->put(name("a.example"), policy_entry(2000));
    store->put(name("b.example"), policy_entry(3000));
    ASSERT_TRUE(store->flush(kPatience));
  }
  overwrite(dir_.path(), "a.example", "rubbish");
  auto store = open();
  EXPECT_FALSE(store->find(name("a.example")));
  EXPECT_TRUE(store->find(name("b.example")));
  // Its place in the schedule does not hold up the others.
  EXPECT_EQ(store->due(due_at(5000, 10)).domains, (std::vector<DomainName>{name("b.example")}));
  ASSERT_TRUE(store->flush(kPatience));
  const auto reader = store->make_reader();
  EXPECT_FALSE(read(*reader, name("a.example")));
}

TEST_F(LmdbStoreTest, ANewerCacheIsRefusedWithAClearMessage) {
  { auto store = open(); }
  const std::uint32_t format = 7;
  overwrite(dir_.path(), "format", std::string(reinterpret_cast<const char*>(&format), 4), "meta");
  StoreOptions options;
  options.directory = dir_.path();
  const auto store = LmdbStore::open(options, log_);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().find("newer mtastsd (cache format 7, this one knows 1)"),
            std::string::npos)
      << store.error();
  EXPECT_TRUE(std::filesystem::exists(data_file()));
}

TEST_F(LmdbStoreTest, ASecondDaemonOnTheSameDirectoryIsRefused) {
  const auto store = open();
  StoreOptions options;
  options.directory = dir_.path();
  const pid_t child = fork();  // LMDB may be opened once in a process
  ASSERT_GE(child, 0);
  if (child == 0) {
    Log log = Log::null();
    const auto second = LmdbStore::open(options, log);
    _exit(!second && second.error().find("in use by another mtastsd") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(LmdbStoreTest, RubbishInPlaceOfTheFileIsSetAside) {
  std::ofstream(data_file()) << std::string(100000, 'x');
  auto store = open();
  EXPECT_TRUE(store->writable());
  store->put(name("a.example"), policy_entry(5000));
  EXPECT_TRUE(store->flush(kPatience));
  EXPECT_TRUE(eventually([&] {
    const std::filesystem::directory_iterator files(dir_.path());
    return std::any_of(begin(files), end(files), [](const auto& file) {
      return file.path().filename().string().starts_with("data.mdb.damaged-");
    });
  }));
}

TEST_F(LmdbStoreTest, AnEmptyFileIsANewCache) {
  std::ofstream(data_file()).flush();
  auto store = open();
  store->put(name("a.example"), policy_entry(5000));
  EXPECT_TRUE(store->flush(kPatience));
}

TEST_F(LmdbStoreTest, ATruncatedFileIsSetAsideInsteadOfCrashing) {
  {
    auto store = open();
    for (int i = 0; i < 500; ++i) {
      store->put(name("p" + std::to_string(i) + ".example"), policy_entry(5000));
    }
    ASSERT_TRUE(store->flush(kPatience));
  }
  std::filesystem::resize_file(data_file(), std::filesystem::file_size(data_file()) / 2);
  auto store = open();
  EXPECT_TRUE(store->writable());
  EXPECT_FALSE(store->find(name("p499.example")));
}

TEST_F(LmdbStoreTest, DamagedPagesAreFoundAtTheStartInsteadOfCrashing) {
  {
    auto store = open();
    for (int i = 0; i < 500; ++i) {
      store->put(name("p" + std::to_string(i) + ".example"), policy_entry(5000));
    }
    ASSERT_TRUE(store->flush(kPatience));
  }
  std::fstream file(data_file(), std::ios::in | std::ios::out | std::ios::binary);
  std::uint32_t noise = 1;
  file.seekp(2 * 4096);  // behind the two meta pages
  for (std::uintmax_t at = 2 * 4096; at < std::filesystem::file_size(data_file()); ++at) {
    noise = noise * 1664525 + 1013904223;
    file.put(static_cast<char>(noise >> 24));
  }
  file.close();
  auto store = open();
  EXPECT_TRUE(store->writable());
  store->put(name("a.example"), policy_entry(5000));
  EXPECT_TRUE(store->flush(kPatience));
}

// A file too large to be looked at for no reason, written by a process that dies.
class LargeCacheTest : public LmdbStoreTest {
 protected:
  template <typename Work>
  void in_a_process_that_dies(Work work) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      StoreOptions options;
      options.directory = dir_.path();
      options.commit = StoreOptions::Commit::WhenAsked;
      auto store = LmdbStore::open(options, log_);
      work(**store);
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  void fill() {
    in_a_process_that_dies([](LmdbStore& store) {
      Entry entry = policy_entry(5000);
      entry.policy->policy.mx = test::patterns(36);
      for (int i = 0; i < 20000; ++i) {
        store.put(name("p" + std::to_string(i) + ".example"), entry);
        if (i % 1000 == 0) {
          store.commit_now();
        }
      }
      store.commit_now();
    });
    ASSERT_GT(std::filesystem::file_size(data_file()), std::uintmax_t{33} << 20);
  }
  void damage_the_middle() {
    std::fstream file(data_file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(data_file()) / 8192 * 4096));
    const std::string noise(64 * 4096, '\x5a');
    file.write(noise.data(), static_cast<std::streamsize>(noise.size()));
  }
  bool was_set_aside() const {
    const std::filesystem::directory_iterator files(dir_.path());
    return std::any_of(begin(files), end(files), [](const auto& file) {
      const std::string name = file.path().filename().string();
      return name.starts_with("data.mdb.damaged-") || name == "data.mdb.salvage";
    });
  }
};

// A start has no time to read a large file for no reason. What a process died of may be one.
TEST_F(LargeCacheTest, IsReadThroughoutWhenProcessesDieInARow) {
  fill();
  damage_the_middle();
  in_a_process_that_dies([](LmdbStore&) {});
  in_a_process_that_dies([](LmdbStore&) {});
  open();
  EXPECT_TRUE(was_set_aside());
}

TEST_F(LargeCacheTest, OpensAtOnceAlsoAfterAKill) {
  fill();
  const auto before = std::chrono::steady_clock::now();
  auto store = open();
  EXPECT_LT(std::chrono::steady_clock::now() - before, Milliseconds(1000));
  EXPECT_FALSE(was_set_aside());
  EXPECT_TRUE(store->find(name("p10000.example")));
}

TEST_F(LmdbStoreTest, ADirectoryThatCannotBeMadeLeavesACacheInMemory) {
  std::ofstream(dir_.path() + "/file").flush();
  StoreOptions options;
  options.directory = dir_.path() + "/file/cache";
  auto store = LmdbStore::open(options, log_);
  ASSERT_TRUE(store) << store.error();
  EXPECT_FALSE((*store)->writable());
  (*store)->put(name("a.example"), policy_entry(5000));
  EXPECT_TRUE((*store)->find(name("a.example")));
  EXPECT_EQ((*store)->pending(), 1U);
}

TEST_F(LmdbStoreTest, WhatIsForgottenStaysSoWhileTooMuchWaits) {
  StoreOptions options;
  options.directory = dir_.path() + "/cache";
  options.commit = StoreOptions::Commit::WhenAsked;
  auto store = std::move(*LmdbStore::open(options, log_));
  store->put(name("forgotten.example"), policy_entry(5000));
  ASSERT_TRUE(store->commit_now());
  store->erase(name("forgotten.example"));
  Entry no_policy;
  no_policy.recheck_at = at(5000);
  constexpr int kMoreThanCanWait = 40000;
  for (int i = 0; i < kMoreThanCanWait; ++i) {
    store->put(name("n" + std::to_string(i) + ".example"), no_policy);
  }
  for (int i = 0; i < kMoreThanCanWait; ++i) {
    store->put(name("p" + std::to_string(i) + ".example"), policy_entry(5000));
  }
  EXPECT_LT(store->pending(), static_cast<std::size_t>(kMoreThanCanWait));
  EXPECT_FALSE(store->find(name("forgotten.example")));
}

class FixedClock final : public Clock {
 public:
  WallTime wall() const override { return at(2000); }
  SteadyTime steady() const override { return {}; }
  Seconds since_boot() const override { return {}; }
};

Entry policy_used_at(std::int64_t time, mtasts::Mode mode = mtasts::Mode::Enforce) {
  Entry entry = policy_entry(9000);
  entry.policy->policy.mode = mode;
  entry.last_used_at = at(time);
  return entry;
}

TEST_F(LmdbStoreTest, AFullCacheGivesUpTheLeastValuableAndStaysWithinItsSize) {
  const FixedClock clock;
  StoreOptions options;
  options.max_size = 1 << 20;
  options.clock = &clock;
  options.commit = StoreOptions::Commit::WhenAsked;
  auto store = open(options);
  const auto count = [&](const std::string& prefix, int to) {
    int found = 0;
    for (int i = 0; i < to; ++i) {
      found += store->find(name(prefix + std::to_string(i) + ".example")) ? 1 : 0;
    }
    return found;
  };
  for (int i = 0; i < 1000; ++i) {
    const std::string number = std::to_string(i) + ".example";
    store->put(name("none" + number), negative_entry(3000 + i));
    store->put(name("testing" + number), policy_used_at(1900, mtasts::Mode::Testing));
    store->put(name("used" + number), policy_used_at(1900));
  }
  ASSERT_TRUE(store->commit_now());
  ASSERT_EQ(store->counters().evicted.value(), 0U);
  for (int i = 0; i < 2800; ++i) {
    store->put(name("new" + std::to_string(i) + ".example"), policy_used_at(1950));
    if (i % 100 == 0) {
      ASSERT_TRUE(store->commit_now());
    }
  }
  ASSERT_TRUE(store->commit_now());
  EXPECT_EQ(count("none", 1000), 0);
  EXPECT_LT(count("testing", 1000), 600);
  EXPECT_EQ(count("used", 1000), 1000);
  EXPECT_EQ(count("new", 2800), 2800);
  EXPECT_LT(std::filesystem::file_size(data_file()), 2U << 20);
  EXPECT_EQ(store->counters().failed_commits.value(), 0U);
}

// Every record of the store, by the number of domains that end so and still have one.
class FullCacheTest : public LmdbStoreTest {
 protected:
  FullCacheTest() {
    StoreOptions options;
    options.max_size = 1 << 20;
    options.clock = &clock_;
    options.commit = StoreOptions::Commit::WhenAsked;
    store_ = open(options);
  }
  void put(const std::string& domain, const Entry& entry) {
    store_->put(name(domain), entry);
    if (++puts_ % 100 == 0) {
      ASSERT_TRUE(store_->commit_now());
    }
  }
  int left(const std::string& before, int to, const std::string& behind) {
    int found = 0;
    for (int i = 0; i < to; ++i) {
      found += store_->find(name(before + std::to_string(i) + behind)) ? 1 : 0;
    }
    return found;
  }
  static Entry in_regular_use(std::int64_t time) {
    Entry entry = policy_used_at(time);
    entry.first_used_at = at(time - 86400);
    return entry;
  }

  const FixedClock clock_;
  std::unique_ptr<LmdbStore> store_;
  int puts_ = 0;
};

TEST_F(FullCacheTest, AnOwnerWithManyDomainsPushesOutHisOwn) {
  for (int i = 0; i < 500; ++i) {
    put("mail.d" + std::to_string(i) + ".example", policy_used_at(1000));
  }
  for (int i = 0; i < 10000; ++i) {
    put("d" + std::to_string(i) + ".flood.example", policy_used_at(2000));
  }
  ASSERT_TRUE(store_->commit_now());
  EXPECT_GT(store_->counters().evicted.value(), 5000U);
  EXPECT_EQ(left("mail.d", 500, ".example"), 500) << "although each was used before his";
}

TEST_F(FullCacheTest, ALargePolicyCountsByItsBytes) {
  for (int i = 0; i < 500; ++i) {
    put("d" + std::to_string(i) + ".example", policy_used_at(1000));
  }
  Entry large = policy_used_at(2000);
  large.policy->policy.mx = test::patterns(1400);
  for (int i = 0; i < 75; ++i) {
    put("d" + std::to_string(i) + ".flood.example", large);
  }
  ASSERT_TRUE(store_->commit_now());
  EXPECT_EQ(left("d", 500, ".example"), 500);
}

TEST_F(FullCacheTest, WhatMailCameForOnceNeverPushesOutWhatIsInRegularUse) {
  for (int i = 0; i < 500; ++i) {
    put("d" + std::to_string(i) + ".example", in_regular_use(1000));
    put("d" + std::to_string(i) + ".large-owner.example", in_regular_use(1000));
  }
  for (int i = 0; i < 10000; ++i) {
    put("once" + std::to_string(i) + ".example", policy_used_at(2000));
  }
  ASSERT_TRUE(store_->commit_now());
  EXPECT_EQ(left("d", 500, ".example"), 500);
  EXPECT_EQ(left("d", 500, ".large-owner.example"), 500);
  EXPECT_GT(left("once", 10000, ".example"), 500);
}

TEST_F(FullCacheTest, WhereAllIsInRegularUseTheOwnerWithMostGivesUp) {
  for (int i = 0; i < 500; ++i) {
    put("d" + std::to_string(i) + ".example", in_regular_use(1000));
  }
  for (int i = 0; i < 10000; ++i) {
    put("d" + std::to_string(i) + ".flood.example", in_regular_use(2000));
  }
  ASSERT_TRUE(store_->commit_now());
  EXPECT_EQ(left("d", 500, ".example"), 500);
}

TEST_F(FullCacheTest, AnExpiredPolicyIsKeptUntilRoomIsNeeded) {
  Entry expired = policy_used_at(2000);
  expired.no_policy_reason = NoPolicyReason::FetchFailed;
  for (int i = 0; i < 100; ++i) {
    put("expired" + std::to_string(i) + ".example", expired);
  }
  ASSERT_TRUE(store_->commit_now());
  EXPECT_EQ(left("expired", 100, ".example"), 100);
  for (int i = 0; i < 5000; ++i) {
    put("d" + std::to_string(i) + ".flood.example", policy_used_at(2000));
  }
  ASSERT_TRUE(store_->commit_now());
  EXPECT_EQ(left("expired", 100, ".example"), 0);
}

// LMDB does not write pages that came and went within one transaction.
TEST_F(LmdbStoreTest, ACacheThatEvictsALotIsNotTakenForDamagedAtARestart) {
  StoreOptions options;
  options.max_negative = 1000;
  options.commit = StoreOptions::Commit::WhenAsked;
  int number = 0;
  for (int session = 0; session < 12; ++session) {
    auto store = open(options);
    if (session == 0) {
      store->put(name("kept.example"), policy_entry(9000));
    }
    for (int i = 0; i < 500; ++i) {
      ++number;
      store->put(name("n" + std::to_string(number) + ".example"), negative_entry(3000 + number));
    }
    ASSERT_TRUE(store->commit_now());
    ASSERT_TRUE(store->find(name("kept.example"))) << "session " << session;
  }
}

TEST_F(LmdbStoreTest, AKeyLeftOverInTheIndexTakesNoPolicyAlong) {
  StoreOptions options;
  options.max_negative = 10;
  options.commit = StoreOptions::Commit::WhenAsked;
  {
    auto store = open(options);
    store->put(name("a.example"), negative_entry(100));
    ASSERT_TRUE(store->commit_now());
  }
  overwrite(dir_.path(), "a.example", "rubbish");
  auto store = open(options);
  store->put(name("a.example"), policy_entry(9000));
  for (int i = 0; i < 50; ++i) {
    store->put(name("n" + std::to_string(i) + ".example"), negative_entry(3000 + i));
  }
  ASSERT_TRUE(store->commit_now());
  const auto reader = store->make_reader();
  EXPECT_TRUE(read(*reader, name("a.example")));
}

TEST_F(LmdbStoreTest, AKeyOfTheIndexThatIsTooShortIsDropped) {
  StoreOptions options;
  options.max_negative = 1;
  options.commit = StoreOptions::Commit::WhenAsked;
  open(options).reset();
  overwrite(dir_.path(), std::string(1, '\0'), "", "negative");
  auto store = open(options);
  store->put(name("a.example"), negative_entry(3000));
  EXPECT_TRUE(store->commit_now());
  EXPECT_EQ(store->totals().negatives, 1U);
  EXPECT_TRUE(store->find(name("a.example")));
}

TEST_F(LmdbStoreTest, WhatWaitsForACommitComesUpAsDueToo) {
  StoreOptions options;
  options.commit = StoreOptions::Commit::WhenAsked;
  auto store = open(options);
  store->put(name("committed.example"), policy_entry(2000));
  ASSERT_TRUE(store->commit_now());
  store->put(name("waiting.example"), policy_entry(2000));
  store->put(name("committed.example"), policy_entry(9000));
  EXPECT_EQ(store->due(due_at(5000, 10)).domains,
            (std::vector<DomainName>{name("waiting.example")}));
}

TEST_F(LmdbStoreTest, ManyLargePoliciesDoNotFillTheMapInOneGo) {
  StoreOptions options;
  options.max_size = 4 << 20;
  options.commit = StoreOptions::Commit::WhenAsked;
  auto store = open(options);
  for (int i = 0; i < 1000; ++i) {
    Entry entry = policy_entry(9000);
    entry.policy->policy.mx = test::patterns(1400);
    store->put(name("p" + std::to_string(i) + ".example"), entry);
  }
  EXPECT_TRUE(store->commit_now());
  EXPECT_EQ(store->counters().failed_commits.value(), 0U);
}

TEST_F(LmdbStoreTest, ALowerMaxSizeIsReachedAndCommitsGoOn) {
  StoreOptions options;
  options.commit = StoreOptions::Commit::WhenAsked;
  options.max_size = std::size_t{64} << 20;
  Entry entry = policy_entry(9000);
  entry.policy->policy.mx = test::patterns(1400);
  auto store = open(options);
  for (int i = 0; i < 700; ++i) {
    store->put(name("p" + std::to_string(i) + ".example"), entry);
    if (i % 50 == 0) {
      ASSERT_TRUE(store->commit_now());
    }
  }
  ASSERT_TRUE(store->commit_now());
  store.reset();
  options.max_size = 1 << 20;
  store = open(options);
  store->put(name("new.example"), policy_entry(9000));
  EXPECT_TRUE(store->commit_now());
  EXPECT_LE(store->totals().used_bytes, options.max_size);
  EXPECT_EQ(store->counters().failed_commits.value(), 0U);
}

TEST_F(LmdbStoreTest, PagesGiveEveryEntryCommittedOrNot) {
  StoreOptions options;
  options.commit = StoreOptions::Commit::WhenAsked;
  auto store = open(options);
  const auto reader = store->make_reader();
  EXPECT_TRUE(reader->page("").entries.empty());
  for (int i = 0; i < 5000; ++i) {
    store->put(name("d" + std::to_string(10000 + i) + ".example"), policy_entry(5000));
  }
  ASSERT_TRUE(store->commit_now());
  store->put(name("d10007.example"), policy_entry(5000, "newer"));
  store->put(name("a.example"), policy_entry(5000));
  store->put(name("z.example"), policy_entry(5000));
  store->erase(name("d14999.example"));
  std::vector<std::string> names;
  std::string newer;
  std::string after;
  do {
    const Reader::Page page = reader->page(after);
    for (const auto& [domain, entry] : page.entries) {
      names.push_back(domain.str());
      newer += entry->policy->id == "newer" ? domain.str() : "";
    }
    after = page.last;
  } while (!after.empty());
  EXPECT_EQ(names.size(), 5001U);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_EQ(names.front(), "a.example");
  EXPECT_EQ(names.back(), "z.example");
  EXPECT_EQ(newer, "d10007.example");
}

}  // namespace
}  // namespace mtastsd::cache
