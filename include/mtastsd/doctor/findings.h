#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mtastsd/doctor/facts.h"

namespace mtastsd::doctor {

// Error: mail is deferred or policies are not applied. Warning: they are, but less well than they
// could be. Unknown: could not be found out.
enum class Severity { Error, Warning, Unknown, Note, Good };

std::string_view name_of(Severity severity);

// A line that puts it right, and the file that it belongs to.
struct Fix {
  std::string file;
  std::string line;
  friend bool operator==(const Fix&, const Fix&) = default;
};

struct Finding {
  std::string_view code;  // stable, for scripts
  Severity severity = Severity::Good;
  std::string subject;  // a parameter of Postfix, or what else it is about
  std::string text;
  std::vector<Fix> fixes;
  std::vector<std::string> services;  // of master.cf; empty: all of them
};

// Everything that is right or wrong, the worst first, each thing once. Pure.
std::vector<Finding> judge(const Facts& facts);

// The rules by what they look at, one service of master.cf at a time; for judge.
std::vector<Finding> judge_maps(const Facts& facts, const SmtpService& service);
std::vector<Finding> judge_tls(const Facts& facts, const SmtpService& service);
std::vector<Finding> judge_machine(const Facts& facts);

// For the rules: the fix that sets a parameter where the service has it from.
Fix set_parameter(const SmtpService& service, std::string_view name, std::string_view value);

// The table that asks mtastsd, as this Postfix should have it.
std::string recommended_table(const Facts& facts);
// The map's name in it.
std::string recommended_map(const Facts& facts);

}  // namespace mtastsd::doctor
