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
  cache::Page page(const std::string& after) override {
    cache::Page page;
    for (const auto& [domain, entry] : entries) {
      if (domain.view() <= after) {
        continue;
      }
      if (page.entries.size() == page_size) {
        page.last = page.entries.back().first.str();
        break;
      }
      page.entries.emplace_back(domain, entry);
    }
    return page;
  }
  std::size_t page_size = 100;
  cache::Due due(const cache::DueRequest& request) override {
    std::vector<std::pair<double, DomainName>> found;
    cache::Due due;
    for (const auto& [domain, entry] : entries) {
      if (!entry->policy) {
        continue;
      }
      const WallTime end = entry->policy->expires_at();
      due.overdue += cache::is_overdue(entry->due_at, end, request.now) ? 1 : 0;
      if ((entry->due_at <= request.now || entry->due_at > request.farthest) &&
          !(request.busy && request.busy(domain))) {
        found.emplace_back(cache::life_left(entry->due_at, end, request.now), domain);
      }
    }
    std::sort(found.begin(), found.end());
    for (const auto& [left, domain] : found) {
      if (due.domains.size() < request.max) {
        due.domains.push_back(domain);
      }
    }
    return due;
  }
};

}  // namespace mtastsd::test
