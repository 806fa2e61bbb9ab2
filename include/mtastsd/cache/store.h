#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {

// Which policies the refresher has to look at.
struct DueRequest {
  WallTime now{};       // those whose due_at has come
  WallTime farthest{};  // and those due after this: a clock ahead of time has set that
  std::size_t max = 0;
  std::function<bool(const DomainName&)> busy;  // looked at already: passed over; may be empty
};

// The cache as the resolver uses it, from its own thread. Never blocks on the disk: put() and
// erase() take effect for find() at once and are committed behind the caller's back.
class Store {
 public:
  virtual ~Store() = default;

  virtual std::optional<Entry> find(const DomainName& domain) = 0;
  virtual void put(const DomainName& domain, const Entry& entry) = 0;
  virtual void erase(const DomainName& domain) = 0;

  // At most `max`, the policies that end soonest first.
  virtual std::vector<DomainName> due(const DueRequest& request) = 0;
};

}  // namespace mtastsd::cache
