#include "mtastsd/overrides/override.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "mtastsd/base/text.h"
#include "mtastsd/base/time_text.h"

namespace mtastsd::overrides {
namespace {

constexpr std::array<std::pair<Action, std::string_view>, 4> kActions = {
    {{Action::Ignore, "ignore"},
     {Action::Testing, "testing"},
     {Action::Pin, "pin"},
     {Action::Dane, "dane"}}};

constexpr std::array<std::pair<Source, std::string_view>, 2> kSources = {
    {{Source::Configuration, "configuration"}, {Source::CommandLine, "command-line"}}};

template <typename Names, typename Enum>
std::string_view name_in(const Names& names, Enum value) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [value](const auto& one) { return one.first == value; });
  return found->second;
}

template <typename Names>
auto named_in(const Names& names, std::string_view word)
    -> std::optional<decltype(names.front().first)> {
  for (const auto& [value, name] : names) {
    if (name == word) {
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Action action) {
  return name_in(kActions, action);
}

std::optional<Action> action_named(std::string_view word) {
  return named_in(kActions, word);
}

std::string_view to_string(Source source) {
  return name_in(kSources, source);
}

std::optional<Source> source_named(std::string_view word) {
  return named_in(kSources, word);
}

std::optional<Scope> Scope::parse(std::string_view text) {
  const bool below = text.starts_with("*.");
  const auto domain = DomainName::parse_utf8(below ? text.substr(2) : text);
  return domain ? std::optional(Scope{below, *domain}) : std::nullopt;
}

std::string Scope::str() const {
  return (below ? "*." : "") + domain.str();
}

bool Scope::covers(const DomainName& name) const {
  if (!below) {
    return name == domain;
  }
  const std::string_view view = name.view();
  return view.size() > domain.size() && view.ends_with(domain.view()) &&
         view[view.size() - domain.size() - 1] == '.';
}

bool same_decision(const Override& a, const Override& b) {
  Override other = b;
  other.decided_at = a.decided_at;
  return a == other;
}

std::size_t bytes_of(const Override& one) {
  return std::accumulate(one.mx.begin(), one.mx.end(),
                         one.scope.domain.size() + one.reason.size() + one.by.size(),
                         [](std::size_t sum, const mtasts::MxPattern& pattern) {
                           return sum + pattern.domain.size();
                         });
}

Result<void, std::string> check(const Override& one) {
  if (one.reason.empty()) {
    return failure(std::string("needs a reason, which others will read"));
  }
  if (one.reason.size() > kMaxReasonBytes) {
    return failure("has a reason of more than " + std::to_string(kMaxReasonBytes) + " bytes");
  }
  if (printable(one.reason) != one.reason) {
    return failure(std::string("has a reason that cannot be printed as it is"));
  }
  if (one.action == Action::Pin && one.mx.empty()) {
    return failure(std::string("pins no MX host: name those that mail may go to"));
  }
  if (one.action != Action::Pin && !one.mx.empty()) {
    return failure(std::string("has MX hosts, which only the action \"pin\" takes"));
  }
  if (one.mx.size() > kMaxMx) {
    return failure("pins more than " + std::to_string(kMaxMx) + " MX hosts");
  }
  return {};
}

Result<void, std::string> check_number(const std::vector<Override>& of_one_source) {
  if (of_one_source.size() > kMaxOverrides) {
    return failure("there are more than " + std::to_string(kMaxOverrides) + " overrides");
  }
  const std::size_t bytes =
      std::accumulate(of_one_source.begin(), of_one_source.end(), std::size_t{0},
                      [](std::size_t sum, const Override& one) { return sum + bytes_of(one); });
  if (bytes > kMaxBytes) {
    return failure("the names, reasons and MX hosts of all overrides have more than " +
                   std::to_string(kMaxBytes / 1024) + " KiB");
  }
  return {};
}

std::optional<WallTime> parse_until(std::string_view text) {
  if (auto time = parse_timestamp(text)) {
    return time;
  }
  if (const auto day = parse_timestamp(std::string(text) + "T00:00:00Z")) {
    return *day + std::chrono::days(1);
  }
  return std::nullopt;
}

}  // namespace mtastsd::overrides
