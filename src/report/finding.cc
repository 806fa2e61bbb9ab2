#include "mtastsd/report/finding.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "mtastsd/base/ascii.h"
#include "mtastsd/base/text.h"
#include "mtastsd/term/wrapping.h"

namespace mtastsd::report {
namespace {

constexpr std::size_t kIndent = 11;
constexpr std::size_t kLineIndent = 15;

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<Severity, std::string_view>, 6> kNames = {
    {{Severity::Ok, "OK"},
     {Severity::Info, "INFO"},
     {Severity::Unknown, "UNKNOWN"},
     {Severity::Low, "LOW"},
     {Severity::Medium, "MEDIUM"},
     {Severity::High, "HIGH"}}};

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

std::string_view to_string(Severity severity) {
  return kNames[static_cast<std::size_t>(severity)].second;
}

std::optional<Severity> parse_severity(std::string_view text) {
  for (const auto& [severity, name] : kNames) {
    if (equal_ignoring_case(text, name)) {
      return severity;
    }
  }
  return std::nullopt;
}

term::Colour colour_of(Severity severity) {
  switch (severity) {
    case Severity::Ok:
      return term::Colour::Green;
    case Severity::Info:
      return term::Colour::Dim;
    case Severity::Low:
      return term::Colour::Bold;
    case Severity::Unknown:
    case Severity::Medium:
      return term::Colour::Yellow;
    case Severity::High:
      return term::Colour::Red;
  }
  return term::Colour::None;
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
  for (const FixLine& one : finding.lines) {
    text += below("Fix in " + one.file + ":");
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
