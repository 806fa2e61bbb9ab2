#pragma once

#include <string>

#include "option_table.h"

namespace mtastsd::ctl {

// Scripts that complete mtastsctl's verbs, options and their values in a shell. They are made when
// mtastsctl is built, from its own option table, and are no part of the program.
std::string bash_completion(const VerbSpec& table);
std::string zsh_completion(const VerbSpec& table);
std::string fish_completion(const VerbSpec& table);

}  // namespace mtastsd::ctl
