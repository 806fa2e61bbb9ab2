#pragma once

#include <optional>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"

namespace mtastsd::cache {

// The cache as the resolver uses it, from its own thread. Never blocks on the disk: put() and
// erase() take effect for find() at once and are committed behind the caller's back.
class Store {
 public:
  virtual ~Store() = default;

  virtual std::optional<Entry> find(const DomainName& domain) = 0;
  virtual void put(const DomainName& domain, const Entry& entry) = 0;
  virtual void erase(const DomainName& domain) = 0;

  // Domains with a policy whose due_at has come, the longest due first, at most `max`.
  virtual std::vector<DomainName> due(WallTime now, std::size_t max) = 0;
};

}  // namespace mtastsd::cache
