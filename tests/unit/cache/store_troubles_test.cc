// What becomes of the cache when its file, its directory or its disk fails.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fakes/temp_dir.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/log/log.h"
#include "unit/cache/patterns.h"

namespace {
std::atomic<bool> meta_pages_fail{false};
std::atomic<bool> disk_is_full{false};
constexpr off64_t kRoom = 32 * 4096;  // for each file then
}  // namespace

// LMDB writes through this one. The first two pages of its file are the meta pages.
extern "C" ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  if (meta_pages_fail && offset < 2 * 4096) {
    errno = EIO;
    return -1;
  }
  if (disk_is_full && offset + static_cast<off64_t>(size) > kRoom) {
    errno = ENOSPC;
    return -1;
  }
  return ::syscall(SYS_pwrite64, fd, data, size, offset);
}
extern "C" ssize_t writev(int fd, const iovec* parts, int count) {
  if (disk_is_full && ::lseek(fd, 0, SEEK_CUR) + count * 4096 > kRoom) {
    errno = ENOSPC;
    return -1;
  }
  return ::syscall(SYS_writev, fd, parts, count);
}
extern "C" ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return pwrite64(fd, data, size, offset);
}

namespace mtastsd::cache {
namespace {

namespace fs = std::filesystem;

constexpr Milliseconds kPatience{10000};
constexpr std::size_t kPage = 4096;  // of LMDB's file
constexpr unsigned kBranch = 0x01;
constexpr unsigned kLeaf = 0x02;
const WallTime kNow = std::chrono::floor<Seconds>(std::chrono::system_clock::now());

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

DomainName numbered(int number) {
  return name("p" + std::to_string(number) + ".example");
}

Entry policy_entry() {
  Entry entry;
  entry.policy =
      StoredPolicy{"1", {mtasts::Mode::Enforce, Seconds(604800), test::patterns(4)}, kNow};
  entry.recheck_at = kNow + Seconds(60);
  entry.due_at = kNow + Seconds(80000);
  return entry;
}

Entry negative_entry() {
  Entry entry;
  entry.recheck_at = kNow + Seconds(600);
  return entry;
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) {
      return true;
    }
    usleep(5000);
  }
  return false;
}

class StoreTroubles : public testing::Test {
 protected:
  std::string cache() const { return dir_.path() + "/cache"; }
  std::string data_file() const { return cache() + "/data.mdb"; }

  std::unique_ptr<LmdbStore> open(bool writer = true) {
    StoreOptions options;
    options.directory = cache();
    options.look_after_spacing = Milliseconds(20);
    options.commit = writer ? StoreOptions::Commit::InBackground : StoreOptions::Commit::WhenAsked;
    auto store = LmdbStore::open(options, log_);
    EXPECT_TRUE(store) << store.error();
    return std::move(*store);
  }

  void fill(int count) {
    auto store = open();
    for (int i = 0; i < count; ++i) {
      store->put(numbered(i), policy_entry());
    }
    ASSERT_TRUE(store->flush(kPatience));
  }

  static bool reads(Reader& reader, const DomainName& domain) {
    Reader::Snapshot snapshot(reader);
    return snapshot.find(domain).has_value();
  }

  // Rubbish in place of each page that `chosen` takes by its flags and the part that is in use: one
  // byte throughout, or noise.
  void overwrite_pages(const std::function<bool(unsigned, std::string_view)>& chosen,
                       bool noise = true) {
    std::minstd_rand random(1);
    std::ifstream in(data_file(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    for (std::size_t at = 2 * kPage; at < bytes.size(); at += kPage) {
      // What LMDB calls mp_flags and mp_upper: below the latter is what the page held before.
      const auto flags = static_cast<unsigned char>(bytes[at + 10]);
      const auto upper = static_cast<unsigned char>(bytes[at + 14]) |
                         static_cast<unsigned char>(bytes[at + 15]) << 8;
      const std::string_view used = std::string_view(bytes).substr(at, kPage).substr(
          std::min<std::size_t>(static_cast<std::size_t>(upper), kPage));
      if (chosen(flags, used)) {
        std::generate_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), kPage,
                        [&] { return static_cast<char>(noise ? random() >> 8 : 0xee); });
      }
    }
    std::ofstream(data_file(), std::ios::binary) << bytes;
  }
  void overwrite_pages_with(const std::string& text, bool noise) {
    overwrite_pages(
        [&](unsigned flags, std::string_view used) {
          return (flags & kLeaf) != 0 && used.find(text) != std::string_view::npos;
        },
        noise);
  }

