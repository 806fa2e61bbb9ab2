#!/usr/bin/env python3
"""mtastsctl against the real mtastsd, with DNS and policy servers on loopback.

    ctl_test.py --mtastsd PATH --mtastsctl PATH [test...]

What a verb prints with --json is held to contrib/schema/ctl.json.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import unittest

import jsonschema

from testenv import pki, sandbox, socketmap, web
from testenv.daemon import Mtastsd, run_to_end, toml
from testenv.dns import ScriptedDns
from testenv.smtp import SmtpSink

INET = "inet:127.0.0.1:8461"
DNS = "127.0.0.53"
NOBODY = 65534
SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib/schema/ctl.json")
OPTIONS = None
SAMPLE = 0.002  # seconds
# A copy of the records of the larger cache would be four times as much.
GROWTH_KIB = 4096


def secure(*match):
    return f"OK secure match={':'.join(match)} servername=hostname"


class CtlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = sandbox.scratch_directory()
        cls.authority = pki.Authority(os.path.join(cls.directory, "pki"))
        cls.dns = ScriptedDns(DNS)
        cls.addClassCleanup(cls.dns.stop)
        cls.web = web.PolicyServer(os.path.join(cls.directory, "web"), cls.authority)
        cls.addClassCleanup(cls.web.stop)
        with open(SCHEMA, encoding="utf-8") as file:
            cls.schema = json.load(file)

    def setUp(self):
        self.own = os.path.join(self.directory, self.id().rpartition(".")[2][:30])
        os.makedirs(self.own)
        self.cache = os.path.join(self.own, "cache")
        self.mtastsd = Mtastsd(OPTIONS.mtastsd, self.own, self.settings())
        self.config = self.mtastsd.config
        self.addCleanup(self.mtastsd.stop)

    def settings(self, **sections):
        settings = {
            "socketmap": {"listen": [INET]},
            "dns": {"servers": [DNS]},
            "https": {"ca_file": self.authority.cert, "allow_local_addresses": True},
            "cache": {"directory": self.cache},
            "control": {"socket": os.path.join(self.own, "control.sock")},
            "log": {"level": "debug"},
        }
        for name, values in sections.items():
            settings[name] = {**settings.get(name, {}), **values}
        return settings

    def publish(self, domain, *mx, policy_id="1", mode="enforce", **answer):
        self.dns.set("_mta-sts." + domain, "TXT", f"v=STSv1; id={policy_id};")
        self.dns.set("mta-sts." + domain, "A", "127.0.0.1")
        self.web.publish(domain, web.policy_text(*mx, mode=mode), **answer)
        self.web.apply()

    # Runs.

    def run_ctl(self, *arguments, stdin=None, env=None, user=None):
        """(status, stdout, stderr), with the test's configuration."""
        program = OPTIONS.mtastsctl
        if user is not None:
            program = sandbox.for_everybody(program, self.directory)
        done = subprocess.run([program, *arguments, "--config", self.config],
                              input=stdin or "", capture_output=True, text=True, timeout=120,
                              env={**os.environ, **(env or {})}, user=user, group=user,
                              extra_groups=None if user is None else [])
        self.assertNotRegex(done.stderr, r"Sanitizer|runtime error")
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        return done.returncode, done.stdout, done.stderr

    def ctl(self, *arguments, status=0, **options):
        code, out, err = self.run_ctl(*arguments, **options)
        self.assertEqual(code, status, out + err)
        return out

    def fails(self, *arguments, status=2, **options):
        """What is said on stderr: one sentence."""
        code, out, err = self.run_ctl(*arguments, **options)
        self.assertEqual((code, out), (status, ""), err)
        self.assertRegex(err, r"\Amtastsctl: .+\n\Z")
        return err

    def json(self, kind, *arguments, status=0, **options):
        return self.checked(kind, json.loads(self.ctl(*arguments, "--json", status=status,
                                                      **options)))

    def json_lines(self, kind, *arguments, status=0, **options):
        out = self.ctl(*arguments, status=status, **options)
        return [self.checked(kind, json.loads(line)) for line in out.splitlines()]

    def checked(self, kind, value):
        schema = {"$ref": "#/definitions/" + kind, "definitions": self.schema["definitions"]}
        jsonschema.Draft7Validator(schema).validate(value)
        return value

    def on_terminal(self, *arguments, env=None, columns=80, answer=None, until=None):
        """(status, what a terminal of 80 columns is sent)."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update({"TERM": "xterm", "PAGER": "cat", **(env or {})})
            os.execv(OPTIONS.mtastsctl, [OPTIONS.mtastsctl, *arguments, "--config", self.config])
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        output, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([fd], [], [], 0.5)[0]:
                continue
            try:
                data = os.read(fd, 65536)
            except OSError:
                break
            if not data:
                break
            output += data
            if answer and b"[y/N]" in output:
                os.write(fd, answer.encode() + b"\n")
                answer = None
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output.decode()

    # query

    def test_query(self):
        self.publish("query.test", "mail.query.test")
        self.mtastsd.start()
        self.assertEqual(self.ctl("query", "query.test"), secure("mail.query.test") + "\n")
        self.assertEqual(self.ctl("query", "other.test", status=1), "NOTFOUND\n")
        lines = self.ctl("query", "query.test", "[query.test]", ".test", "[192.0.2.1]",
                         status=1).splitlines()
        self.assertEqual(lines, ["query.test\t" + secure("mail.query.test"),
                                 "[query.test]\t" + secure("mail.query.test"),
                                 ".test\tNOTFOUND", "[192.0.2.1]\tNOTFOUND"])
        self.assertRegex(self.ctl("query", "-v", ".test", status=1), r"\ANOTFOUND\t\d+\.\d ms\n\Z")
        many = "".join(f"n{number}.query.test\n" for number in range(500))
        lines = self.ctl("query", "-", stdin="# remark\n\n" + many, status=1).splitlines()
        self.assertEqual(lines, [name + "\tNOTFOUND" for name in many.split()])
        replies = self.json_lines("query", "query", "query.test", ".test", "--json", "--map",
                                  "QUERYwithTLSRPT", status=1)
        self.assertIn("policy_type=sts", replies[0]["value"])
        self.assertEqual([reply["status"] for reply in replies], ["OK", "NOTFOUND"])
        self.assertIn("line 1 is longer", self.fails("query", "-", stdin="x" * 5000))
        self.assertIn("--map", self.fails("query", "x.test", "--map", "a b"))
        self.assertIn("is mtastsd running", self.fails("query", "x.test", "--server",
                                                       "unix:/nonexistent"))

    def test_query_shows_no_control_characters(self):
        self.mtastsd.start()
        out = self.ctl("query", "a\x1b[31m.test", "b.test", status=1)
        self.assertIn("a\\x1b[31m.test\tNOTFOUND", out)

    # cache history

    def test_history(self):
        def refresh(status):
            self.ctl("cache", "refresh", "past.test", status=status)
            # What happens between two commits counts as one step.
            sandbox.wait_for(
                lambda: self.mtastsd.command("status")["value"]["cache"]["pending"] == 0,
                "the commit")

        self.publish("past.test", "mx.past.test", "old.past.test")
        self.mtastsd.start()
        self.assertIn("nothing is known", self.fails("cache", "history", "past.test", status=1))
        self.assertEqual(self.mtastsd.ask("past.test"), secure("mx.past.test", "old.past.test"))
        first = self.json("history", "cache", "history", "past.test")["versions"]
        self.assertEqual([(one["id"], one["first_at"], one["changes"]) for one in first],
                         [("1", None, [])])
        # Another id, then a weaker policy under that id, then a policy host that fails.
        self.publish("past.test", "mx.past.test", policy_id="2")
        refresh(status=0)
        self.web.replace("past.test", web.policy_text("mx.past.test", mode="testing"))
        refresh(status=0)
        self.publish("past.test", "mx.past.test", policy_id="2", status=404)
        refresh(status=1)

        def check():
            versions = self.json("history", "cache", "history", "past.test")["versions"]
            self.assertEqual(
                [(one["id"], one["mode"], one["mx"], one["changes"], one["failures"])
                 for one in versions],
                [("2", "testing", ["mx.past.test"], ["drifted", "weaker"], 1),
                 ("2", "enforce", ["mx.past.test"], ["mx"], 0),
                 ("1", "enforce", ["mx.past.test", "old.past.test"], [], 0)])
            self.assertEqual(versions[0]["last_failure"]["type"], "sts-policy-fetch-error")
            self.assertIsNotNone(versions[0]["first_at"])
            out = self.ctl("cache", "history", "past.test")
            for words in ("another policy under the same id; the mode asks for less",
                          "  - mode: enforce\n  + mode: testing\n", "  - mx: old.past.test\n",
                          "1 fetch, the last"):
                self.assertIn(words, re.sub(r" +(?=another)", "", out))

        check()
        status, output = self.on_terminal("cache", "history", "past.test")
        plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", output)
        self.assertEqual(status, 0)
        self.assertTrue(all(len(line) <= 80 for line in plain.splitlines()), plain)
        self.mtastsd.stop()
        check()  # from the file
        self.assertIn("names no domain", self.fails("cache", "history", "192.0.2.1"))
        self.mtastsd.start()
        self.ctl("cache", "forget", "--yes", "past.test")
        self.assertIn("nothing is known", self.fails("cache", "history", "past.test", status=1))

    # early warning

    def test_mx_hosts_that_match_no_policy_are_listed(self):
        for name, host in (("good", "mx.good"), ("bad", "elsewhere.bad"), ("ignored", "x.ignored"),
                           ("silent", None)):
            domain = name + ".mx.test"
            self.publish(domain, f"mx.{domain}")
            if host:
                self.dns.set(domain, "MX", f"10 {host}.mx.test")
            else:
                self.dns.set_fault(domain, "MX", "servfail")
        self.assertIn("running daemon only", self.fails("cache", "list", "--mx-mismatch"))
        self.mtastsd.start()
        self.ctl("override", "add", "ignored.mx.test", "--ignore", "--for", "7d", "--reason", "x")
        for name in ("good", "bad", "ignored", "silent"):
            self.mtastsd.ask(name + ".mx.test")
        self.mtastsd.wait_log(r"level=warn event=mx_mismatch domain=bad.mx.test id=1 "
                              r"mx=elsewhere.bad.mx.test ")
        listed = self.json_lines("entry", "cache", "list", "--mx-mismatch", "--json")
        self.assertEqual([entry["domain"] for entry in listed], ["bad.mx.test"])
        lines = self.ctl("cache", "list", "--mx-mismatch").splitlines()
        self.assertIn("MX HOSTS", lines[0])
        self.assertRegex(lines[1], r"^bad\.mx\.test .* elsewhere\.bad\.mx\.test$")
        status = self.json("status", "status")
        self.assertEqual((status["mx_mismatches"], status["ending_soon"]), (1, 0))
        self.assertGreaterEqual(status["look_ups"]["mx_looks"], 1)
        code, out, _ = self.run_ctl("status")
        self.assertEqual(code, 1)
        self.assertIn("cache list --mx-mismatch", re.sub(r"\s+", " ", out))
        self.assertEqual(self.mtastsd.log().count("event=mx_mismatch "), 1)
        self.ctl("cache", "forget", "--yes", "bad.mx.test")
        self.assertIn("no entry matches", self.fails("cache", "list", "--mx-mismatch", status=1))

    # observe

    def publish_thousand(self):
        """(domains, {domain: what would become of its mail}), by how each one is made."""
        names = [f"d{number}.observe.test" for number in range(1000)]
        truth, policies = {}, {}
        for number, name in enumerate(names):
            kind = number % 10
            mode = "testing" if number % 7 == 0 else "enforce"
            # "*.observe.test" is for the domain itself, where it has no MX record.
            pattern = "*.observe.test" if number % 20 == 8 else "*.mx.observe.test"
            policies.setdefault((mode, pattern), []).append(name)
            self.dns.set("_mta-sts." + name, "TXT", "v=STSv1; id=1;")
            self.dns.set("mta-sts." + name, "A", "127.0.0.1")
            if kind == 7:
                self.dns.set(name, "MX", "0 .")
            elif kind == 8:
                self.dns.set(name, "A", "127.0.2.1")
            elif kind == 9:
                self.dns.set_fault(name, "MX", "servfail")
            else:
                self.dns.set(name, "MX", "10 a.b.mx.observe.test" if kind == 6 else
                             "10 a.mx.observe.test", "20 mail.observe.test")
            if mode == "enforce":
                truth[name] = ("deferred" if kind == 6 or number % 20 == 18 else
                               "no-mail" if kind == 7 else
                               "unknown" if kind == 9 else "delivered")
        for (mode, pattern), domains in policies.items():
            for at in range(0, len(domains), 250):  # a certificate has a limit
                hosts = ["mta-sts." + name for name in domains[at:at + 250]]
                self.web.publish(f"{mode}-{len(pattern)}-{at}.observe.test",
                                 web.policy_text(pattern, mode=mode), host=" ".join(hosts),
                                 certificate=self.authority.issue(*hosts))
        self.web.apply()
        return names, truth

    def test_observe_a_thousand_domains(self):
        names, truth = self.publish_thousand()
        self.mtastsd.write_config(self.settings(daemon={"mode": "observe"}))
        self.mtastsd.start()
        self.mtastsd.wait_log(r'level=warn event=observes_only maps="all of them"')
        # Not at once: their policy host has as many connections as it has.
        mails = {name: 1 + number % 3 for number, name in enumerate(names)}
        with socketmap.Client(INET) as client:
            for name in names:
                for _ in range(mails[name]):
                    self.assertEqual(client.ask(name), "NOTFOUND ", name)
            self.assertEqual(client.ask("without.observe.test"), "NOTFOUND ")
        queries = self.json("status", "status")["queries"]
        self.assertEqual(queries["observed"], sum(mails[name] for name in truth))
        self.assertEqual(queries["enforced"], 0)

        report = self.json("observe_report", "observe", "report", status=1)
        self.assertEqual({one["domain"]: one["outcome"] for one in report["domains"]}, truth)
        self.assertEqual({one["domain"]: one["mails"] for one in report["domains"]},
                         {name: mails[name] for name in truth})
        deferred = [name for name, outcome in truth.items() if outcome == "deferred"]
        self.assertEqual((report["mails"], report["mails_left_out"], report["domains_known"]),
                         (sum(mails[name] for name in truth), 0, len(truth)))
        self.assertEqual((report["deferred_domains"], report["deferred_mails"]),
                         (len(deferred), sum(mails[name] for name in deferred)))
        self.assertEqual(report["maps"], ["QUERY", "QUERYwithTLSRPT", "dane", "daneWithTLSRPT",
                                          "postfix", "postfixWithTLSRPT"])
        self.assertIn({"domain": "d16.observe.test", "mails": 2, "outcome": "deferred",
                       "why": "a.b.mx.observe.test matches no pattern; mail.observe.test matches "
                              "no pattern"}, report["domains"])

        code, out, err = self.run_ctl("observe", "report", "--deferred", "--top", "500")
        self.assertEqual(code, 1)
        lines = out.splitlines()
        self.assertEqual(lines[0].split(), ["DOMAIN", "MAILS", "TODAY", "WHY"])
        self.assertTrue(all(line.split()[2] == "deferred" for line in lines[1:]), out)
        self.assertIn("by MX names alone", err)
        self.assertIn("that are not listed are left out", err)
        # The log names some domains a minute, and counts the others.
        self.assertLessEqual(self.mtastsd.log().count("event=observed "), 40)

    def test_observe_by_certificates(self):
        made = {"good": {"names": ["mx.good.seen.test"]}, "other": {"names": ["mx.else.test"]},
                "plain": None}
        for number, (kind, issue) in enumerate(made.items(), 1):
            name, host = f"{kind}.seen.test", f"mx.{kind}.seen.test"
            self.publish(name, host)
            self.dns.set(name, "MX", "10 " + host)
            self.dns.set(host, "A", f"127.0.3.{number}")
            sink = SmtpSink(f"127.0.3.{number}", host,
                            issue and self.authority.issue(*issue["names"]))
            self.addCleanup(sink.stop)
        self.mtastsd.write_config(self.settings(**{"maps.postfix": {"mode": "observe"}}))
        self.assertIn("running daemon only", self.fails("observe", "report"))
        self.mtastsd.start()
        self.mtastsd.wait_log(r"event=observes_only maps=postfix ")
        for kind in made:
            self.assertEqual(self.mtastsd.ask(kind + ".seen.test"), "NOTFOUND ")
        self.assertEqual(self.mtastsd.ask("good.seen.test", "postfixWithTLSRPT")[:10], "OK secure ")

        def outcomes(*arguments, status):
            report = self.json("observe_report", "observe", "report", *arguments, status=status)
            return {one["domain"]: (one["outcome"], one["why"]) for one in report["domains"]}

        self.assertEqual(outcomes(status=0),
                         {f"{kind}.seen.test": ("delivered", "") for kind in made})
        seen = outcomes("--smtp", status=1)
        self.assertEqual(seen["good.seen.test"], ("delivered", ""))
        self.assertEqual(seen["other.seen.test"][0], "deferred")
        self.assertIn("mx.other.seen.test has a certificate that does not pass",
                      seen["other.seen.test"][1])
        self.assertEqual(seen["plain.seen.test"],
                         ("deferred", "mx.plain.seen.test offers no STARTTLS"))
        # What an override says by now counts.
        self.ctl("override", "add", "plain.seen.test", "--ignore", "--for", "7d", "--reason", "x")
        self.ctl("override", "add", "good.seen.test", "--pin", "--mx", "mx.else.test", "--for",
                 "7d", "--reason", "x")
        seen = outcomes(status=1)
        self.assertEqual(seen["plain.seen.test"][0], "not-checked")
        self.assertEqual(seen["good.seen.test"],
                         ("deferred", "mx.good.seen.test matches no pattern"))

        explained = self.json("explain", "explain", "other.seen.test", status=1)
        self.assertEqual((explained["reply"], explained["enforced_reply"]),
                         ("NOTFOUND ", secure("mx.other.seen.test")))
        self.assertEqual(self.json("status", "status")["observing"], ["postfix"])
        code, out = self.on_terminal("observe", "report")
        plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", out)
        self.assertEqual(code, 1)
        self.assertTrue(all(len(line) <= 80 for line in plain.splitlines()
                            if line.startswith(("DOMAIN", "good.", "other."))), plain)
        self.assertIn("--timeout", self.fails("observe", "report", "--timeout", "forever"))
        code, _, err = self.run_ctl("observe", "report", "--top", "0")
        self.assertEqual(code, 2, err)
        # A reload ends it, and keeps what was counted.
        self.mtastsd.write_config(self.settings())
        self.mtastsd.reload()
        self.mtastsd.wait_log(r"event=reloaded")
        self.assertEqual(self.mtastsd.ask("other.seen.test"), secure("mx.other.seen.test"))
        code, _, err = self.run_ctl("observe", "report")
        self.assertEqual(code, 1)
        self.assertIn("policies are enforced", err)

    def test_nothing_was_observed(self):
        self.mtastsd.start()
        self.assertIn('set mode = "observe" in [daemon]', self.fails("observe", "report"))

    # override

    def test_override(self):
        for name in ("one", "sub.two", "kept"):
            self.publish(name + ".override.test", "mx." + name + ".override.test")
        self.mtastsd.write_config(self.settings(**{
            'override."kept.override.test"': {"action": "pin", "mx": ["mx.kept.test"],
                                              "reason": "contract", "until": "2999-12-31"}}))
        self.assertEqual(self.fails("override", "list").count("running daemon"), 1)
        self.mtastsd.start()
        before = secure("mx.one.override.test")
        self.assertEqual(self.mtastsd.ask("one.override.test"), before)
        self.assertEqual(self.mtastsd.ask("kept.override.test"), secure("mx.kept.test"))

        added = self.json("override", "override", "add", "One.override.test", "--ignore", "--for",
                          "7d", "--reason", "ticket 4711")
        self.assertEqual((added["name"], added["action"], added["state"], added["by"]),
                         ("one.override.test", "ignore", "in-force", f"uid {os.getuid()}"))
        self.assertEqual(self.mtastsd.ask("one.override.test"), "NOTFOUND ")
        # A kill between the override and its first answer, and a domain that is forgotten.
        self.assertIn("until 2998-01-02 00:00:00", self.ctl(
            "override", "add", "*.two.override.test", "--dane", "--until", "2998-01-01",
            "--reason", "they have DANE"))
        self.mtastsd.kill()
        self.mtastsd.start()
        self.assertEqual(self.mtastsd.ask("sub.two.override.test"), "OK dane-only")
        self.ctl("cache", "forget", "--yes", "one.override.test")
        self.assertEqual(self.mtastsd.ask("one.override.test"), "NOTFOUND ")

        listed = self.json_lines("override", "override", "list", "--json")
        self.assertEqual([(one["name"], one["action"], one["source"]) for one in listed],
                         [("kept.override.test", "pin", "configuration"),
                          ("one.override.test", "ignore", "command-line"),
                          ("*.two.override.test", "dane", "command-line")])
        self.assertIn("ticket 4711", self.ctl("override", "show", "one.override.test"))
        self.assertIn("they have DANE", self.ctl("override", "show", "a.two.override.test"))
        self.assertIn("no override", self.fails("override", "show", "two.override.test", status=1))
        for status, text in (self.on_terminal("override", "list"),
                             self.on_terminal("override", "add", "--help")):
            self.assertEqual(status, 0)
            self.assertLessEqual(max(len(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip("\r"))
                                     for line in text.split("\n")), 80, text)

        it = self.json("explain", "explain", "one.override.test", status=1)
        self.assertEqual(it["override"]["reason"], "ticket 4711")
        self.assertIn('says "ignore"', it["why"])
        self.assertIn("ticket 4711", it["why"])
        status = self.json("status", "status")
        self.assertEqual(status["overrides"]["in_force"], 3)
        self.assertEqual([(one["host"], one["passes"]) for one in self.json(
            "explain", "explain", "kept.override.test")["mx"]],
                         [("kept.override.test", False)])
        self.assertGreaterEqual(status["queries"]["overridden"], 2)
        self.assertIn("3 in force", self.run_ctl("status")[1])

        # The later decision counts, and both are shown.
        self.assertIn("earlier decision", self.ctl(
            "override", "add", "kept.override.test", "--testing", "--permanent", "--reason", "x"))
        self.assertEqual(self.mtastsd.ask("kept.override.test"), "NOTFOUND ")
        self.assertEqual([one["state"] for one in self.json_lines(
            "override", "override", "show", "kept.override.test", "--json")],
                         ["in-force", "covered"])

        # One that cannot be removed does not hinder the others.
        code, out, err = self.run_ctl("override", "remove", "nothing.test", "a b",
                                      "one.override.test", "kept.override.test")
        self.assertEqual(code, 2)
        self.assertIn("there is no override for nothing.test", err)
        self.assertIn('"a b" is no name', err)
        self.assertEqual(out.count("removed: "), 2)
        self.assertEqual(self.mtastsd.ask("one.override.test"), before)
        self.assertEqual(self.mtastsd.ask("kept.override.test"), secure("mx.kept.test"))
        self.assertIn("remove it there", self.fails("override", "remove", "kept.override.test"))

        # It ends by itself.
        self.ctl("override", "add", "one.override.test", "--ignore", "--for", "2s", "--reason", "x")
        self.assertEqual(self.mtastsd.ask("one.override.test"), "NOTFOUND ")
        self.mtastsd.wait_log(r"event=override_ended name=one\.override\.test")
        self.assertEqual(self.mtastsd.ask("one.override.test"), before)

        # A reload takes changes over.
        self.mtastsd.write_config(self.settings())
        self.mtastsd.reload()
        self.mtastsd.wait_log(r"event=reloaded")
        self.mtastsd.wait_log(r"event=override_removed name=kept\.override\.test")
        self.assertEqual(self.mtastsd.ask("kept.override.test"),
                         secure("mx.kept.override.test"))
        self.assertRegex(self.mtastsd.log(), r"event=override_added name=one\.override\.test "
                         rf'action=ignore until=\S+ reason="ticket 4711" by="uid {os.getuid()}"')

    def test_override_with_wrong_arguments(self):
        self.mtastsd.start()
        good = ["add", "a.test", "--ignore", "--for", "1d", "--reason", "x"]

        def wrong(words, *arguments):
            self.assertIn(words, self.fails("override", *arguments))

        wrong("is no name", "add", "u@a.test", *good[2:])
        wrong("is no name", "show", "*")
        wrong("one action is needed", "add", "a.test", "--for", "1d", "--reason", "x")
        wrong("one action is needed", *good, "--dane")
        wrong("one end is needed", *good[:3], "--reason", "x")
        wrong("one end is needed", *good, "--permanent")
        wrong("needs a reason", *good[:5])
        wrong('"soon" is not a duration', *good[:4], "soon", "--reason", "x")
        wrong('"tomorrow" must be a date', *good[:3], "--until", "tomorrow", "--reason", "x")
        wrong("is over already", *good[:3], "--until", "2001-01-01", "--reason", "x")
        wrong("only the action", *good, "--mx", "mx.a.test")
        wrong("pins no MX host", "add", "a.test", "--pin", "--for", "1d", "--reason", "x")
        wrong("neither a host name", "add", "a.test", "--pin", "--mx", "a b", "--for", "1d",
              "--reason", "x")
        self.assertIn("there are no overrides", self.ctl("override", "list"))
        self.assertEqual(self.ctl("override", "list", "--json"), "")

    # explain

    def test_explain_without_dns(self):
        name = "_mta-sts.dark.explain.test"
        self.dns.set_fault(name, "TXT", "servfail")
        self.addCleanup(self.dns.set_fault, name, "TXT", None)
        self.mtastsd.start()
        self.mtastsd.ask("dark.explain.test")
        it = self.json("explain", "explain", "dark.explain.test", status=1)
        self.assertIn("the lookup of its MTA-STS record failed", it["why"])
        self.assertIn("none: the lookup of its MTA-STS record failed",
                      self.ctl("cache", "show", "dark.explain.test"))

    def test_explain(self):
        self.publish("explain.test", "*.explain.test", "mail.other.test")
        self.dns.set("explain.test", "MX", "20 b.explain.test", "10 mail.other.test",
                     "30 deep.b.explain.test")
        self.publish("trial.explain.test", "mail.explain.test", mode="testing")
        self.publish("off.explain.test", mode="none")

        def hosts(explanation):
            return [(mx["preference"], mx["host"], mx["passes"], mx["pattern"])
                    for mx in explanation["mx"]]

        def check(up):
            it = self.json("explain", "explain", "EXPLAIN.test:25")
            self.assertEqual(it["domain"], "explain.test")
            self.assertEqual(it["reply"], secure(".explain.test", "mail.other.test"))
            self.assertEqual((it["from_daemon"], it["looked_up"]), (up, False))
            self.assertEqual(it["entry"]["policy"]["id"], "1")
            self.assertIn("mode enforce", it["why"])
            self.assertEqual(hosts(it), [
                (10, "mail.other.test", True, "mail.other.test"),
                (20, "b.explain.test", True, "*.explain.test"),
                (30, "deep.b.explain.test", False, None)])
            it = self.json("explain", "explain", "[trial.explain.test]", status=1)
            self.assertIn("mode testing", it["why"])
            self.assertEqual(hosts(it), [(0, "trial.explain.test", False, None)])
            it = self.json("explain", "explain", "off.explain.test", status=1)
            self.assertEqual(hosts(it), [(0, "off.explain.test", None, None)])
            for key in (".explain.test", "192.0.2.1", "localhost"):
                it = self.json("explain", "explain", key, status=1)
                self.assertEqual((it["domain"], it["reply"], it["mx"]), (None, "NOTFOUND ", []))
            it = self.json("explain", "explain", "none.explain.test", status=1)
            self.assertIn("publishes no MTA-STS record", it["why"])
            it = self.json("explain", "explain", "explain.test", "--map", "QUERYwithTLSRPT")
            self.assertIn(" policy_type=sts ", it["reply"])
            it = self.json("explain", "explain", "explain.test", "--map", "unknown")
            self.assertFalse(it["profile"]["known"])
            text = self.ctl("explain", "explain.test")
            for words in ("deep.b.explain.test  matches no pattern", "Last error:", "Why:"):
                self.assertIn(words, text)
            self.assertEqual("the cache file" in text, not up)

        self.mtastsd.start()
        # What the cache does not know is looked up, and is not a query for that.
        it = self.json("explain", "explain", "explain.test")
        self.assertEqual((it["looked_up"], it["reply"]),
                         (True, secure(".explain.test", "mail.other.test")))
        for name in ("trial.explain.test", "off.explain.test", "none.explain.test"):
            self.mtastsd.ask(name)
        before = self.json("status", "status")["queries"]
        check(True)
        self.assertEqual(self.json("status", "status")["queries"], before)
        for name in ("explain.test", "trial.explain.test", "off.explain.test",
                     "none.explain.test"):
            self.mtastsd.wait_stored(name)
        self.mtastsd.stop()
        check(False)
        it = self.json("explain", "explain", "never.explain.test", status=2)
        self.assertEqual((it["reply"], it["entry"]), (None, None))
        self.assertIn("nothing current", it["why"])
        self.dns.set_fault("explain.test", "MX", "refused")
        self.addCleanup(self.dns.set_fault, "explain.test", "MX", None)
        it = self.json("explain", "explain", "explain.test")
        self.assertIn("could not be looked up", it["mx_error"])
        self.assertEqual(it["mx"], [])

    # status

    def test_status(self):
        self.assertIn("is it running", self.fails("status", status=1))
        self.assertEqual(self.json("down", "status", status=1), {"running": False})
        self.publish("status.test", "mail.status.test")
        self.mtastsd.start()
        self.assertEqual(self.mtastsd.ask("status.test"), secure("mail.status.test"))
        self.mtastsd.wait_stored("status.test")  # one that waits for its commit is not a hit
        for _ in range(2):
            self.assertEqual(self.mtastsd.ask("status.test"), secure("mail.status.test"))
        self.mtastsd.ask("none.status.test")
        self.mtastsd.wait_stored("none.status.test")
        status = self.json("status", "status")
        self.assertEqual(status["pid"], self.mtastsd.pid)
        self.assertEqual(status["listeners"], [INET])
        self.assertEqual(status["config"], self.config)
        self.assertEqual(status["queries"]["about_domains"], 4)
        self.assertEqual(status["queries"]["waited"], 2)
        self.assertEqual(status["queries"]["hit_rate"], 0.5)
        self.assertEqual(status["cache"]["policies"], 1)
        self.assertEqual(status["cache"]["without_policy"], 1)
        self.assertEqual(status["dns"][0]["server"], DNS + ":53")
        self.assertEqual(status["dns"][0]["errors"], 0)
        self.assertGreater(status["dns"][0]["answers"], 2)
        self.assertEqual(status["failing"],
                         {"count": 0, "complete": True, "in_force": 0, "first": []})
        text = self.ctl("status")
        for word in ("running since", INET, "1 policy, 1 domain without one", "every policy can be had", DNS):
            self.assertIn(word, text)
        # Not well: a refresh that fails, and a DNS server that refuses.
        self.web.publish("status.test", "", status=404)
        self.web.apply()
        self.json("refresh", "cache", "refresh", "status.test", status=1)
        self.dns.set_fault("_mta-sts.bad.status.test", "TXT", "servfail")
        self.mtastsd.ask("bad.status.test")
        status = self.json("status", "status")
        self.assertEqual((status["failing"]["count"], status["failing"]["in_force"]), (1, 1))
        self.assertEqual(status["failing"]["first"][0]["domain"], "status.test")
        self.assertIn("SERVFAIL", status["dns"][0]["last_error"])
        text = self.ctl("status", status=1)
        self.assertIn("1 domain, 1 of them with a policy in force that cannot be renewed", text)

    def test_status_for_monitoring(self):
        self.assertRegex(self.ctl("status", "--nagios", status=2),
                         r"\AMTASTSD CRITICAL - no mtastsd answers at [^|\n]+\n\Z")
        began = time.monotonic()
        self.assertIn("not ready after 1 second: no mtastsd answers",
                      self.fails("status", "--wait-ready", "1", status=1))
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn("give one of", self.fails("status", "--nagios", "--json"))
        waiting = subprocess.Popen([OPTIONS.mtastsctl, "status", "--wait-ready", "60",
                                    "--config", self.config])
        self.addCleanup(waiting.wait)
        self.addCleanup(waiting.kill)
        self.mtastsd.start()
        self.assertEqual(waiting.wait(60), 0)
        self.assertEqual(self.ctl("status", "--wait-ready", "1"), "")
        self.mtastsd.ask("none.monitored.test")
        line = self.ctl("status", "--nagios")
        self.assertRegex(line, r"\AMTASTSD OK - [^|\n]+ \| [^|\n]+\n\Z")
        self.assertIn(" lookups=1c ", line)
        # A daemon that hangs is not waited for.
        os.kill(self.mtastsd.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            self.assertIn("runs and does not reply", self.ctl("status", "--nagios", status=2))
            self.assertIn("runs and does not reply",
                          self.fails("status", "--wait-ready", "1", status=1))
            self.assertLess(time.monotonic() - began, 60)
        finally:
            os.kill(self.mtastsd.pid, signal.SIGCONT)
        self.mtastsd.stop()
        self.mtastsd.write_config(self.settings(control={"socket": ""}))
        self.assertRegex(self.ctl("status", "--nagios", status=3),
                         r"\AMTASTSD UNKNOWN - the configuration has no control socket")
        self.assertIn("no control socket", self.fails("status", "--wait-ready", "60"))

    def test_who_may_control(self):
        socket_path = self.settings()["control"]["socket"]
        for path in (self.directory, self.own):
            os.chmod(path, 0o755)
        os.chmod(self.config, 0o644)
        self.mtastsd.start()
        self.assertEqual(os.stat(socket_path).st_mode & 0o777, 0o600)
        for verb in (("status",), ("explain", "who.test"), ("cache", "show", "who.test"),
                     ("cache", "list"), ("cache", "stats"), ("cache", "refresh", "who.test")):
            with self.subTest(verb):
                self.assertIn("[control] socket_group", self.fails(*verb, user=NOBODY))
        self.mtastsd.stop()
        self.assertFalse(os.path.exists(socket_path))
        self.mtastsd.write_config(self.settings(control={"socket_group": "nogroup"}))
        self.mtastsd.start()
        self.assertEqual(os.stat(socket_path).st_mode & 0o777, 0o660)
        os.chmod(self.cache, 0o700)
        os.chmod(self.config, 0o644)
        self.mtastsd.ask("who.test")
        # A member of the group needs no file of the daemon's but its configuration.
        self.json("status", "status", user=NOBODY)
        self.json("explain", "explain", "who.test", status=1, user=NOBODY)
        self.json("entry", "cache", "show", "who.test", user=NOBODY)
        self.json("refresh", "cache", "refresh", "who.test", status=1, user=NOBODY)
        self.json_lines("entry", "cache", "list", "--json", user=NOBODY)
        self.json("stats", "cache", "stats", user=NOBODY)
        self.json("forget", "cache", "forget", "--yes", "who.test", user=NOBODY)
        self.mtastsd.stop()
        # One that cannot be made keeps nobody from starting.
        for control in ({"socket": "/proc/nothing/control.sock"}, {"socket_group": "no-such-group"}):
            self.mtastsd.write_config(self.settings(control=control))
            self.mtastsd.start()
            self.mtastsd.wait_log("event=control_socket_failed")
            self.mtastsd.stop()
        self.mtastsd.write_config(self.settings(control={"socket": ""}))
        self.mtastsd.start()
        self.assertIn("no control socket", self.fails("status", status=1))
        # The cache in use is not changed behind the daemon's back.
        self.mtastsd.ask("x.control.test")
        self.mtastsd.wait_stored("x.control.test")
        self.assertIn("in use by another mtastsd",
                      self.ctl_error("cache", "forget", "--yes", "x.control.test"))

    def ctl_error(self, *arguments, status=2):
        code, _, err = self.run_ctl(*arguments)
        self.assertEqual(code, status, err)
        return err

    def test_rubbish_on_the_control_socket(self):
        self.mtastsd.start()
        path = self.settings()["control"]["socket"]
        for line, words in ((b"GET / HTTP/1.0", b"bad-request"), (b"[1]", b"bad-request"),
                            (b"{}", b"unknown-command"), (b'{"command": 5}', b"unknown-command"),
                            (b'{"command": "show"}', b"bad-domain"),
                            (b'{"command": "show", "domain": "a..b"}', b"bad-domain"),
                            (b'{"command": "import", "domain": "a.b"}', b"bad-request"),
                            (b"[" * 100000, b"bad-request"), (b"\xff\0", b"bad-request")):
            with self.subTest(line[:40]), socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(sandbox.WAIT)
                peer.connect(path)
                peer.sendall(line + b"\n")
                self.assertIn(words, peer.makefile("rb").readline())
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(sandbox.WAIT)
            peer.connect(path)
            with self.assertRaises(OSError):
                while True:
                    peer.sendall(b"x" * 65536)
        self.json("status", "status")
        # Whoever may only ask for policies controls nothing.
        self.assertEqual(self.mtastsd.ask('{"command": "status"}'), "NOTFOUND ")

    # cache

    def fill(self, *names):
        for name in names:
            self.publish(name, "mail." + name)
        self.mtastsd.start()
        for name in names:
            self.assertEqual(self.mtastsd.ask(name), secure("mail." + name))

    def test_list_and_show(self):
        self.publish("b.list.test", "mail.list.test", mode="testing")
        self.publish("c.list.test", mode="none")
        self.fill("a.list.test")
        for name in ("b.list.test", "c.list.test", "d.list.test", "e.other.test"):
            self.mtastsd.ask(name)
            self.mtastsd.wait_stored(name)
        self.web.publish("a.list.test", "", status=404)
        self.web.apply()
        self.ctl("cache", "refresh", "a.list.test", status=1)

        def names(*filters, status=0):
            return [entry["domain"] for entry in
                    self.json_lines("entry", "cache", "list", "--json", *filters, status=status)]

        def check_all():
            self.assertEqual(names(), ["a.list.test", "b.list.test", "c.list.test", "d.list.test",
                                       "e.other.test"])
            self.assertEqual(names("--mode", "enforce"), ["a.list.test"])
            self.assertEqual(names("--mode", "testing"), ["b.list.test"])
            self.assertEqual(names("--mode", "none"), ["c.list.test"])
            self.assertEqual(names("--mode", "no-policy"), ["d.list.test", "e.other.test"])
            self.assertEqual(names("--failing"), ["a.list.test"])
            self.assertEqual(names("--match", "*.OTHER.test"), ["e.other.test"])
            self.assertEqual(names("--expiring", "8d", "--match", "a*"), ["a.list.test"])
            code, out, err = self.run_ctl("cache", "list", "--expiring", "1d")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no entry matches", err)
            entry = self.json("entry", "cache", "show", "[A.list.test]:25")
            self.assertEqual(entry["policy"]["mx"], ["mail.a.list.test"])
            self.assertEqual(entry["policy"]["text"],
                             web.policy_text("mail.a.list.test").replace("\r\n", "\n"))
            self.assertEqual(entry["failure"]["type"], "sts-policy-fetch-error")
            self.assertIn("mail.a.list.test", self.ctl("cache", "show", "a.list.test"))
            self.assertIn("nothing is known", self.fails("cache", "show", "z.test", status=1))

        self.assertEqual(names("--failing"), ["a.list.test"])
        check_all()
        self.mtastsd.stop()
        check_all()
        self.assertIn("names no domain", self.fails("cache", "show", "192.0.2.1"))
        self.assertIn("--expiring", self.fails("cache", "list", "--expiring", "soon"))
        stats = self.json("stats", "cache", "stats")
        self.assertEqual((stats["entries"], stats["enforce"], stats["testing"], stats["none"],
                          stats["no_policy"], stats["failing"]), (5, 1, 1, 1, 2, 1))
        self.assertEqual(stats["expiring_within_week"] + stats["expiring_later"], 3)
        self.assertIn("a.list.test", self.ctl("cache", "list").splitlines()[1])

    def test_first_fetches_that_fail_are_failing(self):
        self.publish("first.failing.test", status=404)
        self.dns.set("_mta-sts.broken.failing.test", "TXT", "v=STSv1; id=;")
        self.mtastsd.start()
        for name in ("first.failing.test", "broken.failing.test", "without.failing.test"):
            self.assertEqual(self.mtastsd.ask(name), "NOTFOUND ")
        # At once, before anything is committed.
        failing = self.json_lines("entry", "cache", "list", "--json", "--failing")
        self.assertEqual([entry["domain"] for entry in failing],
                         ["broken.failing.test", "first.failing.test"])
        stats = self.json("stats", "cache", "stats")
        self.assertEqual((stats["no_policy"], stats["failing"]), (3, 2))
        status = self.json("status", "status")
        self.assertEqual((status["failing"]["count"], status["failing"]["in_force"]), (2, 0))
        self.assertIn("2 domains, 0 of them", self.ctl("status"))  # the domains are at fault
        # The reason is the one that the log has.
        for name, event in (("first.failing.test", "fetch_failed"),
                            ("broken.failing.test", "record_unusable")):
            reason = re.search(rf'event={event} domain={name} .*reason="((?:[^"\\]|\\.)*)"',
                               self.mtastsd.log())[1].replace("\\", "")
            self.assertIn(reason, self.json("explain", "explain", name, status=1)["why"])
            self.assertIn(reason, [one["detail"] for one in status["failing"]["first"]])

    def test_a_terminal_of_80_columns(self):
        long = "a-rather-long-name-that-does-not-fit.terminal.test"
        self.publish(long, "mail.terminal.test")
        self.fill("short.terminal.test")
        self.mtastsd.ask(long)
        self.mtastsd.wait_stored(long)
        for arguments in (("cache", "list"), ("cache", "show", long), ("cache", "stats"),
                          ("status",), ("explain", long)):
            with self.subTest(arguments):
                status, output = self.on_terminal(*arguments)
                self.assertIn("\x1b[", output)
                plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", output)
                if arguments != ("cache", "show", long):
                    self.assertLessEqual(max(map(len, plain.split("\r\n"))), 80, plain)
                self.assertEqual(status, 0, plain)
                for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
                    self.assertNotIn("\x1b", self.on_terminal(*arguments, env=env)[1])
        self.assertIn(long, self.ctl("cache", "list"))

    def test_refresh(self):
        self.assertIn("needs a running daemon", self.fails("cache", "refresh", "x.test"))
        self.fill("fresh.test")
        self.web.replace("fresh.test", web.policy_text("new.fresh.test"))
        done = self.json("refresh", "cache", "refresh", "fresh.test")
        self.assertEqual((done["result"], done["change"]), ("fetched", "drifted"))
        self.assertEqual(self.mtastsd.ask("fresh.test"), secure("new.fresh.test"))
        self.assertIn("has not changed", self.ctl("cache", "refresh", "fresh.test"))
        self.web.publish("fresh.test", "", status=500)
        self.web.apply()
        self.assertIn("the cached policy stays in force",
                      self.ctl("cache", "refresh", "fresh.test", status=1))
        done = self.json("refresh", "cache", "refresh", "fresh.test", status=1)
        self.assertEqual(done["result"], "failed")
        self.assertIn("500", done["detail"])
        self.assertEqual(self.mtastsd.ask("fresh.test"), secure("new.fresh.test"))
        done = self.json("refresh", "cache", "refresh", "none.fresh.test", status=1)
        self.assertEqual((done["result"], done["entry"]["policy"]), ("no-record", None))
        # RFC 8461 section 3.3: without a policy the same id is not tried again at once.
        self.publish("held.fresh.test", "x.test", status=404)
        results = [self.json("refresh", "cache", "refresh", "held.fresh.test", status=1)["result"]
                   for _ in range(2)]
        self.assertEqual(results, ["failed", "held-back"])
        self.assertIn("--force", self.ctl("cache", "refresh", "held.fresh.test", status=1))
        self.publish("held.fresh.test", "x.test")
        done = self.json("refresh", "cache", "refresh", "--force", "held.fresh.test")
        self.assertEqual((done["result"], done["change"]), ("fetched", "new"))

    def test_refresh_many(self):
        self.assertIn("name domains", self.fails("cache", "refresh"))
        self.assertIn("name domains", self.fails("cache", "refresh", "--failing", "x.test"))
        self.assertIn("'--forced' is neither", self.fails("cache", "refresh", "x.test", "--forced"))
        self.assertIn("needs a running daemon", self.fails("cache", "refresh", "--failing"))
        self.publish("gone.many.test", status=404)
        self.fill("a.many.test", "b.many.test")
        # A name that is none fails that one only, and "-" is standard input.
        code, out, err = self.run_ctl("cache", "refresh", "a.many.test", "-", "--json",
                                      stdin="# mine\nu@b.many.test\n  b.many.test \n")
        self.assertEqual(code, 2)
        self.assertEqual(err, 'mtastsctl: "u@b.many.test" names no domain that can have a policy\n')
        done = [self.checked("refresh", json.loads(line)) for line in out.splitlines()]
        self.assertEqual(sorted((one["domain"], one["result"]) for one in done),
                         [("a.many.test", "fetched"), ("b.many.test", "fetched")])
        self.assertIn("nothing fails", self.ctl("cache", "refresh", "--failing"))
        self.assertEqual(self.ctl("cache", "refresh", "--failing", "--json"), "")
        # Those that fail, and no others.
        self.mtastsd.ask("gone.many.test")
        self.web.publish("a.many.test", "", status=404)
        self.web.apply()
        self.ctl("cache", "refresh", "a.many.test", status=1)
        out = self.ctl("cache", "refresh", "--failing", status=1)
        self.assertRegex(out, r"(?m)^a.many.test: failed; the cached policy stays in force \(.*404")
        self.assertRegex(out, r"(?m)^gone.many.test: not fetched: it is too soon")
        self.assertIn("\n0 of 2 fetched\n", out)
        self.publish("gone.many.test", "mail.many.test")
        out = self.ctl("cache", "refresh", "--failing", "--force", status=1)
        self.assertIn("gone.many.test: fetched: a new policy\n", out)
        self.assertIn("\n1 of 2 fetched\n", out)
        status, output = self.on_terminal("cache", "refresh", "--failing", "--force")
        self.assertEqual(status, 1)
        self.assertIn("0 of 1 fetched", output)

    def test_forget(self):
        self.fill("a.forget.test", "b.forget.test", "c.forget.test")
        self.assertIn("add --yes", self.ctl_error("cache", "forget", "a.forget.test"))
        status, output = self.on_terminal("cache", "forget", "a.forget.test", answer="n")
        self.assertEqual(status, 2)
        self.assertIn("has a policy in force", output)
        self.assertEqual(self.json("entry", "cache", "show", "a.forget.test")["domain"],
                         "a.forget.test")
        self.assertEqual(self.on_terminal("cache", "forget", "a.forget.test", answer="y")[0], 0)
        self.fails("cache", "show", "a.forget.test", status=1)
        gone = self.json("forget", "cache", "forget", "--yes", "b.forget.test")
        self.assertEqual(gone["forgotten"]["policy"]["mx"], ["mail.b.forget.test"])
        self.web.withdraw("b.forget.test")
        self.web.apply()
        self.assertEqual(self.mtastsd.ask("b.forget.test"), "NOTFOUND ")
        self.mtastsd.wait_stored("c.forget.test")
        self.mtastsd.stop()
        self.ctl("cache", "forget", "--yes", "c.forget.test")
        self.ctl_error("cache", "forget", "--yes", "c.forget.test", status=1)
        self.fails("cache", "show", "c.forget.test", status=1)

    def test_export_and_import(self):
        self.publish("b.move.test", "mail.move.test", mode="testing")
        self.fill("a.move.test")
        self.mtastsd.ask("b.move.test")
        self.mtastsd.ask("none.move.test")
        self.mtastsd.wait_stored("none.move.test")
        exported = self.ctl("cache", "export")
        entries = self.json_lines("entry", "cache", "export")
        self.assertEqual([entry["domain"] for entry in entries], ["a.move.test", "b.move.test"])
        self.assertEqual(self.ctl("cache", "export", "--postfix"),
                         "a.move.test\tsecure match=mail.a.move.test servername=hostname\n")
        newer = self.json("import", "cache", "import", stdin=exported)
        self.assertEqual(newer, {"imported": 0, "newer": 2, "expired": 0, "invalid": 0})

        # Another machine, which cannot reach anybody.
        for up in (True, False):
            with self.subTest(up):
                self.mtastsd.stop()
                self.cache = os.path.join(self.own, "other" + str(up))
                self.mtastsd.write_config(self.settings(dns={"servers": ["127.0.0.99"],
                                                             "timeout": "500ms"}))
                self.assertIn("there is no cache in", self.ctl_error("cache", "import"))
                self.mtastsd.start()
                if not up:
                    self.mtastsd.stop()
                old = dict(entries[0], domain="old.move.test",
                           policy=dict(entries[0]["policy"], fetched_at="2020-01-01T00:00:00Z"))
                path = os.path.join(self.own, "export")
                sandbox.write(path, exported + json.dumps(old) + "\nrubbish\n")
                code, out, err = self.run_ctl("cache", "import", path, "--json")
                self.assertEqual(code, 1, err)
                self.assertIn("line 4 is not a JSON object", err)
                self.assertEqual(self.checked("import", json.loads(out)),
                                 {"imported": 2, "newer": 0, "expired": 1, "invalid": 1})
                self.mtastsd.stop()
                self.mtastsd.start()
                self.assertEqual(self.mtastsd.ask("a.move.test"), secure("mail.a.move.test"))
                self.assertEqual(self.mtastsd.ask("old.move.test"), "NOTFOUND ")
                moved = self.json("entry", "cache", "show", "a.move.test")
                self.assertEqual(moved["policy"], entries[0]["policy"])

    def test_export_is_what_postmap_reads(self):
        self.fill("postmap.test")
        self.mtastsd.wait_stored("postmap.test")
        table = os.path.join(self.own, "table")
        sandbox.write(table, self.ctl("cache", "export", "--postfix"))
        postmap = sandbox.program("postmap", "postfix")
        found = sandbox.run([postmap, "-q", "postmap.test", "texthash:" + table])
        self.assertEqual(found.stdout, secure("mail.postmap.test")[3:] + "\n")

    def test_a_cache_that_cannot_be_read(self):
        verbs = (("cache", "list"), ("cache", "stats"), ("cache", "export"),
                 ("cache", "show", "x.test"))
        for verb in verbs:
            self.assertIn("there is no cache in " + self.cache, self.fails(*verb))
        self.fill("x.test")
        self.mtastsd.wait_stored("x.test")
        self.mtastsd.stop()
        for path in (self.directory, self.own):
            os.chmod(path, 0o755)
        os.chmod(self.config, 0o644)
        os.chmod(self.cache, 0o700)
        for verb in verbs:
            self.assertIn("cannot be read by this user", self.fails(*verb, user=NOBODY))
        data = os.path.join(self.cache, "data.mdb")
        with open(data, "rb") as file:
            good = file.read()
        at = good.rindex(b"format") + len(b"format")
        for label, bad, words in (
                ("newer", good[:at] + b"\x07" + good[at + 1:], "newer mtastsd (cache format 7"),
                ("rubbish", b"x" * 40000, "restart mtastsd"),
                ("short", good[:len(good) // 2], "truncated")):
            with self.subTest(label):
                with open(data, "wb") as file:
                    file.write(bad)
                for verb in verbs:
                    self.assertIn(words, self.fails(*verb))

    def memory_of(self, *arguments):
        """The most memory of its own that a run had, in KiB: without pages of the cache's file."""
        # What AddressSanitizer holds back of freed memory grows with all that was ever freed.
        env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=1:"
                                             "thread_local_quarantine_size_kb=64"}
        most, lines = 0, 0
        with subprocess.Popen([OPTIONS.mtastsctl, *arguments, "--config", self.config], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
            while True:
                with open(f"/proc/{child.pid}/status", encoding="utf-8") as file:
                    anonymous = re.search(r"RssAnon:\s+(\d+) kB", file.read())
                most = max(most, int(anonymous[1]) if anonymous else 0)
                if not select.select([child.stdout], [], [], SAMPLE)[0]:
                    continue
                data = os.read(child.stdout.fileno(), 65536)
                if not data:
                    break
                lines += data.count(b"\n")
        self.assertEqual(child.returncode, 0)
        self.assertGreater(most, 0)
        return most, lines

    def test_memory_does_not_grow_with_the_cache(self):
        with open(OPTIONS.mtastsctl, "rb") as file:
            if b"__tsan_init" in file.read():
                self.skipTest("ThreadSanitizer keeps a shadow of all that is read from the file")
        self.publish("grow.test", "mail.grow.test")
        self.fill("grow.test")
        self.mtastsd.wait_stored("grow.test")
        self.mtastsd.stop()
        line = self.ctl("cache", "export")
        verbs = {("cache", "list"): 1, ("cache", "list", "--json"): 0, ("cache", "export"): 0,
                 ("cache", "export", "--postfix"): 0, ("cache", "stats"): None}
        few, many, before = 2000, 40000, {}
        for count in (few, many):
            path = os.path.join(self.own, "policies")
            sandbox.write(path, line + "".join(line.replace('"grow.test"', f'"n{number}.grow.test"')
                                               for number in range(1, count)))
            self.ctl("cache", "import", path)
            for verb, heads in verbs.items():
                with self.subTest(verb, count=count):
                    most, lines = self.memory_of(*verb)
                    if heads is not None:
                        self.assertEqual(lines, count + heads)
                    if count == many:
                        self.assertLess(most - before[verb], GROWTH_KIB)
                    before[verb] = most

    # warm

    def test_trace(self):
        self.assertIn("needs a running daemon", self.fails("trace", "a.trace.test"))
        self.publish("a.trace.test", "mail.trace.test")
        self.publish("gone.trace.test", status=404)
        self.mtastsd.start()
        self.assertIn("--for", self.fails("trace", "--for", "2h", "a.trace.test"))

        def trace(domain, *arguments):
            traced = subprocess.Popen([OPTIONS.mtastsctl, "trace", domain, *arguments,
                                       "--config", self.config], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
            self.addCleanup(traced.kill)
            self.assertIn("tracing " + domain, traced.stderr.readline())  # it has begun
            return traced

        # Nine lines, and then it ends: a query that waits for a lookup, and one from the cache.
        traced = trace("a.trace.test", "--json", "--lines", "9")
        for _ in range(2):
            self.mtastsd.ask("other.trace.test")
            self.assertEqual(self.mtastsd.ask("a.trace.test"), secure("mail.trace.test"))
        out, _ = traced.communicate(timeout=30)
        events = [self.checked("trace", json.loads(line)) for line in out.splitlines()]
        self.assertEqual([event["event"] for event in events],
                         ["query_received", "lookup_started", "record_looked_up",
                          "policy_host_looked_up", "policy_host_connected", "policy_stored",
                          "query_answered", "query_received", "query_answered"])
        self.assertEqual({event["domain"] for event in events}, {"a.trace.test"})
        self.assertEqual((events[6]["from"], events[8]["from"]), ("lookup", "cache"))
        self.assertEqual(events[8]["reply"], secure("mail.trace.test"))
        self.assertEqual(traced.returncode, 0)
        # For people, with the reason why a fetch fails; and a refresh.
        traced = trace("gone.trace.test", "--for", "4s")
        self.mtastsd.ask("gone.trace.test")
        out, _ = traced.communicate(timeout=30)
        self.assertRegex(out, r"(?m)^\d\d:\d\d:\d\d\.\d{3} record_looked_up result=found id=1 ttl_s=")
        self.assertRegex(out, r"(?m)^[0-9:.]+ policy_host_failed address=127.0.0.1 reason=\".*404")
        self.assertRegex(out, r"(?m)^[0-9:.]+ query_answered from=lookup reply=")
        # No trace of it in the log.
        self.assertNotIn("event=query_received", self.mtastsd.log())

    def test_warm(self):
        names = [f"w{number}.warm.test" for number in range(30)]
        for name in names[:3]:
            self.publish(name, "mail." + name)
        path = os.path.join(self.own, "domains")
        sandbox.write(path, "# mine\n" + "\n".join(names) + "\n")
        self.assertIn("is mtastsd running", self.fails("warm", path))
        self.mtastsd.start()
        began = time.monotonic()
        done = self.json("warm", "warm", path, "--rate", "15")
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assertEqual((done["asked"], done["with_policy"], done["without"], done["failed"]),
                         (30, 3, 27, 0))
        self.assertIn("3 with a policy in force",
                      self.ctl("warm", "-", "--rate", "1000", stdin="\n".join(names)))
        status, output = self.on_terminal("warm", path, "--rate", "12")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"\r\x1b\[Kwarming the cache  \[=+>? *\] \d+ of 30")
        # What is no domain, and what cannot be had, is named and counted.
        self.publish("gone.warm.test", status=404)
        self.dns.set("_mta-sts.bad.warm.test", "TXT", "v=STSv1; id=;")
        self.dns.set_fault("_mta-sts.dns.warm.test", "TXT", "servfail")
        lines = ("gone.warm.test", "bad.warm.test", "dns.warm.test", names[0], names[4])
        code, out, err = self.run_ctl("warm", "-", "--json", stdin="\n".join(lines))
        done = self.checked("warm", json.loads(out))
        self.assertEqual((code, done["failed"], done["without"], done["with_policy"]), (1, 3, 1, 1))
        self.assertRegex(err, r"(?m)^mtastsctl: gone.warm.test: the policy could not be fetched \(.*404")
        self.assertIn("bad.warm.test: the domain's MTA-STS record cannot be used (", err)
        self.assertIn("dns.warm.test: the lookup of its MTA-STS record failed (", err)
        wrong = ("a.test,enforce", "u@a.test", "https://a.test/")
        code, out, err = self.run_ctl("warm", "-", stdin="\n".join((names[0],) + wrong))
        self.assertEqual(code, 2)
        self.assertIn("1 domains asked for", out)
        self.assertIn("3 lines are no domain", out)
        for number, line in enumerate(wrong, 2):
            self.assertIn(f'standard input: line {number}: "{line}" is no domain', err)

    # The tool itself.

    def test_wrong_arguments(self):
        for arguments in ((), ("nothing",), ("query",), ("cache",), ("cache", "nothing"),
                          ("cache", "show"), ("cache", "list", "--mode", "all"), ("warm",),
                          ("warm", "/dev/null", "--rate", "0"), ("status", "more")):
            with self.subTest(arguments):
                code, out, err = self.run_ctl(*arguments)
                self.assertEqual((code, out), (2, ""))
                self.assertTrue(err)
        for arguments, words in (
                (("--config", "x", "status"), 'mtastsctl: "--config" must come after the verb'),
                (("cache", "--json", "list"), '"--json" must come after the verb'),
                (("overide", "list"), 'mtastsctl: "overide" is no verb: did you mean "override"?'),
                (("cache", "lsit"), '"lsit" is no verb of "cache": did you mean "list"?'),
                (("xyzzyx",), '"xyzzyx" is no verb: the verbs are query, explain,')):
            self.assertIn(words, self.fails(*arguments))
        sandbox.write(self.config, "[cache]\nx = 1\n")
        self.assertIn("mtastsd.toml:2", self.fails("cache", "list"))
        status, _ = run_to_end(OPTIONS.mtastsctl, ["cache", "list", "--config", "/nonexistent"])
        self.assertEqual(status, 2)


def main():
    global OPTIONS  # the test class is made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the daemon")
    parser.add_argument("--mtastsctl", required=True, help="the program to test")
    parser.add_argument("names", nargs="*", help="CtlTest.test_...; all by default")
    OPTIONS = parser.parse_args()
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + OPTIONS.names, verbosity=2)


if __name__ == "__main__":
    main()
