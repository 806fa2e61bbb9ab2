#!/usr/bin/env python3
"""Breaks the sender in one place at a time and shows that the simulation notices.

Each mutation is a text replaced in a copy of the source tree. The simulation alone is built
from it and run until a world fails. A mutation that no world notices, or whose text is not
there any more, makes this script fail.

    tests/simulation/mutations.py [--jobs 2] [--only NAME]
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORLDS = ["--quiet", "--seeds", "12", "--domains", "60", "--days", "120"]

DECIDE = "src/resolver/decide.cc"
LIMITS = "include/mtastsd/resolver/decide.h"
RESOLUTION = "src/resolver/resolution.cc"
RESOLVER = "src/resolver/resolver.cc"
STORE = "src/cache/lmdb_store.cc"
TABLES = "src/cache/tables.cc"
ANSWERER = "src/answer/answerer.cc"

# name, file, text, what stands there instead
MUTATIONS = [
    ("a policy never expires", DECIDE,
     "return facts.has_policy && now < facts.fetched_at +",
     "return facts.has_policy || now < facts.fetched_at +"),
    ("a policy lives half of max_age", DECIDE,
     "now < facts.fetched_at + std::max(facts.max_age, kLeastLife);",
     "now < facts.fetched_at + std::max(facts.max_age, kLeastLife) / 2;"),
    ("a vanished record drops the policy", DECIDE,
     "    case TxtStatus::NoRecord:\n",
     "    case TxtStatus::NoRecord:\n      entry.policy.reset();\n"),
    ("DNS that fails counts as no record", RESOLUTION,
     "    txt.status = TxtStatus::Failed;",
     "    txt.status = TxtStatus::NoRecord;\n    services_.store.erase(domain_);"),
    ("a failed fetch drops the policy", DECIDE,
     "  if (alive(before, now)) {\n", "  if (false) {\n"),
    ("an unchanged id renews the policy", DECIDE,
     "      const bool current = valid && entry.policy->id == txt.id;\n",
     "      const bool current = valid && entry.policy->id == txt.id;\n"
     "      if (current) entry.policy->fetched_at = now;\n"),
    ("a new id is not fetched", DECIDE,
     "      const bool current = valid && entry.policy->id == txt.id;",
     "      const bool current = valid;"),
    ("no back-off after a failed fetch", DECIDE,
     "  return entry.failure && entry.failure->id == id && now < entry.failure->retry_at &&\n",
     "  return entry.failure && entry.failure->id == id && now < entry.failure->first_at &&\n"),
    ("the back-off holds for new ids as well", DECIDE,
     "  return entry.failure && entry.failure->id == id && now < entry.failure->retry_at &&\n",
     "  return entry.failure && !id.empty() && now < entry.failure->retry_at &&\n"),
    ("the back-off grows without end", DECIDE,
     "                                 std::max(kRetryMax, limits.retry_interval));",
     "                                 Seconds(86400 * 5));"),
    ("the record is looked at once a day", DECIDE,
     "      entry.recheck_at = now + std::clamp(txt.ttl, limits.recheck_min, limits.recheck_max);\n"
     "      // RFC 8461 section 5.1",
     "      entry.recheck_at = now + Seconds(86400);\n"
     "      // RFC 8461 section 5.1"),
    ("no refresh before the end", DECIDE,
     "  return policy.fetched_at + scaled(most, 0.85 + 0.15 * jitter);",
     "  return policy.expires_at() + scaled(most, 0 * jitter);"),
    ("a refresh without a record is not made", DECIDE,
     "      after.fetch = must_fetch;\n      break;\n    case TxtStatus::Failed:",
     "      break;\n    case TxtStatus::Failed:"),
    ("every refresh comes early", DECIDE,
     "  const Seconds most = std::min(limits.refresh_interval, policy.policy.max_age / 2);",
     "  const Seconds most = std::min(limits.refresh_interval, policy.policy.max_age / 2) / 3;"),
    ("unused policies are refreshed for ever", DECIDE,
     "  if (now >= entry.last_used_at + limits.idle_after) {",
     "  if (now >= entry.last_used_at + limits.idle_after * 100) {"),
    ("a max_age of 0 is a fetch a question", LIMITS,
     "constexpr Seconds kLeastLife{2};", "constexpr Seconds kLeastLife{0};"),
    ("a policy from the future is trusted", DECIDE,
     "  const bool from_future = valid && entry.policy->fetched_at > now;",
     "  const bool from_future = false;"),
    ("a policy that changed under its id is not taken", DECIDE,
     "  after.entry.policy = StoredPolicy{used_id, outcome->policy, outcome->text, now};",
     "  after.entry.policy = valid && before.policy->id == used_id\n"
     "      ? StoredPolicy{used_id, before.policy->policy, before.policy->text, now}\n"
     "      : StoredPolicy{used_id, outcome->policy, outcome->text, now};"),
    ("a weaker mode is not taken", RESOLUTION,
     "  result.fetched = outcome.has_value();",
     "  if (after.weaker) result.entry.policy = entry_.policy;\n"
     "  result.fetched = outcome.has_value();"),
    ("nobody is warned", DECIDE,
     "    after.alarm = alarm_due(*before.policy, *after.entry.failure, now);",
     "    after.alarm = false && alarm_due(*before.policy, *after.entry.failure, now);"),
    ("the warning is not repeated", DECIDE,
     "  return half_life_passed || now >= failure.warned_at + Seconds(86400);",
     "  return half_life_passed;"),
    ("use is not noted", DECIDE,
     "  entry.last_used_at = now;\n  return true;", "  return true;"),
    ("a domain that comes back is not refreshed", DECIDE,
     "  const bool let_go = entry.due_at > latest;", "  const bool let_go = false;"),
    ("a refreshed policy is not stored", RESOLVER,
     "  services_.store.put(domain, outcome.entry);\n  log_outcome",
     "  if (for_query) services_.store.put(domain, outcome.entry);\n  log_outcome"),
    ("what waits for its commit is not found", STORE,
     "      record = it->second.record;\n      pending = true;",
     "      record = it->second.record;"),
    ("answers come from before the commit", ANSWERER,
     "  if (!store_.unsaved().may_hold(*domain) && from_cache(",
     "  if (from_cache("),
    ("the index of due policies is not kept", TABLES,
     "  return mdb_put(txn, index_of(env, *view), &index, &value, 0);",
     "  return view->facts().has_policy && found == 0\n"
     "             ? 0 : mdb_put(txn, index_of(env, *view), &index, &value, 0);"),
    ("who waits is not told in time", ANSWERER,
     "  deadlines_.emplace_back(clock_.steady() + options_.answer_timeout, question);",
     "  deadlines_.emplace_back(clock_.steady() + 3 * options_.answer_timeout, question);"),
    ("a check made in the future holds", DECIDE,
     "  return now >= facts.recheck_at || now < facts.txt_checked_at;",
     "  return now >= facts.recheck_at;"),
    ("what a clock ahead put off is not looked at", STORE,
     "  for (const MDB_cursor_op start : {MDB_FIRST, MDB_LAST}) {",
     "  for (const MDB_cursor_op start : {MDB_FIRST}) {"),
    ("what a clock ahead put off stays put off", DECIDE,
     "entry.policy->fetched_at > now || entry.due_at > farthest_due(now, limits);",
     "entry.policy->fetched_at > now;"),
    ("an idle policy is looked at again at its end", DECIDE,
     "std::min(entry.policy->expires_at(), now + kIdleLook);", "entry.policy->expires_at();"),
    ("a back-off from the future holds", DECIDE,
     "         entry.failure->retry_at <= now + longest_hold(limits);", "         true;"),
    ("a warning in the future silences the alarm", DECIDE,
     "  if (failure.warned_at == WallTime{} || failure.warned_at > now) {",
     "  if (failure.warned_at == WallTime{}) {"),
    ("a refresh that fails waits a week", DECIDE,
     "std::min(after.entry.failure->retry_at, before.policy->expires_at());",
     "std::min(now + kIdleLook, before.policy->expires_at());"),
    ("mail does not bring back what was put off", RESOLVER,
     "    if (note_use(*entry, now, options_.limits)) {",
     "    if (now >= entry->last_used_at + kUseResolution &&\n"
     "        note_use(*entry, now, options_.limits)) {"),
    ("a host gives no place back", RESOLVER,
     "    release_host(*resolution.host());\n", ""),
    ("a policy of mode none does not replace another", DECIDE,
     "  after.entry.failure.reset();\n  after.entry.due_at",
     "  if (valid && outcome->policy.mode == mtasts::Mode::None) after.entry.policy = before.policy;"
     "\n  after.entry.failure.reset();\n  after.entry.due_at"),
    ("a policy that has ended comes back under its id", DECIDE,
     "    entry.policy.reset();  // its time is over",
     "    if (txt.status != TxtStatus::Found) entry.policy.reset();\n"
     "    else if (entry.policy) entry.policy->fetched_at = now;"),
    ("a kept reply outlives its policy", "src/answer/recent_answers.cc",
     "now < slot.until &&", "true &&"),
    ("a kept reply outlives a change", "src/answer/answerer.cc",
     "known->changes != store_.unsaved().changes(known->place)", "false"),
]


def build(tree, out, jobs):
    if not (out / "build.ninja").exists():
        subprocess.run(["cmake", "-S", tree, "-B", out, "-G", "Ninja",
                        "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"],
                       check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(["cmake", "--build", out, "--target", "mtastsd_simulation",
                           "-j", str(jobs)], capture_output=True, text=True)
    return done.returncode == 0, done.stdout


def run(out):
    began = time.monotonic()
    try:
        done = subprocess.run([out / "tests/simulation/mtastsd_simulation", *WORLDS],
                              capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return "no end", time.monotonic() - began
    took = time.monotonic() - began
    if done.returncode == 0:
        return None, took
    rule = re.search("^violated: (.*)$", done.stdout, re.M)
    world = re.search(r"^seed (\d+): \d+ domains, (\d+) days", done.stdout, re.M)
    if not rule or not world:
        return f"exit status {done.returncode}", took
    return f"{rule[1]}; seed {world[1]}, day {world[2]}", took


def mutate(tree, out, jobs, mutation):
    """How it was noticed, or None, and whether that is as it should be."""
    name, file, text, instead = mutation
    path = tree / file
    original = path.read_text()
    if original.count(text) != 1:
        return f"the text is there {original.count(text)} times", False
    path.write_text(original.replace(text, instead))
    try:
        built, output = build(tree, out, jobs)
        if not built:
            return "does not build: " + output.strip().splitlines()[-1], False
        found, took = run(out)
        return f"{found or 'NOT NOTICED'} ({took:.1f} s)", found is not None
    finally:
        path.write_text(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="the mutations whose name has this in it")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.only or options.only in m[0]]
    with tempfile.TemporaryDirectory(prefix="mtastsd-mutations-") as scratch:
        tree = pathlib.Path(scratch) / "tree"
        out = pathlib.Path(scratch) / "build"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "build"))
        built, output = build(tree, out, options.jobs)
        if not built:
            sys.exit("the tree itself does not build:\n" + output)
        found, took = run(out)
        if found:
            sys.exit("the simulation fails without any mutation: " + found)
        print(f"without a mutation: nothing noticed ({took:.1f} s)")
        missed = 0
        for mutation in chosen:
            verdict, good = mutate(tree, out, options.jobs, mutation)
            missed += not good
            print(f"{'ok  ' if good else 'FAIL'}  {mutation[0]:50} {verdict}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
