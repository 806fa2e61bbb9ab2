#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <string>

#include "ctl/cache.h"
#include "ctl/check.h"
#include "ctl/doctor.h"
#include "ctl/exit_status.h"
#include "ctl/explain.h"
#include "ctl/query.h"
#include "ctl/status.h"
#include "ctl/warm.h"
#include "mtastsd/base/version.h"

int main(int argc, char** argv) {
  CLI::App app("mtastsctl: ask and inspect mtastsd", "mtastsctl");
  app.set_version_flag("--version", std::string("mtastsctl ") + mtastsd::kVersion);
  app.require_subcommand(1);
  app.footer("Exit status: 0 good, 1 found wanting or not found, 2 could not find out.");
  std::function<int()> run;
  mtastsd::ctl::add_query(app, run);
  mtastsd::ctl::add_explain(app, run);
  mtastsd::ctl::add_status(app, run);
  mtastsd::ctl::add_cache(app, run);
  mtastsd::ctl::add_warm(app, run);
  mtastsd::ctl::add_check(app, run);
  mtastsd::ctl::add_doctor(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? mtastsd::ctl::kGood : mtastsd::ctl::kTrouble;
  }
  try {
    return run();
  } catch (const std::exception& error) {
    // What comes from outside is looked at where it comes in; what is left is a reply without the
    // fields that this version knows.
    return mtastsd::ctl::trouble(std::string("mtastsd and mtastsctl are of different versions? (") +
                                 error.what() + ")");
  }
}
