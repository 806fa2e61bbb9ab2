#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/mtasts/policy.h"

namespace mtastsd::mtasts {

enum class LineEnd { None, Lf, CrLf };
enum class LineVerdict {
  Good,
  Note,   // every sender accepts it, but it deserves a remark
  Fault,  // parse_policy() accepts it, but it is not what was meant or not what RFC 8461 says
  Error,  // makes the policy invalid
};
enum class LineIssue {
  None,
  Blank,
  NotAField,
  BadVersion,
  BadMode,
  BadMaxAge,
  BadMx,
  BadValue,
  Duplicate,        // a second field of a kind of which only the first counts
  RepeatedMx,       // a pattern that was listed before
  UnmatchableMx,    // no MX host can have that name
  FinalDotMx,       // a final dot, which RFC 8461's grammar does not have
  MaxAgeOverLimit,  // counts as kMaxMaxAge
  UnknownField,     // ignored (RFC 8461 section 3.2)
  MisspeltField,    // ignored, but similar to a known field
};

struct PolicyLine {
  std::size_t number = 0;  // from 1
  std::size_t offset = 0;  // of its first byte in the body
  std::string_view text;   // without its end
  LineEnd end = LineEnd::None;
  LineVerdict verdict = LineVerdict::Good;
  LineIssue issue = LineIssue::None;
  std::string comment;  // for people; text from the policy is escaped and truncated in it
};

// A policy body line by line. All views are into the body.
struct AnnotatedPolicy {
  bool too_long = false;  // then nothing else is set
  bool byte_order_mark = false;
  std::vector<PolicyLine> lines;
  std::vector<std::string_view> missing;  // the required fields that it lacks: "mode", "mx", ...
  std::optional<Seconds> max_age;         // as written, so it can be above kMaxMaxAge
  // What parse_policy() gives for the body; nullopt if it gives an error.
  std::optional<Policy> policy;
};

// Explains what each line means by RFC 8461 section 3.2, whether or not there are errors before it.
// Pure; kMaxPolicyBytes bounds its time and memory.
AnnotatedPolicy annotate_policy(std::string_view body);

}  // namespace mtastsd::mtasts
