#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "mtastsd/cache/store.h"

namespace mtastsd::test {

// A cache that is a map of records in their stored form.
class MemoryStore final : public cache::Store {
 public:
  std::map<DomainName, std::string> records;

  std::optional<cache::Entry> find(const DomainName& domain) override {
    const auto it = records.find(domain);
    if (it == records.end()) {
      return std::nullopt;
    }
    return *cache::decode_entry(it->second);
  }
  void put(const DomainName& domain, const cache::Entry& entry) override {
    records.insert_or_assign(domain, cache::encode(entry));
  }
  void erase(const DomainName& domain) override { records.erase(domain); }
  std::vector<DomainName> due(const cache::DueRequest& request) override {
    std::vector<std::pair<WallTime, DomainName>> found;
    for (const auto& [domain, record] : records) {
      const auto view = cache::RecordView::decode(record);
      if (view && view->facts().has_policy &&
          (view->due_at() <= request.now || view->due_at() > request.farthest) &&
          !(request.busy && request.busy(domain))) {
        found.emplace_back(view->facts().fetched_at + view->facts().max_age, domain);
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
