#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/keyed_hash.h"
#include "mtastsd/overrides/override.h"

namespace mtastsd::overrides {

// The overrides as the answering threads look them up. It never changes, so that all of them share
// one; a change makes a new one.
class Table {
 public:
  explicit Table(std::vector<Override> overrides);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // The override that is in force for the domain at `now`, or null: the most specific one, and of
  // several for the same name the one that was decided last. It stays the same until its end.
  // Allocates nothing.
  const Override* find(const DomainName& domain, WallTime now) const;

  // By name, and for each name the latest decision first.
  const std::vector<Override>& all() const { return overrides_; }

 private:
  using ByName = std::unordered_map<std::string_view, std::vector<const Override*>, KeyedHash>;

  static const Override* in_force(const ByName& names, std::string_view name, WallTime now);

  std::vector<Override> overrides_;
  ByName exact_;  // depends-on: overrides_
  ByName below_;  // depends-on: overrides_
};

// Null: there are none.
using TablePtr = std::shared_ptr<const Table>;
TablePtr make_table(std::vector<Override> overrides);

}  // namespace mtastsd::overrides
