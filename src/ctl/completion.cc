#include "completion.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "mtastsd/term/exit_status.h"

namespace mtastsd::ctl {

void add_completion(CLI::App& app, std::function<int()>& run) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "print completions for a shell")->group("");
  verb->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->callback([shell, &app, &run] {
    run = [shell, &app] {
      const VerbSpec table = option_table(app);
      const std::string script = *shell == "bash"  ? bash_completion(table)
                                 : *shell == "zsh" ? zsh_completion(table)
                                                   : fish_completion(table);
      return std::fputs(script.c_str(), stdout) < 0 ? term::kTrouble : term::kGood;
    };
  });
}

}  // namespace mtastsd::ctl
