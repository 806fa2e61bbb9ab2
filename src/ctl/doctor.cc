#include <unistd.h>

#include <cstdio>
#include <string>

#include "daemon.h"
#include "mtastsd/doctor/findings.h"
#include "mtastsd/doctor/gather.h"
#include "mtastsd/doctor/report.h"
#include "mtastsd/term/terminal.h"
#include "verbs.h"

namespace mtastsd::ctl {
namespace {

struct Arguments {
  std::string postfix_config;
  std::string online;
  Settings settings;
  bool json = false;
};

int examine(Arguments& arguments) {
  const doctor::Facts facts =
      need(doctor::gather({arguments.postfix_config, arguments.settings.path, arguments.online}));
  const auto findings = doctor::judge(facts);
  const std::string report =
      arguments.json ? doctor::json_report(facts, findings)
                     : doctor::text_report(facts, findings, term::look_at(STDOUT_FILENO));
  std::fputs(report.c_str(), stdout);
  return doctor::exit_status(findings);
}

}  // namespace

void add_doctor(Verb& root) {
  Verb verb = root.add("doctor", "look for mistakes in the Postfix on this machine");
  Arguments& arguments = verb.runs(examine);
  verb.option("--postfix-config", arguments.postfix_config, "DIR",
              "Postfix's configuration directory, as for postconf -c (default: its own)");
  verb.option("--online", arguments.online, "DOMAIN",
              "also ask mtastsd about a domain whose policy has to be enforced");
  arguments.settings.add_option(verb);
  verb.flag("--json", arguments.json, "print one JSON object");
  verb.footer(
      "Reads main.cf and master.cf with postconf, asks mtastsd at its sockets, and\n"
      "changes nothing. Run it as root, because only root can test what smtp(8) may do.\n\n"
      "Examples:\n"
      "  mtastsctl doctor\n"
      "  mtastsctl doctor --postfix-config /etc/postfix-out\n"
      "  mtastsctl doctor --online gmail.com\n"
      "  mtastsctl doctor --json | jq '.findings[] | select(.severity == \"HIGH\")'\n\n"
      "Exit status: 0 all is well, 1 something is wrong, 2 it could not be determined.");
}

}  // namespace mtastsd::ctl
