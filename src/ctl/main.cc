#include <CLI/CLI.hpp>

#include "mtastsd/term/exit_status.h"
#include "trouble.h"
#include "verbs.h"

int main(int argc, char** argv) {
  CLI::App app("mtastsctl: ask mtastsd, and look into it", "mtastsctl");
  mtastsd::ctl::Verb::Run run;
  mtastsd::ctl::add_verbs(app, run);
  try {
    app.parse(argc, argv);
    return run();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? mtastsd::term::kGood : mtastsd::term::kTrouble;
  } catch (const mtastsd::ctl::Trouble& trouble) {
    return mtastsd::term::trouble(trouble.what());
  }
}
