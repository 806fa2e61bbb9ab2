#include "verbs.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>
#include <string>

#include "help.h"
#include "mtastsd/base/version.h"

namespace mtastsd::ctl {
namespace {

struct Examples {
  const char* verb;  // "cache list"
  const char* text;
};

constexpr Examples kExamples[] = {
    {"query",
     "  mtastsctl query example.com\n"
     "  mtastsctl query --map QUERYwithTLSRPT '[relay.example]:587'\n"
     "  mtastsctl query -v - < domains"},
    {"explain",
     "  mtastsctl explain example.com\n"
     "  mtastsctl explain --map QUERYwithTLSRPT example.com"},
    {"check",
     "  mtastsctl check example.com\n"
     "  mtastsctl check --smtp example.com example.net\n"
     "  mtastsctl check --fail-on high --format markdown example.com > report.md"},
    {"status",
     "  mtastsctl status\n"
     "  mtastsctl status --json"},
    {"warm",
     "  mtastsctl warm domains\n"
     "  cut -d@ -f2 addresses | sort -u | mtastsctl warm --rate 10 -"},
    {"cache",
     "  mtastsctl cache list --failing\n"
     "  mtastsctl cache show example.com\n"
     "  mtastsctl cache refresh example.com\n"
     "  mtastsctl cache list --help"},
    {"cache list",
     "  mtastsctl cache list --mode enforce\n"
     "  mtastsctl cache list --failing --expiring 2d\n"
     "  mtastsctl cache list --match '*.example.com'"},
    {"cache show", "  mtastsctl cache show example.com"},
    {"cache stats", "  mtastsctl cache stats"},
    {"cache refresh", "  mtastsctl cache refresh example.com"},
    {"cache forget",
     "  mtastsctl cache forget example.com\n"
     "  mtastsctl cache forget --yes example.com"},
    {"cache export",
     "  mtastsctl cache export > policies\n"
     "  mtastsctl cache export --postfix > /etc/postfix/tls_policy"},
    {"cache import",
     "  mtastsctl cache import policies\n"
     "  ssh old-host mtastsctl cache export | mtastsctl cache import"},
};

CLI::App* subcommand(CLI::App* app, const std::string& name) {
  const auto found =
      app->get_subcommands([&](const CLI::App* sub) { return sub->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

// Before what a verb says itself at the end of its help, unless that has examples already.
void add_examples(CLI::App& app) {
  for (const Examples& examples : kExamples) {
    CLI::App* verb = &app;
    std::istringstream names(examples.verb);
    for (std::string name; verb != nullptr && names >> name;) {
      verb = subcommand(verb, name);
    }
    if (verb == nullptr || verb->get_footer().find("Example") != std::string::npos) {
      continue;
    }
    const std::string own = verb->get_footer();
    verb->footer(std::string("Examples:\n") + examples.text + (own.empty() ? "" : "\n\n" + own));
  }
}

}  // namespace

void add_verbs(CLI::App& app, Verb::Run& run) {
  app.formatter(std::make_shared<HelpFormatter>());  // before the verbs, which take it over
  app.set_version_flag("--version", std::string("mtastsctl ") + kVersion, "print the version");
  Verb root(app, run);
  add_query(root);
  add_explain(root);
  add_status(root);
  add_cache(root);
  add_warm(root);
  add_check(root);
  add_doctor(root);
  add_examples(app);
  // After the verbs, which would take it over as theirs.
  app.footer(
      "Examples:\n"
      "  mtastsctl query example.com     what Postfix is told about example.com\n"
      "  mtastsctl doctor                mistakes in the Postfix on this machine\n"
      "  mtastsctl cache list --failing  policies that cannot be refreshed\n"
      "  mtastsctl VERB --help           options of a verb, and more examples\n\n"
      "Exit status: 0 good, 1 wrong or not found, 2 could not be determined.");
}

}  // namespace mtastsd::ctl
