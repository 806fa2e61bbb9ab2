#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/report/finding.h"

namespace mtastsd::check {

struct Analysis;
struct Finding;

inline constexpr int kFullScore = 100;

enum class Part { Record, PolicyHost, Policy, Mode, MaxAge, MailServers, Reports, Count };

struct PartKind {
  Part id;
  std::string_view code;
  int max;
  std::string_view rule;  // for how much
};

// One for each Part, in their order. Their maxima add up to kFullScore. They do not depend on the
// findings.
std::span<const PartKind> score_parts();

struct PartScore {
  const PartKind* kind;
  std::optional<int> points;  // nullopt: they could not be determined, and count as none
  std::string why;
};

// With a finding of this severity the score is not above `most`.
struct Cap {
  report::Severity severity;
  int most;
};
// The lowest first.
std::span<const Cap> score_caps();

struct Score {
  std::vector<PartScore> parts;  // all of them, in the order of Part
  const Cap* cap = nullptr;      // that made the total less than the sum of the parts
  int total = 0;
  bool complete = true;  // false: the true score can be higher
};

Score score(const Facts& facts, const Analysis& analysis, const std::vector<Finding>& findings);

// Returns the next steps of a roll-out in their order, or nothing if nothing is left to do. Each
// has one to three sentences.
std::vector<std::string> advice(const Facts& facts, const Analysis& analysis,
                                const std::vector<Finding>& findings);

}  // namespace mtastsd::check
