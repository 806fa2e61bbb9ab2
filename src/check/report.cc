#include "mtastsd/check/report.h"

#include <algorithm>
#include <utility>

#include "analysis.h"
#include "mtastsd/base/text.h"
#include "mtastsd/term/terminal.h"
#include "mtastsd/term/wrapping.h"
#include "sections.h"

namespace mtastsd::check {
namespace {

using term::wrapped;

constexpr std::size_t kColumns = 80;
constexpr std::size_t kLabelWidth = 14;

term::Colour colour_of(Mark mark) {
  switch (mark) {
    case Mark::Good:
      return term::Colour::Green;
    case Mark::Fault:
    case Mark::Unknown:
      return term::Colour::Yellow;
    case Mark::Error:
      return term::Colour::Red;
    case Mark::None:
    case Mark::Note:
      break;
  }
  return term::Colour::None;
}

std::string_view word_for(Mark mark) {
  switch (mark) {
    case Mark::Good:
      return "ok";
    case Mark::Note:
      return "note";
    case Mark::Fault:
      return "fault";
    case Mark::Error:
      return "ERROR";
    case Mark::Unknown:
      return "?";
    case Mark::None:
      break;
  }
  return "";
}

bool refuses_mail(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.kind->severity == Severity::High;
  });
}

bool meant_to_be_there(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.kind->severity == Severity::Medium && finding.kind->id <= Code::PolicyInvalid;
  });
}

Verdict decide(const Facts& facts, const Analysis& analysis, const std::vector<Finding>& findings) {
  if (!facts.domain_exists) {
    return Verdict::NoSuchDomain;
  }
  if (analysis.record && analysis.policy) {
    switch (analysis.policy->mode) {
      case mtasts::Mode::None:
        return Verdict::Withdrawn;
      case mtasts::Mode::Testing:
        return Verdict::Testing;
      case mtasts::Mode::Enforce:
        return refuses_mail(findings) ? Verdict::Refused : Verdict::Enforced;
    }
  }
  if (facts.record.cannot_tell() || (analysis.record && facts.policy_host.fetch.cannot_tell())) {
    return Verdict::CannotTell;
  }
  return analysis.record || meant_to_be_there(findings) ? Verdict::Broken : Verdict::Missing;
}

std::string_view sentence(Verdict verdict) {
  switch (verdict) {
    case Verdict::Enforced:
      return "MTA-STS is enforced";
    case Verdict::Refused:
      return "MTA-STS is enforced, and mail is refused";
    case Verdict::Testing:
      return "MTA-STS is in testing";
    case Verdict::Withdrawn:
      return "MTA-STS is withdrawn (mode none)";
    case Verdict::Broken:
      return "MTA-STS is broken: senders cannot use it";
    case Verdict::Missing:
      return "no MTA-STS";
    case Verdict::NoSuchDomain:
      return "no such domain";
    case Verdict::CannotTell:
      break;
  }
  return "MTA-STS could not be checked";
}

std::string counts(const std::vector<Finding>& findings) {
  std::string text;
  for (const Severity severity : {Severity::High, Severity::Medium, Severity::Low}) {
    const auto number = std::count_if(
        findings.begin(), findings.end(),
        [severity](const Finding& finding) { return finding.kind->severity == severity; });
    if (number > 0) {
      text += (text.empty() ? "" : ", ") + std::to_string(number) + " " +
              std::string(to_string(severity));
    }
  }
  return text;
}

std::string score_text(const Score& score) {
  return (score.complete ? "" : "at least ") + std::to_string(score.total) + " of " +
         std::to_string(kFullScore);
}

// What a kind of finding means is said once, after the last of its kind.
std::string text_of(const std::vector<Finding>& findings, const term::Terminal& terminal) {
  std::string text;
  for (std::size_t i = 0; i < findings.size(); ++i) {
    const FindingKind& kind = *findings[i].kind;
    report::Shown shown{kind.code, kind.severity, findings[i].detail, kind.meaning, kind.fix, {}};
    if (i + 1 < findings.size() && findings[i + 1].kind == &kind) {
      shown.meaning = shown.fix = "";
    }
    text += report::text_of(shown, terminal, kColumns);
  }
  return text;
}

std::string text_of(const Section& section, const term::Terminal& terminal) {
  constexpr std::size_t kMarkWidth = 6;
  std::string text = "\n" + term::paint(terminal, term::Colour::Bold, section.title) + "\n";
  for (const Line& line : section.lines) {
    const std::string label = term::padded("  " + line.label, kLabelWidth);
    const std::string_view word = word_for(line.mark);
    // The colour goes around a word that is laid out already.
    const std::string lines =
        wrapped(label + std::string(word), kLabelWidth + kMarkWidth, line.text, kColumns);
    text += label + term::paint(terminal, colour_of(line.mark), word) +
            lines.substr(std::min(label.size() + word.size(), lines.size()));
  }
  return text;
}

