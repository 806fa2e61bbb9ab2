#include "mtastsd/cache/cache_view.h"

#include <lmdb.h>

#include <utility>
#include <vector>

#include "lmdb/damage.h"
#include "lmdb/env.h"
#include "lmdb/tables.h"

namespace mtastsd::cache {
namespace {

constexpr int kToolExit = 2;  // mtastsctl(1): it could not find out

// What one transaction copies: some milliseconds.
constexpr std::size_t kPageRecords = 2000;
constexpr std::size_t kPageBytes = std::size_t{4} << 20;

struct Record {
  std::string domain;
  std::string bytes;
};

CacheView::OpenError explain(const std::string& directory, LmdbEnv::OpenError error) {
  using Problem = CacheView::Problem;
  switch (error.problem) {
    case LmdbEnv::OpenProblem::Missing:
      return {Problem::NoCache, "there is no cache in " + directory +
                                    ": start mtastsd with it, or name its configuration by "
                                    "--config"};
    case LmdbEnv::OpenProblem::NotWritable:
      return {Problem::NotReadable, "the cache in " + directory +
                                        " cannot be read by this user: run as root or as the user "
                                        "that mtastsd runs as"};
    case LmdbEnv::OpenProblem::Newer:
      return {Problem::Newer, std::move(error.message)};
    case LmdbEnv::OpenProblem::Damaged:
    case LmdbEnv::OpenProblem::Busy:
    case LmdbEnv::OpenProblem::Other:
      break;
  }
  return {Problem::Damaged,
          error.message + ": restart mtastsd, which keeps every record that can still be read"};
}

}  // namespace

CacheView::CacheView(std::string directory, std::unique_ptr<LmdbEnv> env)
    : directory_(std::move(directory)), env_(std::move(env)) {}
CacheView::~CacheView() = default;

Result<std::unique_ptr<CacheView>, CacheView::OpenError> CacheView::open(
    const std::string& directory) {
  // LMDB reads from the file as soon as it opens it.
  end_on_lost_page("mtastsctl: the cache in " + directory +
                       " was truncated or cannot be read any more: restart mtastsd, which keeps "
                       "every record that can still be read.",
                   -1, kToolExit);
  auto env = LmdbEnv::open(directory, 0, LmdbEnv::Access::Beside);
  if (!env) {
    return failure(explain(directory, std::move(env.error())));
  }
  return std::unique_ptr<CacheView>(new CacheView(directory, std::move(*env)));
}

std::string CacheView::sentence(int rc) const {
  return "the cache in " + directory_ + " cannot be read: " + mdb_strerror(rc);
}

Result<Txn, std::string> CacheView::begin() const {
  auto txn = Txn::begin(env_->env(), MDB_RDONLY);
  // A daemon that was started anew with a larger [cache] max_size has a larger map.
  if (!txn && txn.error() == MDB_MAP_RESIZED && mdb_env_set_mapsize(env_->env(), 0) == 0) {
    txn = Txn::begin(env_->env(), MDB_RDONLY);
  }
  return std::move(txn).map_error([this](int rc) { return sentence(rc); });
}

Result<std::string, std::string> CacheView::find(const DomainName& domain) const {
  return begin().and_then([&](const Txn& txn) -> Result<std::string, std::string> {
    MDB_val key = to_val(domain.view());
    MDB_val value{};
    const int rc = mdb_get(txn.get(), env_->entries(), &key, &value);
    if (rc != 0 && rc != MDB_NOTFOUND) {
      return failure(sentence(rc));
    }
    return std::string(from_val(value));
  });
}

Result<std::string, std::string> CacheView::history(const DomainName& domain) const {
  return begin().map([&](const Txn& txn) { return read_history(*env_, txn.get(), domain); });
}

Result<void, std::string> CacheView::each(const Visit& visit) const {
  std::vector<Record> page;
  do {
    const std::string after = page.empty() ? std::string() : std::move(page.back().domain);
    page.clear();
    const auto copy = [&, bytes = std::size_t{0}](std::string_view key,
                                                  std::string_view record) mutable {
      page.push_back({std::string(key), std::string(record)});
      bytes += record.size();
      return page.size() < kPageRecords && bytes < kPageBytes;
    };
    const auto read = begin().and_then([&](const Txn& txn) -> Result<void, std::string> {
      const int rc = each_record(txn.get(), env_->entries(), after, copy);
      return rc == 0 ? Result<void, std::string>() : failure(sentence(rc));
    });
    if (!read) {
      return read;
    }
    for (const Record& record : page) {
      if (!visit(record.domain, record.bytes)) {
        return {};
      }
    }
  } while (!page.empty());
  return {};
}

Result<CacheTotals, std::string> CacheView::totals() const {
  return begin().map([this](const Txn& txn) { return env_->totals(txn.get()); });
}

}  // namespace mtastsd::cache
