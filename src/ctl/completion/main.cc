// Prints the completions of mtastsctl for the shell that is named. Part of the build; not
// installed.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "completion/completion.h"
#include "verbs.h"

int main(int argc, char** argv) {
  using namespace mtastsd::ctl;
  const std::string shell = argc == 2 ? argv[1] : "";
  const auto make = shell == "bash"   ? bash_completion
                    : shell == "zsh"  ? zsh_completion
                    : shell == "fish" ? fish_completion
                                      : nullptr;
  if (make == nullptr) {
    std::fputs("usage: mtastsctl_completion bash|zsh|fish\n", stderr);
    return 2;
  }
  CLI::App app("", "mtastsctl");
  Verb::Run run;
  add_verbs(app, run);
  return std::fputs(make(option_table(app)).c_str(), stdout) < 0 ? 1 : 0;
}
