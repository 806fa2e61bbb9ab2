#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {

// Which policies the refresher has to look at.
struct DueRequest {
  WallTime now{};       // those whose due_at has come
  WallTime farthest{};  // and those due after this: only a clock that was ahead can have set that
  std::size_t max = 0;
  std::function<bool(const DomainName&)>
      busy;  // true: skipped, it is being worked on; may be empty
};

struct Due {
  std::vector<DomainName>
      domains;  // at most DueRequest::max, those with the least life_left() first
  // Policies in force that is_overdue(), whether or not they are being worked on.
  std::size_t overdue = 0;
};

// Of the time between due_at and the end of a policy, the fraction that is left.
double life_left(WallTime due_at, WallTime expires_at, WallTime now);

// A refresh that has not come about in an eighth of the time that there is for it, or in a minute.
inline constexpr Seconds kOverdueAfter{60};
bool is_overdue(WallTime due_at, WallTime expires_at, WallTime now);

// Whether a policy that should be there cannot be had or renewed: a fetch failed, be it the first
// one or a refresh, the record cannot be used, or a refresh is overdue.
bool is_failing(const Entry& entry, WallTime now);

// Some of the entries, in the order of their names.
struct Page {
  std::vector<std::pair<DomainName, EntryPtr>> entries;
  std::string last;  // to be given to the next call; empty: there are no more
};

// The cache as the resolver uses it, from its own thread. Never blocks on the disk: put() and
// erase() take effect for every reader at once and are committed behind the caller's back.
class Store {
 public:
  virtual ~Store() = default;

  // Null: nothing is known.
  virtual EntryPtr find(const DomainName& domain) = 0;
  virtual void put(const DomainName& domain, Entry entry) = 0;
  virtual void erase(const DomainName& domain) = 0;

  virtual Due due(const DueRequest& request) = 0;

  // Those behind `after`, empty for the first page. Copies some megabytes at most.
  virtual Page page(const std::string& after) = 0;
};

}  // namespace mtastsd::cache
