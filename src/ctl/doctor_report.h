#pragma once

#include <string>
#include <vector>

#include "ctl/doctor_findings.h"
#include "ctl/terminal.h"

namespace mtastsd::ctl::doctor {

// For people: a verdict, then each finding with the lines that put it right.
std::string text_report(const Facts& facts, const std::vector<Finding>& findings,
                        const Terminal& terminal);

// One JSON object, as contrib/schema/doctor.json has it.
std::string json_report(const Facts& facts, const std::vector<Finding>& findings);

// kGood, kNotFound when something is wrong, kTrouble when nothing is but something could not be
// found out.
int exit_status(const std::vector<Finding>& findings);

}  // namespace mtastsd::ctl::doctor
