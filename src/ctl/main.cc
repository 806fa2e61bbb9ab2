#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "ctl/check.h"
#include "ctl/doctor.h"
#include "ctl/exit_status.h"
#include "ctl/query.h"
#include "mtastsd/base/version.h"

int main(int argc, char** argv) {
  CLI::App app("mtastsctl: ask and inspect mtastsd", "mtastsctl");
  app.set_version_flag("--version", std::string("mtastsctl ") + mtastsd::kVersion);
  app.require_subcommand(1);
  app.footer("Exit status: 0 found, 1 not found, 2 trouble.");
  std::function<int()> run;
  mtastsd::ctl::add_query(app, run);
  mtastsd::ctl::add_check(app, run);
  mtastsd::ctl::add_doctor(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? mtastsd::ctl::kGood : mtastsd::ctl::kTrouble;
  }
  return run();
}
