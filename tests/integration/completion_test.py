#!/usr/bin/env python3
"""The completions of mtastsctl in the shells that are installed.

    completion_test.py --mtastsctl-completion PATH [test...]
"""

import argparse
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from testenv import sandbox

OPTIONS = None
PATIENCE = 20.0


class Shell(unittest.TestCase):
    """One shell; complete() gives the words that it offers for a line."""

    shell = None

    @classmethod
    def setUpClass(cls):
        if cls.shell is None or shutil.which(cls.shell) is None:
            raise unittest.SkipTest(f"{cls.shell} is not installed")
        cls.directory = tempfile.mkdtemp(prefix="mtastsd-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.script = os.path.join(cls.directory, "_mtastsctl")
        with open(cls.script, "w", encoding="utf-8") as out:
            subprocess.run([OPTIONS.program, cls.shell], stdout=out, check=True)
        os.mkdir(os.path.join(cls.directory, "inner"))
        with open(os.path.join(cls.directory, "my file.toml"), "w", encoding="utf-8"):
            pass

    def complete(self, line):
        raise NotImplementedError

    def run_shell(self, *arguments):
        done = subprocess.run([self.shell, *arguments], capture_output=True, text=True,
                              timeout=PATIENCE, cwd=self.directory)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def check_all(self):
        self.assertLessEqual({"query", "explain", "status", "cache", "warm", "check", "doctor"},
                             set(self.complete("mtastsctl ")))
        self.assertLessEqual({"list", "show", "stats", "refresh", "forget", "export", "import"},
                             set(self.complete("mtastsctl cache ")))
        self.assertEqual(self.complete("mtastsctl doc"), ["doctor"])
        self.assertEqual(self.complete("mtastsctl cache li"), ["list"])
        self.assertEqual(self.complete("mtastsctl cache list --fai"), ["--failing"])
        self.assertLessEqual({"enforce", "testing", "none"},
                             set(self.complete("mtastsctl cache list --mode ")))
        self.assertEqual(self.complete("mtastsctl cache list --mode en"), ["enforce"])
        self.assertEqual(self.complete("mtastsctl doctor --postfix-config in"), ["inner"])
        self.assertEqual(self.complete("mtastsctl check --fail-on me"), ["medium"])
        self.assertEqual(self.complete("mtastsctl check --format ma"), ["markdown"])
        self.assertIn("--smtp", self.complete("mtastsctl check --"))
        self.assertIn("--map", self.complete("mtastsctl explain --"))
        self.assertEqual(self.complete("mtastsctl warm my"), ["my file.toml"])
        self.assertEqual(self.complete("mtastsctl cache import my"), ["my file.toml"])
        # What an option takes is no verb.
        self.assertEqual(self.complete("mtastsctl cache --help list --match show --mo"), ["--mode"])
        self.assertNotIn("--failing", self.complete("mtastsctl query --"))
        self.assertIn("--server", self.complete("mtastsctl query --"))


class Bash(Shell):
    shell = "bash"

    def complete(self, line):
        words = shlex.split(line) + ([""] if line.endswith(" ") else [])
        # As readline does with "=" in COMP_WORDBREAKS.
        split = []
        for word in words:
            before, equal, after = word.partition("=")
            split += [before, "=", after] if equal else [word]
        if split[-1] == "" and "=" in words[-1]:
            split.pop()
        quoted = " ".join(shlex.quote(word) for word in split)
        return self.run_shell("--norc", "-c", f"source {self.script}\nCOMP_WORDS=({quoted})\n"
                              f"COMP_CWORD={len(split) - 1}\n_mtastsctl\n"
                              '((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; true')

    def test_completes(self):
        self.check_all()
        self.assertEqual(self.complete("mtastsctl query --config my"), ["my file.toml"])
        self.assertEqual(self.complete("mtastsctl cache list --mode=te"), ["testing"])
        self.assertIn("testing", self.complete("mtastsctl cache list --mode="))
        self.assertIn("--json", self.complete("mtastsctl doctor "))
        self.assertEqual(self.complete("mtastsctl query exam"), [])

    def test_is_registered(self):
        self.assertEqual(self.run_shell("--norc", "-c", f"source {self.script}; complete -p"),
                         ["complete -F _mtastsctl mtastsctl"])


class Fish(Shell):
    shell = "fish"

    def complete(self, line):
        lines = self.run_shell("--no-config", "-c",
                               f"source {self.script}; complete -C {shlex.quote(line)}")
        return [one.partition("\t")[0].rstrip("/") for one in lines]

    def test_completes(self):
        self.check_all()
        self.assertEqual(self.complete("mtastsctl query --config my"), ["my file.toml"])


class Zsh(Shell):
    """zsh completes only at a terminal: the line is typed, then Tab twice."""

    shell = "zsh"

    def setUp(self):
        self.unread = ""
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(self.directory)
            os.environ.update(TERM="dumb", PS1="READY> ", HOME=self.directory, COLUMNS="300",
                              LANG="C.UTF-8")
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.addCleanup(self.end)
        self.read_until("READY> ")
        for line in (f"fpath=({self.directory} $fpath)", "autoload -Uz compinit",
                     "compinit -u -D", "setopt no_beep no_list_ambiguous",
                     "zstyle ':completion:*' list-prompt ''",
                     "mtastsctl() { print -r -- \"LINE:${(j:|:)@}\" }"):
            self.type(line + "\n")
            self.read_until("READY> ")

    def end(self):
        os.close(self.terminal)
        os.kill(self.child, 9)
        os.waitpid(self.child, 0)

    def type(self, text):
        os.write(self.terminal, text.encode("utf-8"))

    def read_until(self, text):
        """All up to the text and with it; what came behind it is for the next."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                self.fail(f"waited for {text!r}, saw {self.unread!r}")
            self.unread += os.read(self.terminal, 65536).decode("utf-8", "replace")
        before, found, self.unread = self.unread.partition(text)
        return before + found

    def typed(self, line):
        """The words that are on the line after Tab and Enter."""
        self.type(line + "\t\n")
        self.read_until("LINE:")
        seen = self.read_until("READY> ")
        return seen.splitlines()[0].strip().split("|")

    def test_completes(self):
        self.assertEqual(self.typed("mtastsctl doc"), ["doctor"])
        self.assertEqual(self.typed("mtastsctl cache li"), ["cache", "list"])
        self.assertEqual(self.typed("mtastsctl cache list --fai"), ["cache", "list", "--failing"])
        self.assertEqual(self.typed("mtastsctl cache list --mode enf"),
                         ["cache", "list", "--mode", "enforce"])
        self.assertEqual(self.typed("mtastsctl check --fail-on me"),
                         ["check", "--fail-on", "medium"])
        self.assertEqual(self.typed("mtastsctl expl"), ["explain"])
        self.assertEqual(self.typed("mtastsctl warm my"), ["warm", "my file.toml"])
        self.assertEqual(self.typed("mtastsctl query --config my"),
                         ["query", "--config", "my file.toml"])


def main():
    global OPTIONS  # the test classes are made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsctl-completion", dest="program", required=True,
                        help="prints the completions for a shell")
    parser.add_argument("names", nargs="*")
    OPTIONS = parser.parse_args()
    OPTIONS.program = os.path.abspath(OPTIONS.program)
    if os.geteuid() == 0:
        sandbox.enter()  # there are terminals in it
    unittest.main(argv=sys.argv[:1] + (OPTIONS.names or ["Bash", "Fish", "Zsh"]), verbosity=2)


if __name__ == "__main__":
    main()
