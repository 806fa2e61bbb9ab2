#!/usr/bin/env python3
"""Installs a build into an empty directory, and looks at what is there.

    install_test.py --build DIRECTORY --prefix PREFIX

PREFIX is the one that the build was configured with.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import unittest

OPTIONS = None
CONFIG = "etc/mtastsd/mtastsd.toml"


def install(root):
    return subprocess.run(["cmake", "--install", OPTIONS.build], check=True, text=True,
                          stdout=subprocess.PIPE, env={**os.environ, "DESTDIR": root}).stdout


class Install(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="mtastsd-install.")
        self.addCleanup(scratch.cleanup)
        self.root = scratch.name

    def path(self, name):
        return os.path.join(self.root, name)

    def below_prefix(self, name):
        return self.path(os.path.join(OPTIONS.prefix.lstrip("/"), name))

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def test_everything_is_there(self):
        install(self.root)
        names = ["sbin/mtastsd", "bin/mtastsctl", "lib/systemd/system/mtastsd.service",
                 "lib/systemd/system/mtastsd@.service", "lib/systemd/system/mtastsd.socket",
                 "lib/systemd/system/mtastsd-unix.socket",
                 "lib/systemd/system/mtastsd-http.socket", "lib/sysusers.d/mtastsd.conf",
                 "lib/tmpfiles.d/mtastsd.conf", "share/man/man1/mtastsctl.1",
                 "share/man/man5/mtastsd.toml.5", "share/man/man8/mtastsd.8",
                 "share/bash-completion/completions/mtastsctl", "share/zsh/site-functions/_mtastsctl",
                 "share/fish/vendor_completions.d/mtastsctl.fish", "share/doc/mtastsd/README.Postfix.md",
                 "share/doc/mtastsd/mtastsd.toml", "share/doc/mtastsd/examples/migrate",
                 "share/doc/mtastsd/examples/init/sysvinit", "share/doc/mtastsd/examples/init/runit",
                 "share/doc/mtastsd/main.cf.postfix-3.10"]
        missing = [name for name in names if not os.path.exists(self.below_prefix(name))]
        self.assertEqual(missing, [])
        self.assertTrue(os.path.exists(self.path(CONFIG)))

    def test_units_start_what_was_installed(self):
        install(self.root)
        for name, arguments in (("mtastsd.service", ""),
                                ("mtastsd@.service", " --config /etc/mtastsd/%i.toml")):
            unit = self.read(self.below_prefix("lib/systemd/system/" + name))
            self.assertNotRegex(unit, r"@[A-Z_]+@")
            command = re.search(r"^ExecStart=(\S+)(.*)$", unit, re.MULTILINE)
            self.assertTrue(os.access(self.root + command.group(1), os.X_OK), command.group(0))
            self.assertEqual(command.group(2), arguments)
            self.assertIn(f"ExecReload=/bin/sh -c '{command.group(1)} --check-config{arguments} ", unit)

    def test_a_configuration_that_is_there_is_kept(self):
        install(self.root)
        with open(self.path(CONFIG), "w", encoding="utf-8") as file:
            file.write("# mine\n")
        self.assertIn("Kept: ", install(self.root))
        self.assertEqual(self.read(self.path(CONFIG)), "# mine\n")

    def test_the_programs_have_the_version_of_the_tree(self):
        install(self.root)
        version = self.read(os.path.join(os.path.dirname(__file__), "../VERSION")).strip()
        for name in ("sbin/mtastsd", "bin/mtastsctl"):
            said = subprocess.run([self.below_prefix(name), "--version"], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout
            self.assertIn(version, said.split())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--prefix", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest)
