#pragma once

#include <functional>
#include <string>

#include "option_table.h"

namespace CLI {
class App;
}

namespace mtastsd::ctl {

// Scripts that complete mtastsctl's verbs, options and their values in a shell.
std::string bash_completion(const VerbSpec& table);
std::string zsh_completion(const VerbSpec& table);
std::string fish_completion(const VerbSpec& table);

// `mtastsctl completion bash|zsh|fish`, hidden: prints the script, for the installation.
void add_completion(CLI::App& app, std::function<int()>& run);

}  // namespace mtastsd::ctl
