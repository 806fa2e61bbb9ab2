#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/check/facts.h"
#include "mtastsd/check/findings.h"
#include "mtastsd/check/score.h"

namespace mtastsd::check {

enum class Verdict {
  Enforced,       // the policy is in force and refuses no mail
  PartlyRefused,  // the same, by some of the MX hosts or of their addresses
  Refused,        // the policy is in force and mail is refused because of it
  Testing,
  Withdrawn,     // mode none
  Broken,        // the domain means to have MTA-STS, but senders cannot use it
  Missing,       // no MTA-STS
  NoMailServer,  // nobody can send mail to the domain
  NoSuchDomain,
  CannotTell,
};
std::string_view to_string(Verdict verdict);  // "enforced", ...

// The report about one domain, a pure function of its facts.
class Report {
 public:
  explicit Report(Facts facts);
  ~Report();
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  const Facts& facts() const { return facts_; }
  const Analysis& analysis() const { return *analysis_; }
  const std::vector<Finding>& findings() const { return findings_; }
  const Score& score() const { return score_; }
  const std::vector<std::string>& advice() const { return advice_; }
  Verdict verdict() const { return verdict_; }
  std::string verdict_line() const;  // one sentence, with the domain

  bool found_at_least(Severity severity) const;
  bool has_gaps() const { return check::has_gaps(facts_); }

  // The domain, padded to `width` columns, with the score, the verdict and the worst finding.
  std::string one_line(std::size_t width, bool colour) const;
  // Text of at most 80 columns. With `colour`, it has the escape sequences of ANSI terminals.
  std::string text(bool colour) const;
  std::string markdown() const;

 private:
  Facts facts_;
  std::unique_ptr<Analysis> analysis_;  // views into facts_
  std::vector<Finding> findings_;
  Score score_;
  std::vector<std::string> advice_;
  Verdict verdict_;
};

// Instructions with lines to be pasted, pure functions of the facts.
struct Guidance {
  enum class Kind { Steps, Nothing, CannotTell };
  std::string text;           // whole lines
  Kind kind = Kind::Nothing;  // Nothing: there is nothing to do, and the text says why
};
// To make record and policy right for the MX hosts of today, in the phase that the domain is in.
Guidance guide_to_fix(const Report& report);
// For a domain without MTA-STS.
Guidance guide_to_begin(const Report& report);
// To give the domain other MX hosts, with the dates before which it may not be done.
Guidance guide_to_move(const Report& report, const std::vector<DomainName>& new_hosts);

// Returns one JSON document (contrib/schema/check.json) about all of them. It is always ASCII.
std::string to_json(const std::vector<const Report*>& reports);

// The same about one of them, in one line.
std::string to_json_line(const Report& report);

// Returns a list of all codes and parts of the score, for people.
std::string list_of_findings();

}  // namespace mtastsd::check
