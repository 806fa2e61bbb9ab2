#include "mtastsd/doctor/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mtastsd/base/text.h"
#include "mtastsd/term/exit_status.h"
#include "remedy.h"

namespace mtastsd::doctor {
namespace {

// Longer lines of text are hard to read.
constexpr std::size_t kMaxWidth = 100;

std::size_t count(const std::vector<Finding>& findings, Severity severity) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& one) { return one.severity == severity; }));
}

std::string verdict(const std::vector<Finding>& findings) {
  std::string text;
  for (const Severity severity : {Severity::High, Severity::Medium, Severity::Unknown}) {
    if (const std::size_t number = count(findings, severity); number > 0) {
      text += (text.empty() ? "" : ", ") + std::to_string(number) + " " +
              std::string(to_string(severity));
    }
  }
  return text.empty() ? "all is well" : text;
}

report::Shown shown(const Finding& one) {
  return {one.kind->code, one.severity, one.subject, one.text, "", one.fixes};
}

}  // namespace

std::vector<Fix> changes(const Facts& facts, const std::vector<Finding>& findings) {
  const Fix restart = restart_daemon(facts);
  const auto is_for_postfix = [](const Fix& fix) {
    return fix.file.starts_with("main.cf") || fix.file.starts_with("master.cf");
  };
  const auto step = [&](const Fix& fix) {
    return fix == restart ? 2 : fix.file == "command" ? 0 : is_for_postfix(fix) ? 3 : 1;
  };
  std::vector<Fix> lines;
  for (const Finding& one : findings) {
    for (const Fix& fix : one.fixes) {
      if (std::find(lines.begin(), lines.end(), fix) == lines.end()) {
        lines.push_back(fix);
      }
    }
  }
  if (std::any_of(lines.begin(), lines.end(), [&](const Fix& fix) { return step(fix) == 1; }) &&
      std::find(lines.begin(), lines.end(), restart) == lines.end()) {
    lines.push_back(restart);
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [&](const Fix& a, const Fix& b) { return step(a) < step(b); });
  if (!lines.empty() && is_for_postfix(lines.back())) {
    lines.push_back({"command", "postfix" + facts.postfix_option + " reload"});
  }
  return lines;
}

std::string text_report(const Facts& facts, const std::vector<Finding>& findings,
                        const term::Terminal& terminal) {
  std::string out = "Postfix " + printable(facts.version) + " in " +
                    printable(facts.config_directory) + ": " + verdict(findings) + "\n\n";
  for (const Finding& one : findings) {
    const std::string where =
        one.services.empty() ? "" : " This is about " + joined(one.services) + ".";
    const std::string text = one.text + where;
    report::Shown finding = shown(one);
    finding.meaning = text;
    out += report::text_of(finding, terminal, std::min(terminal.width, kMaxWidth));
  }
  const std::vector<Fix> lines = changes(facts, findings);
  if (!lines.empty()) {
    out += "\nAll of it, in this order:\n";
  }
  std::string_view file;
  for (const Fix& line : lines) {
    if (line.file != file) {
      file = line.file;
      out += "  " + (file == "command" ? "Run" : "In " + printable(file)) + ":\n";
    }
    out += "    " + printable(line.line) + "\n";
  }
  return out;
}

std::string json_report(const Facts& facts, const std::vector<Finding>& findings) {
  nlohmann::ordered_json document;
  document["postfix_version"] = facts.version;
  document["postfix_config"] = facts.config_directory;
  document["mtastsd_config"] = facts.config_path;
  document["high"] = count(findings, Severity::High);
  document["medium"] = count(findings, Severity::Medium);
  document["unknown"] = count(findings, Severity::Unknown);
  document["findings"] = nlohmann::ordered_json::array();
  for (const Finding& one : findings) {
    nlohmann::ordered_json entry = report::json_of(shown(one));
    entry["services"] = one.services;
    document["findings"].push_back(std::move(entry));
  }
  document["changes"] = nlohmann::ordered_json::array();
  for (const Fix& line : changes(facts, findings)) {
    document["changes"].push_back({{"file", line.file}, {"line", line.line}});
  }
  return report::to_text(document);
}

int exit_status(const std::vector<Finding>& findings) {
  if (count(findings, Severity::High) + count(findings, Severity::Medium) > 0) {
    return term::kNotFound;
  }
  return count(findings, Severity::Unknown) > 0 ? term::kTrouble : term::kGood;
}

}  // namespace mtastsd::doctor
