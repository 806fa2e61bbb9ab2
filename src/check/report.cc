#include "mtastsd/check/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "mtastsd/base/text.h"
#include "mtastsd/term/terminal.h"
#include "mtastsd/term/wrapping.h"
#include "rules.h"
#include "sections.h"

namespace mtastsd::check {
namespace {

using term::wrapped;

constexpr std::size_t kColumns = 80;

struct VerdictKind {
  std::string_view word;
  std::string_view sentence;
};
constexpr std::array<VerdictKind, 10> kVerdicts = {
    {{"enforced", "MTA-STS is enforced"},
     {"partly_refused", "MTA-STS is enforced, and mail to some MX hosts is refused"},
     {"refused", "MTA-STS is enforced, and mail is refused"},
     {"testing", "MTA-STS is in testing"},
     {"withdrawn", "MTA-STS is withdrawn (mode none)"},
     {"broken", "MTA-STS is broken: senders cannot use it"},
     {"missing", "no MTA-STS"},
     {"no_mail_server", "the domain has no mail server"},
     {"no_such_domain", "no such domain"},
     {"cannot_tell", "MTA-STS could not be checked"}}};

bool meant_to_be_there(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.kind->severity == Severity::Medium && finding.kind->id <= Code::PolicyInvalid;
  });
}

Verdict decide(const Facts& facts, const Analysis& analysis, const std::vector<Finding>& findings) {
  if (!facts.domain_exists) {
    return Verdict::NoSuchDomain;
  }
  if (has_no_mail_server(facts)) {
    return Verdict::NoMailServer;
  }
  if (analysis.record && analysis.policy) {
    switch (analysis.policy->mode) {
      case mtasts::Mode::None:
        return Verdict::Withdrawn;
      case mtasts::Mode::Testing:
        return Verdict::Testing;
      case mtasts::Mode::Enforce:
        return analysis.refusal.all()   ? Verdict::Refused
               : analysis.refusal.any() ? Verdict::PartlyRefused
                                        : Verdict::Enforced;
    }
  }
  if (facts.record.cannot_tell() || (analysis.record && facts.policy_host.fetch.cannot_tell())) {
    return Verdict::CannotTell;
  }
  return analysis.record || meant_to_be_there(findings) ? Verdict::Broken : Verdict::Missing;
}

// "mail to 1 of 2 MX hosts", of what is refused.
std::string refused_part(const Refusal& refusal) {
  if (refusal.all()) {
    return "mail";
  }
  return refusal.refused_hosts > 0
             ? fmt::format("mail to {} of {} MX hosts", refusal.refused_hosts, refusal.hosts)
             : fmt::format("mail to {} of {} addresses of the MX hosts", refusal.refused_addresses,
                           refusal.addresses);
}

std::string sentence(Verdict verdict, const Refusal& refusal) {
  if (verdict == Verdict::PartlyRefused) {
    return "MTA-STS is enforced, and " + refused_part(refusal) + " is refused";
  }
  if (verdict == Verdict::Testing && refusal.any()) {
    return "MTA-STS is in testing; in mode enforce, " + refused_part(refusal) + " would be refused";
  }
  return std::string(kVerdicts.at(static_cast<std::size_t>(verdict)).sentence);
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

// What a kind of finding means is said once, after the last of its kind.
std::string text_of(const std::vector<Finding>& findings, const std::string& domain,
                    const term::Terminal& terminal) {
  std::string text;
  for (std::size_t i = 0; i < findings.size(); ++i) {
    const FindingKind& kind = *findings[i].kind;
    const std::string meaning = named(kind.meaning, domain);
    report::Shown shown{kind.code, kind.severity,   findings[i].detail,
                        meaning,   findings[i].fix, findings[i].lines};
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
    const std::string label = term::padded("  " + line.label, section.label_width);
    // The colour goes around a word that is laid out already.
    std::string lines =
        wrapped(label + line.mark, section.label_width + kMarkWidth, line.text, kColumns);
    if (!line.mark.empty()) {
      lines.replace(label.size(), line.mark.size(), term::paint(terminal, line.colour, line.mark));
    }
    text += lines;
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
  return kVerdicts.at(static_cast<std::size_t>(verdict)).word;
}

Report::Report(Facts facts)
    : facts_(std::move(facts)),
      analysis_(std::make_unique<Analysis>(analyse(facts_))),
      findings_(find(facts_, *analysis_)),
      score_(check::score(facts_, *analysis_, findings_)),
      advice_(check::advice(facts_, *analysis_, findings_)),
      verdict_(decide(facts_, *analysis_, findings_)) {}

Report::~Report() = default;

std::string Report::verdict_line() const {
  std::string line =
      facts_.typed.empty() ? facts_.domain : printable(facts_.typed) + " (" + facts_.domain + ")";
  line += ": " + sentence(verdict_, analysis_->refusal);
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

std::string Report::one_line(std::size_t width, bool colour) const {
  constexpr std::size_t kVerdictWidth = 16;
  const term::Terminal terminal{true, colour, kColumns};
  const std::string name =
      facts_.typed.empty() ? facts_.domain : printable(facts_.typed) + " (" + facts_.domain + ")";
  std::string line = term::padded(name, width) + fmt::format("  {:>3}  ", score_.total);
  if (findings_.empty()) {
    return line + std::string(to_string(verdict_)) + "\n";
  }
  const Finding& worst = findings_.front();
  line += term::padded(to_string(verdict_), kVerdictWidth) +
          term::paint(terminal, report::colour_of(worst.kind->severity),
                      to_string(worst.kind->severity)) +
          " " + std::string(worst.kind->code);
  if (!worst.detail.empty()) {
    line += ": " + worst.detail;
  }
  return findings_.size() > 1 ? line + fmt::format(" (and {} more)\n", findings_.size() - 1)
                              : line + "\n";
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
  text += text_of(findings_, facts_.domain, terminal);
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
    text += "<br>" + plain(named(finding.kind->meaning, facts_.domain)) + " | " +
            plain(finding.fix) + " |\n";
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
      text += "- " + (line.label.empty() ? "" : "**" + plain(line.label) + "** ") +
              plain(line.text) + (line.mark.empty() ? "" : " (" + line.mark + ")") + "\n";
    }
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
  text += "\nThe highest score with a finding of a severity\n";
  for (const Cap& cap : score_caps()) {
    text += wrapped("  " + std::string(to_string(cap.severity)), 18, std::to_string(cap.most),
                    kColumns);
  }
  return text;
}

}  // namespace mtastsd::check
