#!/usr/bin/env python3
"""Counts the instructions of the micro set and compares them with those kept in the tree.

No clock is read, so the machine's load changes nothing. An operation that takes more than 5 % more
than recorded fails the test; instructions.json is made anew with --renew, which is part of the
change that is meant to cost more. Other compilers, processors and libraries count differently:
there the status is 77, skipped.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
RECORDED = os.path.join(HERE, "instructions.json")
ALLOWANCE = 1.05
BUILD_LIMIT = 900  # seconds
COUNT_LIMIT = 900
SKIPPED = 77
# The C library picks code by the processor; like this it is the same on all of an architecture.
SAME_STRING_FUNCTIONS = "glibc.cpu.hwcaps=-AVX2,-AVX,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load"


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=True).stdout.strip()


def conditions(compiler):
    """What the counts depend on beside the source."""
    if not shutil.which("valgrind"):
        skip("there is no valgrind to count with")
    # Without the name that it was called by: c++, g++ and g++-12 are one.
    version = output_of(compiler, "--version").splitlines()[0].partition(" ")[2]
    return {"compiler": version,
            "architecture": platform.machine(),
            "valgrind": output_of("valgrind", "--version"),
            "libc": " ".join(platform.libc_ver())}


def clean_environment():
    """Without flags (sanitizers, coverage) that are meant for another build."""
    return {name: value for name, value in os.environ.items()
            if name not in ("CFLAGS", "CXXFLAGS", "LDFLAGS", "CPPFLAGS")}


def in_memory():
    """The disk's load is not to be waited for either."""
    return {"TMPDIR": "/dev/shm"} if os.access("/dev/shm", os.W_OK | os.X_OK) else {}


def build(directory, compiler):
    """An optimised bench_count, whatever the build is that this test belongs to."""
    os.makedirs(directory, exist_ok=True)
    log = os.path.join(directory, "build.log")
    for command in (["cmake", "-S", SOURCE, "-B", directory, "-G", "Ninja",
                     "-DCMAKE_BUILD_TYPE=RelWithDebInfo", f"-DCMAKE_CXX_COMPILER={compiler}",
                     "-DMTASTSD_TESTS=OFF", "-DMTASTSD_BENCH=ON"],
                    ["cmake", "--build", directory, "--target", "bench_count"]):
        with open(log, "a", encoding="utf-8") as file:
            done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT,
                                  env=clean_environment(), timeout=BUILD_LIMIT, check=False)
        if done.returncode != 0:
            with open(log, encoding="utf-8") as file:
                sys.exit(file.read()[-5000:] + f"\nfailed: {' '.join(command)}")
    return os.path.join(directory, "tests", "bench", "bench_count")


def count(program, directory):
    """Instructions an operation."""
    out = os.path.join(directory, "callgrind.out")
    for name in os.listdir(directory):
        if name.startswith("callgrind.out"):
            os.remove(os.path.join(directory, name))
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--quiet",
         f"--callgrind-out-file={out}", program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=COUNT_LIMIT, check=False,
        env=dict(clean_environment(), **in_memory(), GLIBC_TUNABLES=SAME_STRING_FUNCTIONS))
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    times = int(done.stdout)
    counts = {}
    for name in os.listdir(directory):
        if name.startswith("callgrind.out."):
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                text = file.read()
            case = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            if case and total:
                counts[case.group(1)] = round(int(total.group(1)) / times, 1)
    return counts


def compare(counts, recorded):
    """The complaints."""
    complaints = []
    print(f"{'instructions':28} {'now':>9} {'recorded':>9} {'ratio':>6}")
    for name in sorted(counts.keys() | recorded.keys()):
        if name not in counts or name not in recorded:
            complaints.append(f"{name}: only {'recorded' if name in recorded else 'counted'}")
            continue
        ratio = counts[name] / recorded[name]
        print(f"{name:28} {counts[name]:9.1f} {recorded[name]:9.1f} {ratio:6.3f}")
        if ratio > ALLOWANCE:
            complaints.append(f"{name}: {counts[name]:.0f} instructions, {recorded[name]:.0f} "
                              f"recorded: {100 * (ratio - 1):.1f} % more")
    return complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, metavar="DIR",
                        help="where the optimised program is built")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--renew", action="store_true", help="record what is counted")
    arguments = parser.parse_args()
    directory = os.path.abspath(arguments.build)

    made_with = conditions(arguments.compiler)
    with open(RECORDED, encoding="utf-8") as file:
        recorded = json.load(file)
    different = [f"{name} is {made_with[name]}, recorded with {recorded['made_with'].get(name)}"
                 for name in made_with if made_with[name] != recorded["made_with"].get(name)]
    if different and not arguments.renew:
        skip("the recorded counts are not for here: " + "; ".join(different))

    counts = count(build(directory, arguments.compiler), directory)
    if arguments.renew:
        with open(RECORDED, "w", encoding="utf-8") as file:
            json.dump({"made_with": made_with, "instructions": dict(sorted(counts.items()))}, file,
                      indent=2)
            file.write("\n")
    complaints = compare(counts, counts if arguments.renew else recorded["instructions"])
    if complaints:
        sys.exit("\n".join(complaints) + "\nIf that is what it costs, record it and commit the "
                 f"file with the change:\n  python3 {os.path.relpath(__file__, SOURCE)} --renew "
                 f"--compiler {arguments.compiler} --build {arguments.build}")


if __name__ == "__main__":
    main()
