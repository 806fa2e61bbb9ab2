#pragma once

#include <string>
#include <vector>

#include "mtastsd/doctor/findings.h"
#include "mtastsd/term/terminal.h"

namespace mtastsd::doctor {

// The lines of all findings, each once, in the order in which they are applied: commands,
// mtastsd.toml, a restart of mtastsd, main.cf and master.cf, and a reload of Postfix.
std::vector<Fix> changes(const Facts& facts, const std::vector<Finding>& findings);

// For people: a verdict, then each finding with the lines that put it right.
std::string text_report(const Facts& facts, const std::vector<Finding>& findings,
                        const term::Terminal& terminal);

// Returns one JSON object, as described in contrib/schema/doctor.json.
std::string json_report(const Facts& facts, const std::vector<Finding>& findings);

// Returns kNotFound if something is wrong (HIGH or MEDIUM), otherwise kTrouble if something could
// not be determined, and otherwise kGood.
int exit_status(const std::vector<Finding>& findings);

}  // namespace mtastsd::doctor
