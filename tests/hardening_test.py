#!/usr/bin/env python3
"""Reads off the built programs that they are hardened as CMakeLists.txt says.

    hardening_test.py --build-type TYPE PROGRAM...

TYPE is CMake's. Only an optimised build has _FORTIFY_SOURCE in force: any but Debug.
"""

import argparse
import platform
import re
import subprocess
import sys


# The mark of control-flow protection at the entry of a function.
LANDING_PAD = {"x86_64": "endbr64", "aarch64": r"bti|paciasp"}


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=True).stdout


def readelf(program, *options):
    return output_of("readelf", "--wide", *options, program)


def complaints(program, fortified):
    """What is missing, one sentence each."""
    header = readelf(program, "--file-header")
    segments = readelf(program, "--program-headers")
    dynamic = readelf(program, "--dynamic")
    symbols = readelf(program, "--dyn-syms")

    def flags(segment):
        found = re.search(rf"^ *{segment} +(?:0x[0-9a-f]+ +)+([RWE ]+?) +(?:0x)?[0-9a-f]+$",
                          segments, re.MULTILINE)
        return found.group(1) if found else None

    if not re.search(r"Type: +DYN", header):
        yield "it is not position-independent (PIE)"
    if flags("GNU_RELRO") is None:
        yield "its relocations are not made read-only (RELRO)"
    if not re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic):
        yield "symbols are bound lazily (no BIND_NOW)"
    if flags("GNU_STACK") is None or "E" in flags("GNU_STACK"):
        yield "its stack is executable"
    if re.search(r"^ *LOAD .* RWE ", segments, re.MULTILINE):
        yield "a segment is both writable and executable"
    if "__stack_chk_fail" not in symbols:
        yield "it has no stack protector"
    if "__glibcxx_assert_fail" not in symbols:
        yield "the assertions of libstdc++ are off"
    if fortified and not re.search(r"__\w+_chk\b(?<!__stack_chk)", symbols):
        yield "_FORTIFY_SOURCE is off"
    # The linker's own mark (IBT, SHSTK, BTI) is missing as long as the distribution's start-up
    # objects have none, so this looks at the code.
    pad = LANDING_PAD.get(platform.machine())
    if pad and not re.search(pad, output_of("objdump", "--disassemble=main", program)):
        yield "control-flow protection is off"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-type", required=True, metavar="TYPE")
    parser.add_argument("programs", nargs="+")
    arguments = parser.parse_args()
    fortified = arguments.build_type != "Debug"
    found = [f"{program}: {complaint}" for program in arguments.programs
             for complaint in complaints(program, fortified)]
    print("\n".join(found) or "hardened: " + " ".join(arguments.programs))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
