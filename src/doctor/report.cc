#include "mtastsd/doctor/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mtastsd/base/text.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/wrapping.h"

namespace mtastsd::doctor {
namespace {

constexpr std::size_t kIndent = 9;
// Longer lines of text are hard to read.
constexpr std::size_t kMaxWidth = 100;

term::Colour colour_of(Severity severity) {
  switch (severity) {
    case Severity::Error:
      return term::Colour::Red;
    case Severity::Warning:
    case Severity::Unknown:
      return term::Colour::Yellow;
    case Severity::Note:
      return term::Colour::Bold;
    case Severity::Good:
      return term::Colour::Green;
  }
  return term::Colour::None;
}

std::size_t count(const std::vector<Finding>& findings, Severity severity) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& one) { return one.severity == severity; }));
}

std::string verdict(const std::vector<Finding>& findings) {
  const std::size_t errors = count(findings, Severity::Error);
  const std::size_t warnings = count(findings, Severity::Warning);
  const std::size_t unknown = count(findings, Severity::Unknown);
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (errors > 0) add(counted(errors, "error", "errors"));
  if (warnings > 0) add(counted(warnings, "warning", "warnings"));
  if (unknown > 0) add(std::to_string(unknown) + " could not be found out");
  return text.empty() ? "all is well" : text;
}

void append_finding(std::string& out, const Finding& one, const term::Terminal& terminal) {
  std::string text = one.subject + ": " + one.text;
  if (!one.services.empty()) text += " (" + joined(one.services) + ")";
  std::string lines = term::wrapped(name_of(one.severity), kIndent, printable(text),
                                    std::min(terminal.width, kMaxWidth));
  lines.erase(0, name_of(one.severity).size());
  out += term::paint(terminal, colour_of(one.severity), name_of(one.severity)) + lines;
  // Lines to copy are never broken.
  for (const Fix& fix : one.fixes) {
    out += std::string(kIndent, ' ') + fix.file + ":\n" + std::string(kIndent + 4, ' ') + fix.line +
           "\n";
  }
}

}  // namespace

std::string text_report(const Facts& facts, const std::vector<Finding>& findings,
                        const term::Terminal& terminal) {
  std::string out = "Postfix " + facts.version + " in " + facts.config_directory + ": " +
                    verdict(findings) + "\n\n";
  bool postfix_changes = false;
  bool daemon_changes = false;
  for (const Finding& one : findings) {
    append_finding(out, one, terminal);
    for (const Fix& fix : one.fixes) {
      postfix_changes |= fix.file.starts_with("main.cf") || fix.file.starts_with("master.cf");
      daemon_changes |= fix.file.starts_with("mtastsd.toml");
    }
  }
  if (daemon_changes) out += "\nAfter a change to mtastsd.toml: systemctl restart mtastsd\n";
  if (postfix_changes) {
    out += std::string(daemon_changes ? "" : "\n") +
           "After a change to main.cf or master.cf: postfix reload\n";
  }
  return out;
}

std::string json_report(const Facts& facts, const std::vector<Finding>& findings) {
  nlohmann::ordered_json report;
  report["postfix_version"] = facts.version;
  report["postfix_config"] = facts.config_directory;
  report["mtastsd_config"] = facts.config_path;
  report["errors"] = count(findings, Severity::Error);
  report["warnings"] = count(findings, Severity::Warning);
  report["unknown"] = count(findings, Severity::Unknown);
  report["findings"] = nlohmann::ordered_json::array();
  for (const Finding& one : findings) {
    nlohmann::ordered_json entry;
    entry["code"] = one.code;
    entry["severity"] = name_of(one.severity);
    entry["subject"] = one.subject;
    entry["text"] = one.text;
    entry["services"] = one.services;
    entry["fixes"] = nlohmann::ordered_json::array();
    for (const Fix& fix : one.fixes) {
      entry["fixes"].push_back({{"file", fix.file}, {"line", fix.line}});
    }
    report["findings"].push_back(std::move(entry));
  }
  // Names in a configuration file need not be UTF-8.
  return report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int exit_status(const std::vector<Finding>& findings) {
  if (count(findings, Severity::Error) + count(findings, Severity::Warning) > 0)
    return term::kNotFound;
  return count(findings, Severity::Unknown) > 0 ? term::kTrouble : term::kGood;
}

}  // namespace mtastsd::doctor
