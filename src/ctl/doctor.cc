#include "doctor.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "mtastsd/doctor/findings.h"
#include "mtastsd/doctor/gather.h"
#include "mtastsd/doctor/report.h"
#include "mtastsd/term/exit_status.h"
#include "mtastsd/term/terminal.h"
#include "settings.h"

namespace mtastsd::ctl {
namespace {

struct Arguments {
  std::string postfix_config;
  Settings settings;
  bool json = false;
};

int examine(const Arguments& arguments) {
  const auto facts = doctor::gather({arguments.postfix_config, arguments.settings.path});
  if (!facts) {
    return term::trouble(facts.error());
  }
  const auto findings = doctor::judge(*facts);
  const std::string report =
      arguments.json ? doctor::json_report(*facts, findings)
                     : doctor::text_report(*facts, findings, term::look_at(STDOUT_FILENO));
  std::fputs(report.c_str(), stdout);
  return doctor::exit_status(findings);
}

}  // namespace

void add_doctor(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("doctor", "look for mistakes in the Postfix on this machine");
  verb->add_option("--postfix-config", arguments->postfix_config,
                   "Postfix's configuration directory, as for postconf -c (default: its own)")
      ->type_name("DIR");
  arguments->settings.add_option(*verb);
  verb->add_flag("--json", arguments->json, "print one JSON object");
  verb->footer(
      "Reads main.cf and master.cf by postconf, asks mtastsd by postmap -q, and changes\n"
      "nothing. Run it as root: only then it can try what smtp(8) may do.\n\n"
      "Examples:\n"
      "  mtastsctl doctor\n"
      "  mtastsctl doctor --postfix-config /etc/postfix-out\n"
      "  mtastsctl doctor --json | jq '.findings[] | select(.severity == \"error\")'\n\n"
      "Exit status: 0 all is well, 1 something is wrong, 2 it could not be found out.");
  verb->callback([arguments, &run] { run = [arguments] { return examine(*arguments); }; });
}

}  // namespace mtastsd::ctl
