#include "mtastsd/cache/cache_view.h"

#include <gtest/gtest.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "fakes/temp_dir.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/cache/lmdb_store.h"
#include "mtastsd/log/log.h"

namespace mtastsd::cache {
namespace {

constexpr Milliseconds kPatience{20000};
constexpr uid_t kNobody = 65534;

DomainName name(const std::string& text) {
  return *DomainName::parse(text);
}

Entry policy_entry(const std::string& id = "a") {
  Entry entry;
  entry.policy = StoredPolicy{
      id,
      {mtasts::Mode::Enforce, Seconds(604800), {*mtasts::MxPattern::parse("mx.example")}},
      WallTime(Seconds(1000))};
  entry.due_at = WallTime(Seconds(5000));
  return entry;
}

// LMDB wants an environment opened once in a process, so what writes has one of its own.
int in_child(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(work());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void fill(const std::string& directory, std::size_t policies, std::size_t negatives) {
  ASSERT_EQ(in_child([&] {
              Log log = Log::null();
              auto store = LmdbStore::open({directory}, log);
              for (std::size_t i = 0; i < policies; ++i) {
                (*store)->put(name("p" + std::to_string(i) + ".example"), policy_entry());
              }
              for (std::size_t i = 0; i < negatives; ++i) {
                (*store)->put(name("n" + std::to_string(i) + ".example"), Entry{});
              }
              return (*store)->flush(kPatience) ? 0 : 1;
            }),
            0);
}

std::vector<std::string> names_in(const CacheView& view) {
  std::vector<std::string> names;
  EXPECT_TRUE(view.each([&](std::string_view domain, std::string_view record) {
    EXPECT_TRUE(RecordView::decode(record)) << domain;
    names.emplace_back(domain);
    return true;
  }));
  return names;
}

class CacheViewTest : public testing::Test {
 protected:
  std::unique_ptr<CacheView> open() const {
    auto view = CacheView::open(dir_.path());
    EXPECT_TRUE(view) << view.error().message;
    return std::move(*view);
  }
  CacheView::Problem problem() const {
    const auto view = CacheView::open(dir_.path());
    EXPECT_FALSE(view);
    EXPECT_NE(view.error().message.find(dir_.path()), std::string::npos) << view.error().message;
    return view.error().problem;
  }

  test::TempDir dir_;
};

TEST_F(CacheViewTest, EveryRecordByNameOverManyPages) {
  fill(dir_.path(), 7000, 30);
  const auto view = open();
  const std::vector<std::string> names = names_in(*view);
  EXPECT_EQ(names.size(), 7030u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());

  std::size_t seen = 0;
  EXPECT_TRUE(view->each([&](std::string_view, std::string_view) { return ++seen < 3000; }));
  EXPECT_EQ(seen, 3000u);

  const auto entry = decode_entry(*view->find(name("p6999.example")));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->policy->id, "a");
  EXPECT_EQ(*view->find(name("other.example")), "");

  const auto totals = view->totals();
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->entries, 7030u);
  EXPECT_EQ(totals->policies, 7000u);
  EXPECT_EQ(totals->negatives, 30u);
  EXPECT_GT(totals->used_bytes, 7000u * 60);
  EXPECT_GT(totals->map_bytes, totals->used_bytes);
}

TEST_F(CacheViewTest, ReadsWhatADaemonCommitsMeanwhile) {
  std::array<int, 2> to_daemon{};
  std::array<int, 2> from_daemon{};
  ASSERT_EQ(pipe(to_daemon.data()), 0);
  ASSERT_EQ(pipe(from_daemon.data()), 0);
  const pid_t daemon = fork();
  if (daemon == 0) {
    Log log = Log::null();
    auto store = LmdbStore::open({dir_.path()}, log);
    char byte = 0;
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 500; ++i) {
        (*store)->put(name("d" + std::to_string(i) + ".example"),
                      policy_entry(std::to_string(round)));
      }
      const bool flushed = (*store)->flush(kPatience);
      if (!flushed || write(from_daemon[1], "x", 1) != 1 || read(to_daemon[0], &byte, 1) != 1) {
        _exit(1);
      }
    }
    store->reset();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(from_daemon[0], &byte, 1), 1);
  const auto view = open();
  for (int round = 0; round < 3; ++round) {
    const auto entry = decode_entry(*view->find(name("d7.example")));
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->policy->id, std::to_string(round));
    EXPECT_EQ(names_in(*view).size(), 500u);
    ASSERT_EQ(write(to_daemon[1], "x", 1), 1);
    if (round < 2) {
      ASSERT_EQ(read(from_daemon[0], &byte, 1), 1);
    }
  }
  int status = 0;
  waitpid(daemon, &status, 0);
  EXPECT_EQ(status, 0);
}

