#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <string>

#include "mtastsd/term/exit_status.h"
#include "verbs.h"

int main(int argc, char** argv) {
  CLI::App app("mtastsctl: ask and inspect mtastsd", "mtastsctl");
  std::function<int()> run;
  mtastsd::ctl::add_verbs(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? mtastsd::term::kGood : mtastsd::term::kTrouble;
  }
  try {
    return run();
  } catch (const std::exception& error) {
    // What comes from outside is looked at where it comes in; what is left is a reply without the
    // fields that this version knows.
    return mtastsd::term::trouble(
        std::string("mtastsd and mtastsctl are of different versions? (") + error.what() + ")");
  }
}
