// Any bytes can be read as a data file: run with sanitizers.

#include "lmdb/pages.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "fakes/temp_dir.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/log/log.h"
#include "unit/cache/patterns.h"

namespace mtastsd::cache {
namespace {

constexpr Milliseconds kLong{60000};
constexpr std::size_t kPage = 4096;

class PagesTest : public testing::Test {
 protected:
  PagesTest() {
    Log log = Log::null();
    StoreOptions options;
    options.directory = dir_.path();
    options.commit = StoreOptions::Commit::WhenAsked;
    auto store = std::move(*LmdbStore::open(options, log));
    for (int i = 0; i < kEntries; ++i) {
      Entry entry;
      entry.policy = StoredPolicy{
          "1",
          // Some on pages of their own.
          {mtasts::Mode::Enforce, Seconds(604800), test::patterns(i % 100 == 0 ? 200 : 2)},
          WallTime(Seconds(1'700'000'000))};
      store->put(*DomainName::parse("d" + std::to_string(i) + ".example"), std::move(entry));
    }
    EXPECT_TRUE(store->commit_now());
    store.reset();
    std::ifstream in(file_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }
  void write(const std::string& bytes) { std::ofstream(file_, std::ios::binary) << bytes; }
  int salvaged() {
    int count = 0;
    salvage_records(file_, "entries", SteadyTime::max(),
                    [&](std::string_view, std::string_view record) {
                      count += RecordView::decode(record) ? 1 : 0;
                      return true;
                    });
    return count;
  }

  static constexpr int kEntries = 1000;
  test::TempDir dir_;
  const std::string file_ = dir_.path() + "/data.mdb";
  std::string bytes_;
};

TEST_F(PagesTest, ASoundFileIsSoundAndReadThroughout) {
  EXPECT_EQ(examine(file_, kLong), Examined::Sound);
  EXPECT_EQ(salvaged(), kEntries);
}

TEST_F(PagesTest, AFileThatIsNotThereOrEmptyIsMissing) {
  EXPECT_EQ(examine(dir_.path() + "/other", kLong), Examined::Missing);
  write("");
  EXPECT_EQ(examine(file_, kLong), Examined::Missing);
  EXPECT_EQ(salvaged(), 0);
}

TEST_F(PagesTest, EachPageThatIsInUseIsMissedAndCostsOnlyWhatStoodOnIt) {
  int damaged = 0;
  for (std::size_t at = 2 * kPage; at < bytes_.size(); at += kPage) {
    std::string bytes = bytes_;
    bytes.replace(at, kPage, kPage, '\x5a');
    write(bytes);
    damaged += examine(file_, kLong) == Examined::Damaged ? 1 : 0;
    EXPECT_GE(salvaged(), kEntries - 60) << "page " << at / kPage;
  }
  EXPECT_GT(damaged, 60);
}

TEST_F(PagesTest, AFileThatLostItsEndIsDamaged) {
  for (const std::size_t pages : {1, 2, 3, 10, 30}) {
    write(bytes_.substr(0, pages * kPage));
    EXPECT_EQ(examine(file_, kLong), Examined::Damaged) << pages;
    salvaged();
  }
}

TEST_F(PagesTest, AnyBytesCanBeRead) {
  std::minstd_rand random(8461);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = bytes_;
    for (std::uint64_t changes = random() % 200; changes > 0; --changes) {
      // Mostly in the heads of pages and the nodes' offsets.
      const std::size_t page = random() % (bytes.size() / kPage);
      const std::size_t offset = random() % (random() % 4 == 0 ? kPage : 64);
      bytes[page * kPage + offset] = static_cast<char>(random() >> 8);
    }
    bytes.resize(bytes.size() - random() % (random() % 3 == 0 ? bytes.size() : 1));
    write(bytes);
    examine(file_, kLong);
    EXPECT_LE(salvaged(), 3 * kEntries);
  }
}

}  // namespace
}  // namespace mtastsd::cache