  bool set_aside() const {
    return std::any_of(fs::directory_iterator(cache()), {}, [](const auto& file) {
      return file.path().filename().string().find(".damaged-") != std::string::npos;
    });
  }

  test::TempDir dir_;
  Log log_ = Log::null();
};

class DamagedPage : public StoreTroubles, public testing::WithParamInterface<bool> {};

TEST_P(DamagedPage, CostsNoMoreThanWhatStoodOnIt) {
  fill(500);
  overwrite_pages_with("p250.example", GetParam());
  auto store = open();
  EXPECT_TRUE(store->writable());
  ASSERT_TRUE(eventually([&] { return set_aside(); }));  // all of it has been read
  ASSERT_TRUE(store->flush(kPatience));
  int found = 0;
  for (int i = 0; i < 500; ++i) {
    found += store->find(numbered(i)) ? 1 : 0;
  }
  EXPECT_FALSE(store->find(numbered(250)));
  EXPECT_TRUE(store->find(numbered(0)));
  EXPECT_TRUE(store->find(numbered(499)));
  EXPECT_GT(found, 470);
  // They are refreshed like any other.
  EXPECT_EQ(store->due({kNow + Seconds(90000), kNow + Seconds(9000000), 1000, {}}).domains.size(),
            static_cast<std::size_t>(found));
}

INSTANTIATE_TEST_SUITE_P(Of, DamagedPage, testing::Bool(),
                         [](const auto& which) { return which.param ? "Noise" : "OneByte"; });

TEST_F(StoreTroubles, ADirectoryThatCanBeHadLaterIsUsedThen) {
  std::ofstream(cache()) << "in the way";
  auto store = open();
  auto reader = store->make_reader();
  EXPECT_FALSE(store->writable());
  store->put(numbered(1), policy_entry());
  EXPECT_TRUE(store->find(numbered(1)));
  EXPECT_TRUE(reads(*reader, numbered(1)));
  EXPECT_EQ(store->pending(), 1U);

  fs::remove(cache());
  ASSERT_TRUE(eventually([&] { return store->pending() == 0; }));
  EXPECT_TRUE(store->writable());
  EXPECT_TRUE(reads(*reader, numbered(1)));
  reader.reset();
  store.reset();
  EXPECT_TRUE(open()->find(numbered(1)));
}

TEST_F(StoreTroubles, AStopDoesNotWaitForADirectoryThatCannotBeHad) {
  std::ofstream(cache()) << "in the way";
  auto store = open();
  store->put(numbered(1), policy_entry());
  const auto before = std::chrono::steady_clock::now();
  store.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - before, Milliseconds(3000));
}

// LMDB's place of pages is learnt from the file: the newest meta page leads to the tables.
TEST_F(StoreTroubles, RecordsBehindALostBranchAreKept) {
  constexpr int kPolicies = 5000;
  fill(kPolicies);
  overwrite_pages([](unsigned flags, std::string_view) { return (flags & kBranch) != 0; });
  auto store = open();
  for (int i = 0; i < kPolicies; ++i) {
    ASSERT_TRUE(eventually([&] { return store->find(numbered(i)) != nullptr; })) << i;
  }
}

TEST_F(StoreTroubles, RecordsAreKeptWithoutTheMetaPages) {
  fill(500);
  {
    std::fstream file(data_file(), std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(2 * kPage, '\x5a');
  }
  auto store = open();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(store->find(numbered(i))) << i;
  }
}

