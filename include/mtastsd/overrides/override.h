#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/base/clock.h"
#include "mtastsd/base/domain_name.h"
#include "mtastsd/base/result.h"
#include "mtastsd/mtasts/policy.h"

// Exceptions that an operator makes for single domains: what Postfix is told instead of what the
// domain's policy asks for, with a reason and an end. Values and pure functions.
namespace mtastsd::overrides {

// Bounds for the overrides of one source.
inline constexpr std::size_t kMaxOverrides = 500;
inline constexpr std::size_t kMaxBytes = 64 * 1024;  // of names, reasons and patterns
inline constexpr std::size_t kMaxReasonBytes = 200;
inline constexpr std::size_t kMaxMx = 32;
// How long before its end the operator is warned of an override.
inline constexpr Seconds kWarnBefore{3 * 86400};

enum class Action : std::uint8_t {
  Ignore,   // as if the domain had no MTA-STS
  Testing,  // as if its policy were of mode testing
  Pin,      // these MX patterns are enforced, whatever the domain publishes
  Dane,     // DANE decides: "dane-only"
};
std::string_view to_string(Action action);  // "ignore", "testing", "pin", "dane"
std::optional<Action> action_named(std::string_view word);

enum class Source : std::uint8_t { Configuration, CommandLine };
std::string_view to_string(Source source);  // "configuration", "command-line"
std::optional<Source> source_named(std::string_view word);

// The domains that an override is for.
struct Scope {
  bool below = false;  // "*.example": the domains below it, at any depth, and not itself
  DomainName domain;

  // UTF-8 names become A-labels. Nullopt for what is neither a domain name nor "*." and one.
  static std::optional<Scope> parse(std::string_view text);
  std::string str() const;
  bool covers(const DomainName& name) const;
  friend bool operator==(const Scope&, const Scope&) = default;
  friend std::strong_ordering operator<=>(const Scope&, const Scope&) = default;
};

struct Override {
  Scope scope;
  Action action = Action::Ignore;
  std::vector<mtasts::MxPattern> mx;  // Pin: at least one; else none
  std::string reason;
  std::optional<WallTime> until;  // none: permanent
  Source source = Source::Configuration;
  WallTime decided_at{};  // when it was added, or first seen in the configuration
  std::string by;         // who added it: "uid 0"; empty for the configuration

  bool in_force(WallTime now) const { return !until || now < *until; }
  friend bool operator==(const Override&, const Override&) = default;
};

// The same exception, whenever it was decided.
bool same_decision(const Override& a, const Override& b);

// Of the bytes that kMaxBytes bounds.
std::size_t bytes_of(const Override& one);

// Whether it is complete and free of contradictions. The error is a sentence without its subject:
// "needs a reason".
Result<void, std::string> check(const Override& one);

// Whether so many fit. The error is a sentence.
Result<void, std::string> check_number(const std::vector<Override>& of_one_source);

// A date, which means the end of that day, or a time: "2027-01-15", "2027-01-15T12:00:00Z". Both
// are UTC.
std::optional<WallTime> parse_until(std::string_view text);
inline constexpr std::string_view kUntilForms =
    "must be a date such as 2027-01-15, or a time in UTC such as 2027-01-15T12:00:00Z";

}  // namespace mtastsd::overrides
