#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "html.h"
#include "mtastsd/answer/explain.h"
#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/cache/entry.h"
#include "mtastsd/control/protocol.h"
#include "mtastsd/web/census.h"

// The pages as HTML. Pure.
namespace mtastsd::web {

// What all pages have around them.
struct Frame {
  std::string prefix;  // of links; as check_prefix() has it
  WallTime now{};
};

enum class Tab { None, Overview, Policies };

std::string page(const Frame& frame, std::string_view title, Tab tab, const Html& main);

// A heading and a sentence.
Html message(std::string_view heading, std::string_view sentence);

Html overview(const Frame& frame, const control::Status& status, const Census::Totals* census);

// Which entries the list shows.
struct Filter {
  enum class State { Policies, Enforce, Testing, None, EndingSoon, Failing, Without, All };
  State state = State::Policies;
  std::string prefix;  // of the name, in lower case
  std::string after;   // the name before the first one

  bool takes(const cache::Entry& entry, WallTime now) const;
};
Filter::State parse_state(std::string_view word);  // Policies for any other

struct List {
  std::vector<std::pair<DomainName, cache::EntryPtr>> entries;
  std::string next;          // for Filter::after; empty: there are no more
  std::size_t searched = 0;  // entries that were looked at
};
Html list(const Frame& frame, const Filter& filter, const List& found);

Html domain_page(const Frame& frame, const DomainName& domain, const cache::EntryPtr& entry,
                 const answer::Explanation* explanation);

std::string_view style_sheet();
std::string_view script();
std::string_view icon();

}  // namespace mtastsd::web
