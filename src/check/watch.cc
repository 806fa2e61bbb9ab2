#include "mtastsd/check/watch.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mtastsd/report/finding.h"

namespace mtastsd::check {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;

// The details of these differ from run to run although nothing has changed.
bool has_fleeting_detail(const FindingKind& kind) {
  return kind.severity == Severity::Unknown || kind.id == Code::Slow || kind.id == Code::CacheStale;
}

void append_missing(std::string& text, std::string_view mark, const std::vector<std::string>& from,
                    const std::vector<std::string>& in) {
  for (const std::string& finding : from) {
    if (std::find(in.begin(), in.end(), finding) == in.end()) {
      text += "  " + std::string(mark) + finding + "\n";
    }
  }
}

}  // namespace

Remembered remember(const Report& report) {
  Remembered now{.verdict = std::string(to_string(report.verdict())),
                 .score = report.score().total,
                 .findings = {}};
  for (const Finding& finding : report.findings()) {
    std::string text =
        std::string(to_string(finding.kind->severity)) + " " + std::string(finding.kind->code);
    if (!finding.detail.empty() && !has_fleeting_detail(*finding.kind)) {
      text += ": " + finding.detail;
    }
    now.findings.push_back(std::move(text));
  }
  return now;
}

std::string changes(const std::string& domain, const Remembered& before, const Remembered& now) {
  if (before == now) {
    return "";
  }
  std::string text = domain + ": " + now.verdict;
  if (now.verdict != before.verdict) {
    text += " (was " + before.verdict + ")";
  }
  text += ", score " + std::to_string(now.score);
  if (now.score != before.score) {
    text += " (was " + std::to_string(before.score) + ")";
  }
  text += "\n";
  append_missing(text, "new   ", now.findings, before.findings);
  append_missing(text, "gone  ", before.findings, now.findings);
  return text;
}

std::string to_text(const Memory& memory) {
  Json domains = Json::object();
  for (const auto& [domain, remembered] : memory) {
    domains[domain] = {{"verdict", remembered.verdict},
                       {"score", remembered.score},
                       {"findings", remembered.findings}};
  }
  return report::to_text({{"format", kFormat}, {"domains", std::move(domains)}});
}

std::optional<Memory> parse_memory(std::string_view text) {
  try {
    const Json document = Json::parse(text);
    if (document.at("format") != kFormat) {
      return std::nullopt;
    }
    Memory memory;
    for (const auto& [domain, value] : document.at("domains").items()) {
      memory[domain] = {.verdict = value.at("verdict").get<std::string>(),
                        .score = value.at("score").get<int>(),
                        .findings = value.at("findings").get<std::vector<std::string>>()};
    }
    return memory;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace mtastsd::check