// A reader that stays in LMDB's table keeps the daemon from using old pages again.
TEST_F(CacheViewTest, HoldsNoOldPagesWhileTheVisitorTakesItsTime) {
  fill(dir_.path(), 3000, 0);
  const auto view = open();
  bool checked = false;
  EXPECT_TRUE(view->each([&](std::string_view, std::string_view) {
    if (!checked) {
      checked = true;
      EXPECT_EQ(in_child([&] {
                  MDB_env* env = nullptr;
                  if (mdb_env_create(&env) != 0 ||
                      mdb_env_open(env, dir_.path().c_str(), MDB_RDONLY | MDB_NOTLS, 0640) != 0) {
                    return 1;
                  }
                  std::string table;
                  mdb_reader_list(
                      env,
                      [](const char* line, void* to) {
                        *static_cast<std::string*>(to) += line;
                        return 0;
                      },
                      &table);
                  return table.find("no active readers") != std::string::npos ? 0 : 2;
                }),
                0);
    }
    return true;
  }));
  EXPECT_TRUE(checked);
}

TEST_F(CacheViewTest, SaysWhatIsWrong) {
  EXPECT_EQ(problem(), CacheView::Problem::NoCache);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  EXPECT_EQ(CacheView::open("/nonexistent/cache").error().problem, CacheView::Problem::NoCache);

  std::ofstream(dir_.path() + "/data.mdb") << std::string(20000, 'x');
  EXPECT_EQ(problem(), CacheView::Problem::Damaged);
  std::filesystem::remove(dir_.path() + "/data.mdb");
  std::filesystem::remove(dir_.path() + "/lock.mdb");

  fill(dir_.path(), 1, 0);
  ASSERT_EQ(in_child([&] {
              MDB_env* env = nullptr;
              MDB_txn* txn = nullptr;
              MDB_dbi meta = 0;
              std::uint32_t format = 7;
              MDB_val key{6, const_cast<char*>("format")};
              MDB_val value{sizeof(format), &format};
              mdb_env_create(&env);
              mdb_env_set_maxdbs(env, 8);
              return mdb_env_open(env, dir_.path().c_str(), 0, 0640) == 0 &&
                             mdb_txn_begin(env, nullptr, 0, &txn) == 0 &&
                             mdb_dbi_open(txn, "meta", 0, &meta) == 0 &&
                             mdb_put(txn, meta, &key, &value, 0) == 0 && mdb_txn_commit(txn) == 0
                         ? 0
                         : 1;
            }),
            0);
  EXPECT_EQ(problem(), CacheView::Problem::Newer);
}

TEST_F(CacheViewTest, NeverReadsWithoutTheTableOfReaders) {
  fill(dir_.path(), 1, 0);
  std::filesystem::permissions(dir_.path(), std::filesystem::perms(0755));
  ASSERT_EQ(chmod((dir_.path() + "/data.mdb").c_str(), 0644), 0);
  ASSERT_EQ(chmod((dir_.path() + "/lock.mdb").c_str(), 0444), 0);
  EXPECT_EQ(in_child([&] {
              if (geteuid() == 0 && setuid(kNobody) != 0) {
                return 1;
              }
              const auto view = CacheView::open(dir_.path());
              return !view && view.error().problem == CacheView::Problem::NotReadable ? 0 : 2;
            }),
            0);
}

TEST_F(CacheViewTest, WhatRootMakesBelongsToTheOwnerOfTheDirectory) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  ASSERT_EQ(chown(dir_.path().c_str(), kNobody, kNobody), 0);
  fill(dir_.path(), 1, 0);
  ASSERT_EQ(unlink((dir_.path() + "/lock.mdb").c_str()), 0);
  open();
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(dir_.path())) {
    struct stat info {};
    ASSERT_EQ(stat(file.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, kNobody) << file.path();
    ++files;
  }
  EXPECT_EQ(files, 3u);
}

}  // namespace
}  // namespace mtastsd::cache