TEST_F(StoreTroubles, WhatIsNewerThanTheDamagedFileWins) {
  fill(100);
  overwrite_pages_with("p50.example", true);
  auto store = open(false);
  Entry newer = policy_entry();
  newer.policy->id = "2";
  store->put(numbered(0), newer);
  store->erase(numbered(1));
  ASSERT_TRUE(store->commit_now());
  EXPECT_EQ(store->find(numbered(0))->policy->id, "2");
  EXPECT_FALSE(store->find(numbered(1)));
  EXPECT_EQ(store->find(numbered(2))->policy->id, "1");
}

class NotesOfADamagedFile : public StoreTroubles {
 protected:
  void write(const std::vector<LmdbStore::Note>& notes) { ASSERT_TRUE(open()->write_notes(notes)); }
  static std::string value_of(const LmdbStore& store, const std::string& key) {
    for (const LmdbStore::Note& note : store.notes()) {
      if (note.key == key) {
        return note.value;
      }
    }
    return "";
  }
};

TEST_F(NotesOfADamagedFile, AreKeptAndTakenOverOnce) {
  fill(500);
  write({{"a", "1 one"}, {"b", "1 two"}, {"c", "1 removed"}});
  write({{"a", "2 one"}, {"c", ""}});
  overwrite_pages_with("p250.example", true);
  auto store = open(false);
  EXPECT_EQ(value_of(*store, "a"), "2 one");
  EXPECT_EQ(value_of(*store, "b"), "1 two");
  EXPECT_EQ(store->notes().size(), 2U);

  // The repair is not over yet: what is decided now must not be undone by the next start.
  ASSERT_TRUE(store->write_notes({{"a", ""}}));
  store.reset();
  ASSERT_TRUE(fs::exists(cache() + "/data.mdb.salvage"));
  store = open();
  EXPECT_EQ(value_of(*store, "a"), "");
  EXPECT_EQ(value_of(*store, "b"), "1 two");
}

TEST_F(NotesOfADamagedFile, AreTheLatestWhereTheirTableIsLost) {
  fill(500);
  write({{"a", "1 one"}, {"b", "1 two"}});
  write({{"a", "2 one"}});
  {
    std::fstream file(data_file(), std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(2 * kPage, '\x5a');
  }
  auto store = open();
  EXPECT_EQ(value_of(*store, "a"), "2 one");
  EXPECT_EQ(value_of(*store, "b"), "1 two");
}

TEST_F(StoreTroubles, ARepairThatWasInterruptedIsTakenUpAgain) {
  fill(100);
  overwrite_pages_with("p50.example", true);
  open(false).reset();  // nothing is committed
  EXPECT_TRUE(fs::exists(cache() + "/data.mdb.salvage"));
  auto store = open();
  EXPECT_TRUE(store->find(numbered(0)));
  EXPECT_TRUE(eventually([&] { return set_aside(); }));
  EXPECT_FALSE(fs::exists(cache() + "/data.mdb.salvage"));
}

TEST_F(StoreTroubles, AFileThatIsFoundDamagedLaterIsRepairedToo) {
  fill(100);
  overwrite_pages_with("p50.example", true);
  fs::rename(cache(), dir_.path() + "/damaged");
  std::ofstream(cache()) << "in the way";
  auto store = open();
  EXPECT_FALSE(store->writable());
  fs::remove(cache());
  fs::rename(dir_.path() + "/damaged", cache());
  ASSERT_TRUE(eventually([&] { return set_aside(); }));
  EXPECT_TRUE(store->find(numbered(0)));
}

TEST_F(StoreTroubles, ADamagedFileThatCannotBeReadIsTriedAgain) {
  fill(100);
  fs::rename(data_file(), dir_.path() + "/damaged");
  fs::create_directory(cache() + "/data.mdb.salvage");
  auto store = open();
  EXPECT_FALSE(set_aside());
  fs::remove(cache() + "/data.mdb.salvage");
  fs::rename(dir_.path() + "/damaged", cache() + "/data.mdb.salvage");
  ASSERT_TRUE(eventually([&] { return set_aside(); }));
  EXPECT_TRUE(store->find(numbered(0)));
}

TEST_F(StoreTroubles, AStopDoesNotWaitForARepair) {
  constexpr int kMoreThanCanWait = 20000;
  fill(kMoreThanCanWait);
  overwrite_pages_with("p50.example", true);
  disk_is_full = true;
  auto store = open();
  EXPECT_TRUE(store->find(numbered(kMoreThanCanWait - 1)) || store->find(numbered(0)));
  const auto before = std::chrono::steady_clock::now();
  store.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - before, Milliseconds(3000));
  disk_is_full = false;
  store = open();
  for (const int number : {0, 10000, kMoreThanCanWait - 1}) {
    EXPECT_TRUE(eventually([&] { return store->find(numbered(number)) != nullptr; })) << number;
  }
}

