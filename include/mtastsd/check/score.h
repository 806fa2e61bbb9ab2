#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/facts.h"

namespace mtastsd::check {

struct Analysis;

inline constexpr int kFullScore = 100;

enum class Part { Record, PolicyHost, Policy, Mode, MaxAge, MailServers, Reports, Count };

struct PartKind {
  Part id;
  std::string_view code;
  int max;
  std::string_view rule;  // for how much
};

// One for each Part, in their order; the most that they give adds up to kFullScore. They stand
// beside the findings.
std::span<const PartKind> score_parts();

struct PartScore {
  const PartKind* kind;
  int points = 0;
  bool known = true;  // false: it could not be found out, and gives nothing
  std::string why;
};

struct Score {
  std::vector<PartScore> parts;  // all of them, in the order of Part
  int total = 0;
  bool complete = true;  // false: it may be more
};

Score score(const Facts& facts, const Analysis& analysis);

// The next steps of a roll-out, the first one first; empty when nothing is left to do. One to
// three sentences each.
std::vector<std::string> advice(const Facts& facts, const Analysis& analysis);

}  // namespace mtastsd::check
