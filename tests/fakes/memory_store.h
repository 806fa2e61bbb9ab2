#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "mtastsd/cache/store.h"

namespace mtastsd::test {

// A cache that is a map.
class MemoryStore final : public cache::Store {
 public:
  std::map<DomainName, cache::EntryPtr> entries;

  cache::EntryPtr find(const DomainName& domain) override {
    const auto it = entries.find(domain);
    return it == entries.end() ? nullptr : it->second;
  }
  void put(const DomainName& domain, cache::Entry entry) override {
    entries.insert_or_assign(domain, std::make_shared<const cache::Entry>(std::move(entry)));
  }
  void erase(const DomainName& domain) override { entries.erase(domain); }
  std::vector<DomainName> due(const cache::DueRequest& request) override {
    std::vector<std::pair<WallTime, DomainName>> found;
    for (const auto& [domain, entry] : entries) {
      if (entry->policy && (entry->due_at <= request.now || entry->due_at > request.farthest) &&
          !(request.busy && request.busy(domain))) {
        found.emplace_back(entry->policy->expires_at(), domain);
      }
    }
    std::sort(found.begin(), found.end());
    std::vector<DomainName> domains;
    for (const auto& [expires_at, domain] : found) {
      if (domains.size() < request.max) {
        domains.push_back(domain);
      }
    }
    return domains;
  }
};

}  // namespace mtastsd::test