class DeletedFile : public StoreTroubles, public testing::WithParamInterface<bool> {};

TEST_P(DeletedFile, IsReadAndWrittenUntilTheStop) {
  fill(500);
  auto store = open();
  auto reader = store->make_reader();
  EXPECT_TRUE(reads(*reader, numbered(1)));
  const bool whole_directory = GetParam();
  whole_directory ? fs::remove_all(cache()) : fs::remove(data_file());
  usleep(50'000);  // it is looked after meanwhile
  store->put(numbered(1000), policy_entry());
  ASSERT_TRUE(store->flush(kPatience));
  for (const int number : {0, 1, 499, 1000}) {
    EXPECT_TRUE(reads(*reader, numbered(number))) << number;
  }
  EXPECT_EQ(reader->page("").entries.size(), 501U);
}

INSTANTIATE_TEST_SUITE_P(Of, DeletedFile, testing::Bool(), [](const auto& which) {
  return which.param ? "AWholeDirectory" : "TheDataFile";
});

// To so many parts of a hundred of what it was.
class FileCutShort : public StoreTroubles, public testing::WithParamInterface<int> {
 protected:
  void cut() {
    fs::resize_file(data_file(), fs::file_size(data_file()) / kPage * GetParam() / 100 * kPage);
  }
  void expect_the_rest_after_a_start() {
    auto store = open();
    EXPECT_TRUE(store->writable());
    EXPECT_TRUE(eventually([&] { return set_aside(); }));  // all of it has been read
    int found = 0;
    for (int i = 0; i < kPolicies; ++i) {
      found += store->find(numbered(i)) ? 1 : 0;
    }
    EXPECT_GE(found, kPolicies * (GetParam() - 10) / 100);
    EXPECT_LT(found, kPolicies);
  }
  static constexpr int kPolicies = 2000;
};

TEST_P(FileCutShort, EndsAReaderAndTheNextStartKeepsTheRest) {
  fill(kPolicies);
  EXPECT_EXIT(
      {
        auto store = open(false);
        auto reader = store->make_reader();
        cut();
        for (int i = 0; i < kPolicies; ++i) {
          reads(*reader, numbered(i));
        }
        _exit(0);
      },
      testing::ExitedWithCode(kDamagedExit), "the next start keeps every record");
  expect_the_rest_after_a_start();
}

TEST_P(FileCutShort, EndsTheWriterAndTheNextStartKeepsTheRest) {
  fill(kPolicies);
  EXPECT_EXIT(
      {
        auto store = open();
        cut();
        store->put(numbered(0), policy_entry());
        store->flush(kPatience);
        _exit(0);
      },
      testing::ExitedWithCode(kDamagedExit), "");
  expect_the_rest_after_a_start();
}

TEST_P(FileCutShort, IsFoundOutWhenNobodyReads) {
  fill(kPolicies);
  EXPECT_EXIT(
      {
        auto store = open();
        cut();
        sleep(20);
        _exit(0);
      },
      testing::ExitedWithCode(kDamagedExit), "");
}

INSTANTIATE_TEST_SUITE_P(To, FileCutShort, testing::Values(0, 10, 50, 90),
                         [](const auto& part) { return std::to_string(part.param); });

TEST_F(StoreTroubles, AMarkOfDamageWithoutAFileIsForgotten) {
  fill(1);
  fs::remove(data_file());
  std::ofstream(cache() + "/mtastsd.lock") << "D";
  EXPECT_TRUE(open()->writable());
  fill(1);
  EXPECT_TRUE(open()->find(numbered(0)));
  EXPECT_FALSE(set_aside());
}

TEST_F(StoreTroubles, AFileThatSomebodyPutInItsPlaceIsLeftAlone) {
  fill(10);
  auto store = open();
  fs::rename(data_file(), cache() + "/kept");
  std::ofstream(data_file()) << "a backup";
  usleep(100'000);
  store->put(numbered(10), policy_entry());
  EXPECT_TRUE(store->flush(kPatience));
  EXPECT_TRUE(store->find(numbered(3)));
  std::string there(8, ' ');
  std::ifstream(data_file()).read(there.data(), 8);
  EXPECT_EQ(there, "a backup");
}

TEST_F(StoreTroubles, NoPolicyFoundOutBlindlyReplacesNone) {
  fill(1);
  auto store = open(false);
  {
    // Takes all places of readers: LMDB cannot read any more.
    std::vector<std::unique_ptr<Reader>> readers;
    for (int i = 0; i < 300; ++i) {
      readers.push_back(store->make_reader());
      reads(*readers.back(), numbered(0));
    }
    EXPECT_FALSE(store->find(numbered(0)));
    store->put(numbered(0), negative_entry());
  }
  ASSERT_TRUE(store->commit_now());
  const auto entry = store->find(numbered(0));
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->policy);
  // A newer policy does, and so does the end of it.
  Entry newer = policy_entry();
  newer.policy->id = "2";
  store->put(numbered(0), newer);
  ASSERT_TRUE(store->commit_now());
  EXPECT_EQ(store->find(numbered(0))->policy->id, "2");
  store->erase(numbered(0));
  ASSERT_TRUE(store->commit_now());
  EXPECT_FALSE(store->find(numbered(0)));
}

TEST_F(StoreTroubles, NoPolicyFoundOutWithoutTheDirectoryReplacesNone) {
  fill(1);
  fs::rename(cache(), dir_.path() + "/elsewhere");
  std::ofstream(cache()) << "in the way";
  auto store = open();
  EXPECT_FALSE(store->find(numbered(0)));
  store->put(numbered(0), negative_entry());
  fs::remove(cache());
  fs::rename(dir_.path() + "/elsewhere", cache());
  ASSERT_TRUE(eventually([&] { return store->pending() == 0; }));
  const auto entry = store->find(numbered(0));
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->policy);
}

