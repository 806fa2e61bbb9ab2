#include "mtastsd/overrides/table.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace mtastsd::overrides {

Table::Table(std::vector<Override> overrides) : overrides_(std::move(overrides)) {
  // The command line counts as the later decision within the same second.
  std::sort(overrides_.begin(), overrides_.end(), [](const Override& a, const Override& b) {
    return std::tie(a.scope.domain, a.scope.below, b.decided_at, b.source) <
           std::tie(b.scope.domain, b.scope.below, a.decided_at, a.source);
  });
  for (const Override& one : overrides_) {
    (one.scope.below ? below_ : exact_)[one.scope.domain.view()].push_back(&one);
  }
}

const Override* Table::in_force(const ByName& names, std::string_view name, WallTime now) {
  const auto found = names.find(name);
  if (found == names.end()) {
    return nullptr;
  }
  const auto one = std::find_if(found->second.begin(), found->second.end(),
                                [now](const Override* each) { return each->in_force(now); });
  return one != found->second.end() ? *one : nullptr;
}

const Override* Table::find(const DomainName& domain, WallTime now) const {
  std::string_view name = domain.view();
  if (const Override* one = in_force(exact_, name, now)) {
    return one;
  }
  if (below_.empty()) {
    return nullptr;
  }
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    if (const Override* one = in_force(below_, name, now)) {
      return one;
    }
  }
  return nullptr;
}

TablePtr make_table(std::vector<Override> overrides) {
  return overrides.empty() ? nullptr : std::make_shared<const Table>(std::move(overrides));
}

}  // namespace mtastsd::overrides
