#!/usr/bin/env python3
"""Makes a release twice, in two clones of this repository, and looks at its files.

    release_test.py --build DIRECTORY
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

OPTIONS = None
TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def git(tree, *arguments):
    return subprocess.run(["git", "-C", tree, "-c", "user.name=t", "-c", "user.email=t@example.com",
                           *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


class Release(unittest.TestCase):
    def setUp(self):
        if not shutil.which("git") or not os.path.exists(os.path.join(TREE, ".git")):
            self.skipTest("needs Git and a clone")
        if subprocess.run(["git", "-C", TREE, "rev-parse", "--quiet", "HEAD"], check=False,
                          stdout=subprocess.DEVNULL).returncode != 0:
            self.skipTest("Git does not read this clone, because another user owns it")
        scratch = tempfile.TemporaryDirectory(prefix="mtastsd-release.")
        self.addCleanup(scratch.cleanup)
        self.own = scratch.name
        self.first = os.path.join(self.own, "first")
        subprocess.run(["git", "clone", "-q", TREE, self.first], check=True)
        # What is tested is the tree as it is, committed or not.
        for name in ("contrib/release", "contrib/sbom", "VERSION"):
            shutil.copy(os.path.join(TREE, name), os.path.join(self.first, name))
        with open(os.path.join(TREE, "VERSION"), encoding="ascii") as file:
            self.version = file.read().strip()

    def write_changelog(self, heading):
        with open(os.path.join(self.first, "CHANGELOG.md"), "w", encoding="utf-8") as file:
            file.write(f"# Changes\n\n## {self.version} {heading}\n")
        git(self.first, "add", "-A")
        git(self.first, "commit", "-q", "-m", "release")

    def release(self, tree, umask=0o022):
        output = os.path.join(self.own, "out-" + os.path.basename(tree))
        done = subprocess.run(["contrib/release", "--output", output, "--build", OPTIONS.build], cwd=tree,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              preexec_fn=lambda: os.umask(umask))
        return done, output

    def test_the_same_commit_gives_the_same_bytes(self):
        self.write_changelog("(2026-01-31)")
        second = os.path.join(self.own, "a-longer", "second")
        os.mkdir(os.path.dirname(second))
        subprocess.run(["git", "clone", "-q", self.first, second], check=True)
        sums = []
        for tree, umask in ((self.first, 0o022), (second, 0o077)):
            done, output = self.release(tree, umask)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn(f"v{self.version} ", done.stdout)
            with open(os.path.join(output, "SHA256SUMS"), encoding="ascii") as file:
                sums.append(file.read())
        self.assertEqual(sums[0], sums[1])
        self.assertEqual(len(sums[0].splitlines()), 2)
        with tarfile.open(os.path.join(output, f"mtastsd-{self.version}.tar.gz")) as archive:
            names = archive.getnames()
            self.assertEqual({info.mode & 0o022 for info in archive.getmembers()}, {0})
        self.assertIn(f"mtastsd-{self.version}/VERSION", names)
        self.assertEqual([name for name in names if not name.startswith(f"mtastsd-{self.version}")], [])

    def test_what_is_not_ready_is_refused(self):
        self.write_changelog("(unreleased)")
        done, _ = self.release(self.first)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f'no heading "## {self.version} (DATE)"', done.stdout)
        self.write_changelog("(2026-01-31)")
        with open(os.path.join(self.first, "stray"), "w", encoding="ascii"):
            pass
        done, _ = self.release(self.first)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not committed", done.stdout)

    def test_the_bill_of_materials_names_every_library(self):
        if not shutil.which("dpkg"):
            self.skipTest("needs dpkg")
        done = subprocess.run([os.path.join(TREE, "contrib/sbom"), OPTIONS.build], check=True, text=True,
                              stdout=subprocess.PIPE, env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
        document = json.loads(done.stdout)
        self.assertEqual(document["spdxVersion"], "SPDX-2.3")
        self.assertEqual(document["creationInfo"]["created"], "1970-01-01T00:00:00Z")
        known = [package["SPDXID"] for package in document["packages"]] + [document["SPDXID"]]
        self.assertEqual(len(known), len(set(known)))
        for relationship in document["relationships"]:
            self.assertIn(relationship["spdxElementId"], known)
            self.assertIn(relationship["relatedSpdxElement"], known)
        names = " ".join(package["name"] for package in document["packages"])
        # libcurl4 and liblmdb0 on Debian 12, libcurl4t64 on 13.
        for library in ("libcurl4", "liblmdb0", "libcares2|libc-ares2", "libseccomp2", "libpsl5", "libc6",
                        "libcli11-dev", "libtomlplusplus3"):
            self.assertRegex(names, rf"\b({library})")
        for package in document["packages"]:
            self.assertTrue(package["versionInfo"])
            self.assertTrue(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"]), package["SPDXID"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest)
