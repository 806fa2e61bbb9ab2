#!/usr/bin/env python3
"""AppArmor's parser takes the profile, which is in enforce mode. Nothing is loaded into the kernel.

    apparmor_test.py PROFILE
"""

import shutil
import subprocess
import sys

SKIPPED = 77


def parse(profile, *options):
    done = subprocess.run([PARSER, "--skip-kernel-load", "--skip-cache", *options], input=profile, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    if PARSER is None:
        print("skipped: there is no apparmor_parser (Debian: apt install apparmor)")
        sys.exit(SKIPPED)
    with open(sys.argv[1], encoding="utf-8") as file:
        profile = file.read()
    status, said = parse(profile)
    if status != 0:
        sys.exit(said)
    if parse(profile.replace(" rwk,", " rwz,"))[0] == 0:
        sys.exit("the parser takes a profile with a mistake too")
    status, said = parse(profile, "--names")
    if status != 0 or "mtastsd" not in said.split():
        sys.exit("the profile has another name: " + said)
    if "complain" in profile or "unconfined" in profile:
        sys.exit("the profile is not in enforce mode")


PARSER = shutil.which("apparmor_parser", path="/usr/sbin:/sbin")

if __name__ == "__main__":
    main()
