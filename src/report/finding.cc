#include "mtastsd/report/finding.h"

#include <array>
#include <nlohmann/json.hpp>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"
#include "mtastsd/term/wrapping.h"

namespace mtastsd::report {
namespace {

constexpr std::size_t kIndent = 11;
constexpr std::size_t kLineIndent = 15;

using Json = nlohmann::ordered_json;

struct SeverityKind {
  std::string_view name;
  term::Colour colour;
};
// In the order of Severity.
constexpr std::array<SeverityKind, 6> kSeverities = {{{"OK", term::Colour::Green},
                                                      {"INFO", term::Colour::Dim},
                                                      {"UNKNOWN", term::Colour::Yellow},
                                                      {"LOW", term::Colour::Bold},
                                                      {"MEDIUM", term::Colour::Yellow},
                                                      {"HIGH", term::Colour::Red}}};

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

std::string_view to_string(Severity severity) {
  return kSeverities.at(static_cast<std::size_t>(severity)).name;
}

std::optional<Severity> parse_severity(std::string_view text) {
  for (std::size_t i = 0; i < kSeverities.size(); ++i) {
    if (equal_ignoring_case(text, kSeverities.at(i).name)) {
      return static_cast<Severity>(i);
    }
  }
  return std::nullopt;
}

term::Colour colour_of(Severity severity) {
  return kSeverities.at(static_cast<std::size_t>(severity)).colour;
}

std::string text_of(const Shown& finding, const term::Terminal& terminal, std::size_t width) {
  const auto below = [&](std::string_view text) {
    return term::wrapped("", kIndent, printable(text), width);
  };
  const std::string_view severity = to_string(finding.severity);
  std::string title(finding.code);
  if (!finding.detail.empty()) {
    title += ": " + printable(finding.detail);
  }
  // The colour goes around a word that is laid out already.
  const std::string head =
      term::wrapped("  " + std::string(severity), kIndent, title, width).substr(2);
  std::string text = "  " + term::paint(terminal, colour_of(finding.severity), severity) +
                     head.substr(severity.size());
  if (!finding.meaning.empty()) {
    text += below(finding.meaning);
  }
  if (!finding.fix.empty()) {
    text += below("Fix: " + std::string(finding.fix));
  }
  const FixLine* before = nullptr;
  for (const FixLine& one : finding.lines) {
    if (before == nullptr || before->file != one.file) {
      text += below(one.file == "command" ? "Fix by running:" : "Fix in " + one.file + ":");
    }
    before = &one;
    text += std::string(kLineIndent, ' ') + printable(one.line) + "\n";
  }
  return text;
}

Json json_of(const Shown& finding) {
  Json lines = Json::array();
  for (const FixLine& one : finding.lines) {
    lines.push_back({{"file", one.file}, {"line", one.line}});
  }
  return {{"code", finding.code},
          {"severity", to_string(finding.severity)},
          {"detail", text_or_null(finding.detail)},
          {"meaning", text_or_null(finding.meaning)},
          {"fix", text_or_null(finding.fix)},
          {"lines", std::move(lines)}};
}

std::string to_text(const Json& document) {
  return document.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace mtastsd::report
