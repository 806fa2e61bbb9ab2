#!/usr/bin/env python3
"""Breaks the sender in one place at a time and shows that the simulation notices.

Each mutation is a text replaced in a copy of the source tree. The simulation alone is built
from it and run until a world fails. A mutation that no world notices, or whose text does not
occur exactly once, makes this script fail.

    tests/simulation/mutations.py [--jobs 2] [--only NAME]
    tests/simulation/mutations.py --check      (only looks for the texts)
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
WORLDS = ["--quiet", "--seeds", "40", "--domains", "60", "--days", "120"]

DECIDE = "src/resolver/decide.cc"
LIMITS = "include/mtastsd/resolver/decide.h"
QUEUE = "src/resolver/work_queue.cc"
RESOLVER = "src/resolver/resolver.cc"
STORE = "src/cache/lmdb/reader.cc"
READER = "src/cache/lmdb/reader.cc"
TABLES = "src/cache/lmdb/tables.cc"
ANSWERER = "src/answer/answerer.cc"
MEMO = "src/answer/reply_memo.cc"
REPLY = "src/answer/reply.cc"
DANE = "src/dane/state.cc"
FINDER = "src/dane/finder.cc"

# name, file, text, what stands there instead
MUTATIONS = [
    ("a policy never expires", DECIDE,
     "return facts.has_policy && now < end_of_life(facts);", "return facts.has_policy;"),
    ("a policy lives half of max_age", DECIDE,
     "return facts.fetched_at + std::max(facts.max_age, kMinLife);",
     "return facts.fetched_at + std::max(facts.max_age, kMinLife) / 2;"),
    ("a vanished record drops the policy", DECIDE,
     "    case Record::Status::None:\n",
     "    case Record::Status::None:\n      entry.policy.reset();\n"),
    ("DNS that fails drops the policy", RESOLVER,
     "    counters_.txt_failures.add();\n",
     "    counters_.txt_failures.add();\n    services_.store.erase(lookup.domain);\n"),
    ("a failed fetch drops the policy", DECIDE,
     "  if (alive(before, now)) {\n", "  after.entry.policy.reset();\n  if (false) {\n"),
    ("an unchanged id renews the policy", DECIDE,
     "      const bool current = valid && entry.policy->id == record.id;\n",
     "      const bool current = valid && entry.policy->id == record.id;\n"
     "      if (current) entry.policy->fetched_at = now;\n"),
    ("a new id is not fetched", DECIDE,
     "      const bool current = valid && entry.policy->id == record.id;",
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
    ("the record is checked once a day", DECIDE,
     "      entry.recheck_at = now + std::clamp(record.ttl, limits.recheck_min, limits.recheck_max);\n"
     "      // RFC 8461 section 5.1",
     "      entry.recheck_at = now + Seconds(86400);\n"
     "      // RFC 8461 section 5.1"),
    ("no refresh before the end", DECIDE,
     "  return policy.fetched_at + scaled(most, 0.85 + 0.15 * jitter);",
     "  return policy.expires_at() + scaled(most, 0 * jitter);"),
    ("a refresh without a record is not made", DECIDE,
     "      after.fetch = must_fetch;\n      break;\n    case Record::Status::DnsFailed:",
     "      break;\n    case Record::Status::DnsFailed:"),
    ("every refresh comes early", DECIDE,
     "  const Seconds most = std::min(limits.refresh_interval, policy.policy.max_age / 2);",
     "  const Seconds most = std::min(limits.refresh_interval, policy.policy.max_age / 2) / 3;"),
    ("unused policies are refreshed for ever", DECIDE,
     "  if (now >= entry.last_used_at + limits.idle_after) {",
     "  if (now >= entry.last_used_at + limits.idle_after * 100) {"),
    ("a max_age of 0 is a fetch a question", LIMITS,
     "constexpr Seconds kMinLife{2};", "constexpr Seconds kMinLife{0};"),
    ("a policy from the future is trusted", DECIDE,
     "  const bool from_future = valid && entry.policy->fetched_at > now;",
     "  const bool from_future = false;"),
    ("a policy that changed under its id is not taken", DECIDE,
     "  after.entry.policy = StoredPolicy{used_id, outcome->policy, now};",
     "  after.entry.policy = valid && before.policy->id == used_id\n"
     "      ? StoredPolicy{used_id, before.policy->policy, now}\n"
     "      : StoredPolicy{used_id, outcome->policy, now};"),
    ("a weaker mode is not taken", RESOLVER,
     "  if (!fetched) {\n    counters_.fetch_failures.add();",
     "  if (after.weaker) outcome.entry.policy = lookup.entry.policy;\n"
     "  if (!fetched) {\n    counters_.fetch_failures.add();"),
    ("nobody is warned", DECIDE,
     "    after.alarm = alarm_due(*before.policy, *after.entry.failure, now);",
     "    after.alarm = false && alarm_due(*before.policy, *after.entry.failure, now);"),
    ("the warning is not repeated", DECIDE,
     "  return half_life_passed || now >= failure.warned_at + Seconds(86400);",
     "  return half_life_passed;"),
    ("use is not noted", DECIDE,
     "  touched.last_used_at = now;\n", ""),
    ("a domain that comes back is not refreshed", DECIDE,
     "  const bool put_off = entry.due_at > latest;", "  const bool put_off = false;"),
    ("a refreshed policy is not stored", RESOLVER,
     "  services_.store.put(domain, *entry);\n",
     "  if (lookup.for_query) services_.store.put(domain, *entry);\n"),
    ("answers come from before the commit", READER,
     "  if (waiting && (!found || replaces(",
     "  if (waiting && waiting->origin != Origin::Resolver && (!found || replaces("),
    ("the index of due policies is not kept", TABLES,
     "  return mdb_put(txn, index_of(env, *view), &index, &value, 0);",
     "  return view->facts().has_policy && found == 0\n"
     "             ? 0 : mdb_put(txn, index_of(env, *view), &index, &value, 0);"),
    ("who waits is not told in time", ANSWERER,
     "  deadlines_.emplace_back(since + options_.answer_timeout, number);",
     "  deadlines_.emplace_back(since + 3 * options_.answer_timeout, number);"),
    ("a check made in the future holds", DECIDE,
     "  return now >= facts.recheck_at || now < facts.txt_checked_at;",
     "  return now >= facts.recheck_at;"),
    ("what a clock ahead put off is not looked at", STORE,
     "  for (const MDB_cursor_op start : {MDB_FIRST, MDB_LAST}) {",
     "  for (const MDB_cursor_op start : {MDB_FIRST}) {"),
    ("what a clock ahead put off stays put off", DECIDE,
     "entry.policy->fetched_at > now || entry.due_at > farthest_due(now, limits);",
     "entry.policy->fetched_at > now;"),
    ("a back-off from the future holds", DECIDE,
     "         entry.failure->retry_at <= now + longest_hold(limits);", "         true;"),
    ("a warning in the future silences the alarm", DECIDE,
     "  if (failure.warned_at == WallTime{} || failure.warned_at > now) {",
     "  if (failure.warned_at == WallTime{}) {"),
    ("a refresh that fails waits a week", DECIDE,
     "std::min(after.entry.failure->retry_at, end_of_life(*before.policy));",
     "std::min(now + kIdleRecheck, end_of_life(*before.policy));"),
    ("mail does not bring back what was put off", RESOLVER,
     "  if (auto touched = resolver::touch(*known, now, options_.limits)) {",
     "  if (auto touched = now < known->last_used_at + kTouchInterval\n"
     "          ? std::nullopt : resolver::touch(*known, now, options_.limits)) {"),
    ("a host gives no slot back", QUEUE,
     "    hosts_.at(*job.host).slots(job.host_lane).give_back(job.owner);\n"
     "    let_try_again(*job.host);\n", ""),
    ("a policy of mode none does not replace another", DECIDE,
     "  after.entry.failure.reset();\n  in_force(after.entry);",
     "  if (valid && outcome->policy.mode == mtasts::Mode::None) after.entry.policy = before.policy;"
     "\n  after.entry.failure.reset();\n  in_force(after.entry);"),
    ("a policy that has ended comes back under its id", DECIDE,
     "    set_policy_aside(entry, reason, now, record.detail);",
     "    if (record.status != Record::Status::Found) set_policy_aside(entry, reason, now, record.detail);\n"
     "    else if (entry.policy) entry.policy->fetched_at = now;"),
    ("a kept reply outlives its policy", MEMO, "now < entry.until &&", "true &&"),
    ("the policy overrides DANE", REPLY,
     "    known.standing = Standing::Dane;\n", "    known.until = now;\n"),
    ("what was known of DANE goes when DNS fails", DANE,
     "  return known != nullptr ? *known : Host{found.name, HostStatus::Unknown, {}};",
     "  return known == nullptr ? Host{found.name, HostStatus::Unknown, {}}\n"
     "                          : Host{known->name, HostStatus::Unknown, {}};"),
    ("what was known of DANE holds for ever", DANE,
     "  if (facts.ruling != Ruling::Unknown && now < end) {",
     "  if (facts.ruling != Ruling::Unknown) {"),
    ("what is known of DANE is not renewed", DANE,
     "  state.facts.renew_at = now + (", "  state.facts.renew_at = now + 500 * ("),
    ("a policy that is not enforced costs a survey", REPLY,
     "  if (known.standing == Standing::Enforced && question.profile.dane) {",
     "  if (known.standing != Standing::Unknown && question.profile.dane) {"),
    ("records that cannot be used count", FINDER,
     "  end(usable ? HostStatus::Usable : HostStatus::Unusable);",
     "  end(usable || true ? HostStatus::Usable : HostStatus::Unusable);"),
    ("a kept reply outlives a change", MEMO,
     "entry.version == versions_.version(entry.slot)", "true"),
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


def occurrences(tree, mutation):
    _, file, text, _ = mutation
    path = tree / file
    return path.read_text().count(text) if path.exists() else 0


def check():
    """Whether each mutation can still be made."""
    rotten = [m for m in MUTATIONS if occurrences(ROOT, m) != 1]
    for mutation in rotten:
        print(f"{mutation[0]}: its text occurs {occurrences(ROOT, mutation)} times in {mutation[1]}")
    return 1 if rotten else 0


def mutate(tree, out, jobs, mutation):
    """How it was noticed, or None, and whether that is as it should be."""
    name, file, text, instead = mutation
    path = tree / file
    if occurrences(tree, mutation) != 1:
        return f"its text occurs {occurrences(tree, mutation)} times", False
    original = path.read_text()
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
    parser.add_argument("--check", action="store_true",
                        help="build and run nothing: only look whether each text occurs once")
    options = parser.parse_args()
    if options.check:
        return check()
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