TEST_F(StoreTroubles, NoPolicyFoundOutBeforeARepairReplacesNone) {
  fill(100);
  fs::rename(data_file(), dir_.path() + "/damaged");
  fs::create_directory(cache() + "/data.mdb.salvage");
  auto store = open();
  Entry negative = negative_entry();
  negative.txt_checked_at = kNow;
  store->put(numbered(0), negative);
  ASSERT_TRUE(store->flush(kPatience));
  fs::remove(cache() + "/data.mdb.salvage");
  fs::rename(dir_.path() + "/damaged", cache() + "/data.mdb.salvage");
  ASSERT_TRUE(eventually([&] { return set_aside(); }));
  store->put(numbered(1), negative);
  ASSERT_TRUE(store->flush(kPatience));
  EXPECT_TRUE(store->find(numbered(0))->policy);
  EXPECT_TRUE(store->find(numbered(1))->policy);
}

TEST_F(StoreTroubles, ADiskThatFailsEndsTheProcessAndTheNextStartUsesTheFile) {
  fill(10);
  EXPECT_EXIT(
      {
        auto store = open();
        meta_pages_fail = true;
        for (int i = 10; i < 1000; ++i) {
          store->put(numbered(i), policy_entry());
          store->flush(kPatience);
          sleep(1);
        }
        _exit(0);
      },
      testing::ExitedWithCode(kDamagedExit), "");
  auto store = open();
  EXPECT_TRUE(store->find(numbered(3)));
  EXPECT_FALSE(set_aside());
}

}  // namespace
}  // namespace mtastsd::cache
