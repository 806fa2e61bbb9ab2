#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/cache/totals.h"

namespace mtastsd::cache {

class LmdbEnv;
class Txn;

// Reads a cache directory from another process than the daemon's, which may be running and
// writing: what it sees is what is committed. It changes nothing, holds the daemon up nowhere, and
// pins old pages only for the moment in which it copies some records. One at a time in a process,
// and none beside an LmdbStore of the same directory.
class CacheView {
 public:
  enum class Problem { NoCache, NotReadable, Newer, Damaged };
  struct OpenError {
    Problem problem;
    std::string message;  // one sentence, with what to do
  };
  static Result<std::unique_ptr<CacheView>, OpenError> open(const std::string& directory);
  ~CacheView();
  CacheView(const CacheView&) = delete;
  CacheView& operator=(const CacheView&) = delete;

  // Its record (for decode_entry), empty if there is none.
  Result<std::string, std::string> find(const DomainName& domain) const;

  // Its history (for decode_history), empty if there is none.
  Result<std::string, std::string> history(const DomainName& domain) const;

  // Every record, by name, in constant memory; returns early when `visit` returns false. A record
  // that is written meanwhile is seen before or after, never half.
  using Visit = std::function<bool(std::string_view domain, std::string_view record)>;
  Result<void, std::string> each(const Visit& visit) const;

  Result<CacheTotals, std::string> totals() const;

 private:
  CacheView(std::string directory, std::unique_ptr<LmdbEnv> env);
  Result<Txn, std::string> begin() const;
  std::string sentence(int rc) const;

  const std::string directory_;
  const std::unique_ptr<LmdbEnv> env_;
};

}  // namespace mtastsd::cache
