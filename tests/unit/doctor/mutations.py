#!/usr/bin/env python3
"""Breaks the rules of doctor in one place at a time and shows that the unit tests notice.

Each mutation is a text replaced in a copy of the source tree, of which the unit tests of doctor
alone are built and run. A mutation that no test notices, or whose text does not occur exactly once,
makes this script fail.

    tests/unit/doctor/mutations.py [--jobs 2] [--only NAME]
    tests/unit/doctor/mutations.py --check      (only looks for the texts)
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
REMEDY = "src/doctor/remedy.cc"
MAPS = "src/doctor/map_rules.cc"
TLS = "src/doctor/tls_rules.cc"
STRENGTH = "src/doctor/tls_strength.cc"
HOST = "src/doctor/findings.cc"

# name, file, text, what stands there instead
MUTATIONS = [
    ("an unknown type stays in the list", REMEDY,
     "unknown_type(facts, table) || is_beyond_repair(", "is_beyond_repair("),
    ("a table that is missing stays in the list", REMEDY,
     "unknown_type(facts, table) || is_beyond_repair(facts, service, table)",
     "unknown_type(facts, table)"),
    ("what matches everything stays in front", REMEDY,
     "        list.keep_last(table);", "        list.keep(table);"),
    ("what matches everything may be no level", REMEDY,
     "if (begins_with_level(answer->everything)) {", "if (true) {"),
    ("mtastsd is asked twice", REMEDY,
     "if (i == mtastsd || again ||", "if (i == mtastsd ||"),
    ("the members of a union are lost", REMEDY,
     "          list.keep(member);\n", "          continue;\n"),
    ("an absolute path is good in the chroot", REMEDY,
     "return any_chrooted(services) ? std::nullopt : std::optional(",
     "return false ? std::nullopt : std::optional("),
    ("a socket below the queue keeps its absolute path", REMEDY,
     'return "unix:" + address.path.substr(queue.size());', 'return "unix:" + address.path;'),
    ("a listener that cannot be is recommended", REMEDY,
     "    if (usable(facts, address)) {", "    if (true) {"),
    ("no address is added for the chroot", REMEDY,
     "  if (!enough || wanted.empty()) {", "  if (wanted.empty()) {"),
    ("a server elsewhere is replaced", REMEDY,
     "  if (good && (answer->elsewhere || facts.config_unknown())) {",
     "  if (good && facts.config_unknown()) {"),
    ("the proxy stays although it refuses", REMEDY,
     "  if (table.proxied && !proxy_allows(facts, table)) {", "  if (false) {"),
    ("no restart", REMEDY, "  if (restart || std::any_of(", "  if (std::any_of("),
    ("the map of another version is kept", REMEDY,
     "map->second.report_attributes == can->report_attributes &&\n", "\n"),
    ("the map without SNI is kept", REMEDY,
     "map->second.servername == can->servername &&", ""),
    ("the map does no DANE", REMEDY, " && map->second.dane == dane &&", " &&"),
    ("only main.cf is set", REMEDY,
     "  if (service.overrides.find(name) == service.overrides.end()) {\n    return {\"main.cf\"",
     "  if (true) {\n    return {\"main.cf\""),
    ("DNSSEC is turned off for one and on for another", REMEDY,
     "wants_dane(facts, every) ?", "dane ?"),
    ("randmap is as good as a list", MAPS,
     'table.members.size() == 1 && table.type != "randmap"', "table.members.size() == 1"),
    ("a server that knows everything is mtastsd", MAPS,
     "  if (answer->good && !answer->everything.empty()) {", "  if (false) {"),
    ("a stranger is not noticed", MAPS,
     "  if (stranger != view.facts.strangers.end()) {", "  if (false) {"),
    ("strict levels are weakened", TLS,
     'deferred. mtastsd needs only \\"may\\".",\n                    level));',
     'deferred. mtastsd needs only \\"may\\".",\n                    level), use_may);'),
    ("fingerprint needs no fingerprint", TLS,
     'level == "fingerprint" && view.value(', 'level == "" && view.value('),
    ("trust anchors hide the authorities", TLS,
     "  if (file.empty() && path.empty()) {", "  if (anchors.empty() && file.empty() && path.empty()) {"),
    ("TLS 1.3 alone is enough", TLS, "  } else if (!left->tls1_2) {", "  } else if (false) {"),
    ("one list of excluded ciphers is looked at", TLS,
     'leaves_usual_ciphers(list, first + " " + second)', "leaves_usual_ciphers(list, first)"),
    ("an excluded protocol is there", STRENGTH, " && !excluded.at(number) &&", " &&"),
    ("a lower bound is none", STRENGTH, "number >= lowest && ", ""),
    ("excluded ciphers are there", STRENGTH, '    text.append(":!").append(word);\n', ""),
    ("a transport that is missing is none of our business", HOST,
     "  } else if (!by_smtp) {", "  } else if (false) {"),
    ("a socket starts nothing", HOST,
     "!starts && unit.enabled", "unit.enabled"),
    ("a map with DANE is not noticed", REMEDY,
     "    return map.profile != nullptr && map.profile->dane;\n", "    return false;\n"),
    ("every DNS server is far away", HOST,
     "    if (!resolver.trusted) {\n      found.push_back({Code::DnsRemote,",
     "    if (true) {\n      found.push_back({Code::DnsRemote,"),
    ("any answer about an impossible name will do", HOST,
     'if (one.reply.starts_with("NOTFOUND")) {', "if (!one.reply.empty()) {"),
    ("any answer about the online domain will do", HOST,
     'if (one.reply.starts_with("OK secure") ||', "if (!one.reply.empty() ||"),
]


def build(tree, out, jobs):
    if not (out / "build.ninja").exists():
        subprocess.run(["cmake", "-S", tree, "-B", out, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                        "-DCMAKE_CXX_FLAGS=-O0", "-DCMAKE_CXX_FLAGS_DEBUG="],
                       check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(["cmake", "--build", out, "--target", "unit_doctor", "-j", str(jobs)],
                          capture_output=True, text=True)
    return done.returncode == 0, done.stdout


def run(out):
    """The first test that fails, or None."""
    done = subprocess.run([out / "tests/unit_doctor", "--gtest_fail_fast", "--gtest_brief"],
                          capture_output=True, text=True, timeout=300)
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith("[  FAILED  ]")]
    return failed[0][13:].partition(" (")[0] if failed else f"exit status {done.returncode}"


def occurrences(tree, mutation):
    path = tree / mutation[1]
    return path.read_text().count(mutation[2]) if path.exists() else 0


def check():
    """Whether each mutation can still be made."""
    rotten = [m for m in MUTATIONS if occurrences(ROOT, m) != 1]
    for mutation in rotten:
        print(f"{mutation[0]}: its text occurs {occurrences(ROOT, mutation)} times in {mutation[1]}")
    return 1 if rotten else 0


def mutate(tree, out, jobs, mutation):
    """How it was noticed, and whether that is as it should be."""
    _, file, text, instead = mutation
    path = tree / file
    if occurrences(tree, mutation) != 1:
        return f"its text occurs {occurrences(tree, mutation)} times", False
    original = path.read_text()
    path.write_text(original.replace(text, instead))
    try:
        built, output = build(tree, out, jobs)
        if not built:
            return "does not build: " + output.strip().splitlines()[-1], False
        found = run(out)
        return found or "NOT NOTICED", found is not None
    finally:
        path.write_text(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="the mutations whose name has this in it")
    parser.add_argument("--check", action="store_true",
                        help="build and run nothing: only look whether each text occurs once")
    options = parser.parse_args()
    if options.check:
        return check()
    chosen = [m for m in MUTATIONS if not options.only or options.only in m[0]]
    with tempfile.TemporaryDirectory(prefix="mtastsd-mutations-") as scratch:
        tree, out = pathlib.Path(scratch) / "tree", pathlib.Path(scratch) / "build"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "build"))
        built, output = build(tree, out, options.jobs)
        if not built:
            sys.exit("the tree itself does not build:\n" + output)
        if run(out):
            sys.exit("a test fails without any mutation")
        missed = 0
        for mutation in chosen:
            verdict, good = mutate(tree, out, options.jobs, mutation)
            missed += not good
            print(f"{'ok  ' if good else 'FAIL'}  {mutation[0]:50} {verdict}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