// Text for markdown: nothing in it means anything.
std::string plain(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("\\`*_{}[]<>()#+!|~&-").find(c) != std::string_view::npos) {
      result += '\\';
    }
    result += c;
  }
  return result;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::Enforced:
      return "enforced";
    case Verdict::Refused:
      return "refused";
    case Verdict::Testing:
      return "testing";
    case Verdict::Withdrawn:
      return "withdrawn";
    case Verdict::Broken:
      return "broken";
    case Verdict::Missing:
      return "missing";
    case Verdict::NoSuchDomain:
      return "no_such_domain";
    case Verdict::CannotTell:
      break;
  }
  return "cannot_tell";
}

Report::Report(Facts facts)
    : facts_(std::move(facts)),
      analysis_(std::make_unique<Analysis>(analyse(facts_))),
      findings_(find(facts_, *analysis_)),
      score_(check::score(facts_, *analysis_)),
      advice_(check::advice(facts_, *analysis_)),
      verdict_(decide(facts_, *analysis_, findings_)) {}

Report::~Report() = default;

std::string Report::verdict_line() const {
  std::string line = facts_.domain + ": " + std::string(sentence(verdict_));
  const std::string found = counts(findings_);
  if (!found.empty()) {
    line += " (" + found + ")";
  }
  return line + "; score " + score_text(score_) + ".";
}

bool Report::found_at_least(Severity severity) const {
  return std::any_of(findings_.begin(), findings_.end(), [severity](const Finding& finding) {
    return finding.kind->severity >= severity;
  });
}

std::string Report::text(bool colour) const {
  const term::Terminal terminal{true, colour, kColumns};
  const auto bold = [&](std::string_view words) {
    return term::paint(terminal, term::Colour::Bold, words);
  };
  std::string verdict = wrapped("", 0, verdict_line(), kColumns);
  verdict.pop_back();
  std::string text = bold(verdict) + "\n";
  if (!findings_.empty()) {
    text += "\n" + bold("Findings") + "\n";
  }
  text += text_of(findings_, terminal);
  if (!advice_.empty()) {
    text += "\n" + bold("Next steps") + "\n";
    std::size_t number = 0;
    for (const std::string& step : advice_) {
      text += wrapped("  " + std::to_string(++number) + ".", 5, step, kColumns);
    }
  }
  for (const Section& section : sections(*this)) {
    text += text_of(section, terminal);
  }
  text += "\n" + bold("Score " + score_text(score_)) + "\n";
  for (const PartScore& part : score_.parts) {
    std::string points = part.known ? std::to_string(part.points) : "?";
    points += "/" + std::to_string(part.kind->max);
    std::string label = "  " + std::string(part.kind->code);
    label.resize(std::max(label.size() + 1, kLabelWidth + 2), ' ');
    text += wrapped(label + points, kLabelWidth + 8, part.why, kColumns);
  }
  return text;
}

std::string Report::markdown() const {
  std::string text = "## " + plain(verdict_line()) + "\n";
  if (!findings_.empty()) {
    text += "\n| severity | finding | what to do |\n| --- | --- | --- |\n";
  }
  for (const Finding& finding : findings_) {
    text += "| " + std::string(to_string(finding.kind->severity)) + " | `" +
            std::string(finding.kind->code) + "`";
    text += finding.detail.empty() ? "" : " " + plain(finding.detail);
    text += "<br>" + plain(finding.kind->meaning) + " | " + plain(finding.kind->fix) + " |\n";
  }
  if (!advice_.empty()) {
    text += "\n### Next steps\n\n";
  }
  for (const std::string& step : advice_) {
    text += "1. " + plain(step) + "\n";
  }
  for (const Section& section : sections(*this)) {
    text += "\n### " + plain(section.title) + "\n\n";
    for (const Line& line : section.lines) {
      const std::string_view word = word_for(line.mark);
      text += "- " + (line.label.empty() ? "" : "**" + plain(line.label) + "** ") +
              plain(line.text) + (word.empty() ? "" : " (" + std::string(word) + ")") + "\n";
    }
  }
  text += "\n### Score " + score_text(score_) + "\n\n| part | points | of | why |\n" +
          "| --- | --- | --- | --- |\n";
  for (const PartScore& part : score_.parts) {
    text += "| " + plain(part.kind->code) + " | " +
            (part.known ? std::to_string(part.points) : "?") + " | " +
            std::to_string(part.kind->max) + " | " + plain(part.why) + " |\n";
  }
  return text;
}

std::string list_of_findings() {
  std::string text;
  for (const FindingKind& kind : finding_kinds()) {
    text += std::string(kind.code) + " " + std::string(to_string(kind.severity)) + "\n";
    text += wrapped("", 4, kind.meaning, kColumns);
    if (!kind.fix.empty()) {
      text += wrapped("", 4, "Fix: " + std::string(kind.fix), kColumns);
    }
  }
  text += "\nParts of the score, " + std::to_string(kFullScore) + " in all\n";
  for (const PartKind& part : score_parts()) {
    text += wrapped("  " + std::string(part.code), 18,
                    std::to_string(part.max) + "  " + std::string(part.rule), kColumns);
  }
  return text;
}

}  // namespace mtastsd::check
