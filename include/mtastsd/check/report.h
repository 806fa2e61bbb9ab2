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
  Enforced,  // the policy is in force and refuses no mail
  Refused,   // the policy is in force and mail is refused because of it
  Testing,
  Withdrawn,  // mode none
  Broken,     // the domain means to have MTA-STS, but senders cannot use it
  Missing,    // no MTA-STS
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

// Returns one JSON document (contrib/schema/check.json) about all of them. It is always ASCII.
std::string to_json(const std::vector<const Report*>& reports);

// Returns a list of all codes and parts of the score, for people.
std::string list_of_findings();

}  // namespace mtastsd::check
