#!/usr/bin/env python3
"""Runs the benchmarks against a build and prints one table; README.md explains it.

The exit status is 1 when a limit is missed.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile

import burst
import growing
import lab as laboratory
import parts

PARTS = {"hits": parts.hits, "cold": parts.cold, "burst": burst.burst, "both": parts.both,
         "growing": growing.growing, "connecting": growing.connecting,
         "threads": growing.threads, "rest": growing.rest, "micro": growing.micro}


@dataclasses.dataclass
class Plan:
    """How much of everything."""
    quick: bool
    syscalls: bool
    rounds: int
    seconds: float
    paced_seconds: float
    warmup: float
    cold_domains: int
    cold_rounds: int
    bursts: tuple
    both_rounds: int
    idle_seconds: float
    sizes: tuple  # policies of the caches that are compared with a small one


def plan_of(arguments):
    if arguments.quick:
        plan = Plan(True, True, 7, 0.3, 1.0, 0.1, 500, 3, (1000,), 5, 1.5, (1_000_000,))
    else:
        plan = Plan(False, True, 15, 0.4, 1.0, 0.1, 2000, 5, (1000, 5000), 9, 2.0, (1_000_000,))
    if arguments.rounds:
        plan.rounds = plan.cold_rounds = plan.both_rounds = arguments.rounds
    if arguments.huge:
        plan.sizes = (1_000_000, 10_000_000)
    plan.syscalls = not arguments.no_syscalls
    return plan


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", metavar="DIR",
                        help="build directory, configured with -DMTASTSD_BENCH=ON")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; repeatable")
    parser.add_argument("--rounds", type=int, help="rounds of every comparison")
    parser.add_argument("--huge", action="store_true",
                        help="growing: also ten million policies (4 GB of disk, some minutes)")
    parser.add_argument("--json", metavar="FILE", help="also write a line of JSON for each row")
    parser.add_argument("--no-pin", action="store_true",
                        help="let the scheduler place server and load generator")
    parser.add_argument("--no-syscalls", action="store_true", help="do not count system calls")
    return parser.parse_args()


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bound(row, value):
    return "" if value is None else f"{'>=' if row.at_least else '<='} {value:g}"


def verdict(row):
    if row.missed:
        return "MISSED"
    if row.goal is not None and not row.meets(row.goal):
        return "not yet"
    return "" if row.limit is None and row.goal is None else "ok"


def print_row(row):
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    print(f"{row.figure:23} {number(row.ours):>9} {number(row.reference):>9} {ratio:>6} "
          f"{bound(row, row.limit):>7} {bound(row, row.goal):>7}  {verdict(row)}".rstrip(),
          flush=True)


def print_machine():
    print(f"{os.cpu_count()} CPUs, load {', '.join(f'{each:.2f}' for each in os.getloadavg())}, "
          f"kernel {os.uname().release}")


def run(arguments):
    plan = plan_of(arguments)
    rows, case = [], None
    with tempfile.TemporaryDirectory(prefix="mtastsd-bench-") as directory:
        os.chmod(directory, 0o755)  # nginx's worker runs as a user of its own
        lab = laboratory.Lab(os.path.abspath(arguments.build), directory, not arguments.no_pin)
        for name, part in PARTS.items():
            if arguments.only and name not in arguments.only:
                continue
            print_machine()
            for row in part(lab.below(name), plan):
                if (row.part, row.case) != case:
                    case = (row.part, row.case)
                    print(f"\n{row.part}: {row.case}\n{'':23} {row.columns[0]:>9} "
                          f"{row.columns[1]:>9} {'ratio':>6} {'limit':>7} {'goal':>7}")
                print_row(row)
                rows.append(row)
            print()
    return rows


def main():
    arguments = parse_arguments()
    try:
        rows = run(arguments)
    except (laboratory.sandbox.TestEnvironmentError, AssertionError) as error:
        sys.exit(str(error))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(dict(dataclasses.asdict(row), missed=row.missed)) + "\n")
    print_machine()
    missed = [row for row in rows if row.missed]
    for row in missed:
        print(f"missed: {row.part}: {row.case}: {row.figure}: {row.ratio:.2f}, "
              f"limit {bound(row, row.limit)}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
