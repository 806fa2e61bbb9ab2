#include <CLI/CLI.hpp>
#include <algorithm>

#include "mtastsd/term/exit_status.h"
#include "trouble.h"
#include "verbs.h"

int main(int argc, char** argv) {
  CLI::App app("mtastsctl: ask mtastsd, and look into it", "mtastsctl");
  mtastsd::ctl::Verb::Run run;
  mtastsd::ctl::add_verbs(app, run);
  if (const auto wrong = mtastsd::ctl::wrong_verb(app, {argv + 1, argv + std::max(argc, 1)})) {
    return mtastsd::term::trouble(*wrong);
  }
  try {
    app.parse(argc, argv);
    return run();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? mtastsd::term::kGood : mtastsd::term::kTrouble;
  } catch (const mtastsd::ctl::Trouble& trouble) {
    return mtastsd::term::trouble(trouble.what());
  }
}
