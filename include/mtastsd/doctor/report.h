#pragma once

#include <string>
#include <vector>

#include "mtastsd/doctor/findings.h"
#include "mtastsd/term/terminal.h"

namespace mtastsd::doctor {

// For people: a verdict, then each finding with the lines that put it right.
std::string text_report(const Facts& facts, const std::vector<Finding>& findings,
                        const term::Terminal& terminal);

// One JSON object, as contrib/schema/doctor.json has it.
std::string json_report(const Facts& facts, const std::vector<Finding>& findings);

// kGood, kNotFound when something is wrong (HIGH or MEDIUM), kTrouble when nothing is but something
// could not be found out.
int exit_status(const std::vector<Finding>& findings);

}  // namespace mtastsd::doctor
