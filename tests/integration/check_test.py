#!/usr/bin/env python3
"""mtastsctl check against DNS, policy and mail servers on loopback.

    check_test.py --mtastsd PATH --mtastsctl PATH [test...]

Each domain lives on 127.0.0.1; each mail server on an address of its own.
"""

import argparse
import json
import os
import pty
import re
import select
import ssl
import subprocess
import sys
import time
import unittest

import jsonschema

from testenv import pki, sandbox, web
from testenv.daemon import Mtastsd, run_to_end, toml
from testenv.dns import Nsd, ScriptedDns
from testenv.dnssec import SignedDns
from testenv.smtp import SmtpSink

DNS, NSD, BLACKHOLE = "127.0.0.53", "127.0.0.1", "127.0.0.66"
RESOLVER, SIGNED = "127.0.0.54", "127.0.0.55"
SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "../../contrib/schema/check.json")
OPTIONS = None


class CheckTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = sandbox.scratch_directory()
        cls.authority = pki.Authority(os.path.join(cls.directory, "pki"))
        cls.dns = ScriptedDns(DNS)
        cls.addClassCleanup(cls.dns.stop)
        cls.web = web.PolicyServer(os.path.join(cls.directory, "web"), cls.authority)
        cls.addClassCleanup(cls.web.stop)
        cls.config = os.path.join(cls.directory, "check.toml")
        cls.cache = os.path.join(cls.directory, "no-cache")
        sandbox.write(cls.config, toml({
            "dns": {"servers": [DNS]},
            "https": {"ca_file": cls.authority.cert, "allow_local_addresses": True},
            "cache": {"directory": cls.cache}}))
        with open(SCHEMA, encoding="utf-8") as file:
            cls.schema = jsonschema.Draft7Validator(json.load(file))

    # Domains.

    def publish(self, domain, *mx, text=None, record="v=STSv1; id=20261101000000;", dns=None,
                mode="enforce", max_age=1209600, hosts=None, tlsrpt=True, **answer):
        """A domain with everything in order, but for what is said."""
        dns = dns or self.dns
        dns.set("_mta-sts." + domain, "TXT", record)
        dns.set("mta-sts." + domain, "A", "127.0.0.1")
        if tlsrpt:
            dns.set("_smtp._tls." + domain, "TXT", "v=TLSRPTv1; rua=mailto:tlsrpt@" + domain)
        for number, host in enumerate(hosts or mx):
            dns.set(host, "A", f"127.0.1.{number + 1}")
        dns.set(domain, "MX", *(f"10 {host}" for host in hosts or mx))
        body = web.policy_text(*mx, mode=mode, max_age=max_age) if text is None else text
        self.web.publish(domain, body, **answer)
        self.web.apply()

    def serve(self, address, name, **issue):
        """A mail server; `issue`: of its certificate."""
        names = issue.pop("names", [name])
        sink = SmtpSink(address, name, self.authority.issue(*names, **issue))
        self.addCleanup(sink.stop)
        return sink

    # Runs.

    def run_check(self, *arguments, config=None):
        return run_to_end(OPTIONS.mtastsctl,
                          ["check", "--config", config or self.config, *arguments], timeout=60)

    def check(self, *arguments, status=None, **options):
        """The reports of a run as JSON, checked against the schema."""
        code, output = self.run_check("--json", *arguments, **options)
        document = json.loads(output)
        self.schema.validate(document)
        if status is not None:
            self.assertEqual(code, status, output)
        return document["reports"]

    def report(self, *arguments, **options):
        reports = self.check(*arguments, **options)
        self.assertEqual(len(reports), 1)
        return reports[0]

    def codes(self, report):
        return {finding["code"] for finding in report["findings"]}

    # The whole way.

    def test_sound_domain_through_nsd(self):
        nsd = Nsd(os.path.join(self.directory, "nsd"))
        self.addCleanup(nsd.stop)
        self.publish("sound.test", "mx.sound.test", "*.mx.sound.test",
                     hosts=["mx.sound.test", "a.mx.sound.test"], dns=nsd)
        nsd.apply()
        self.serve("127.0.1.1", "mx.sound.test")
        self.serve("127.0.1.2", "a.mx.sound.test", names=["*.mx.sound.test"])
        report = self.report("--smtp", "--dns", NSD, "sound.test")
        # Certificates of the test's authority live two days, and are new.
        self.assertEqual(self.codes(report), set())
        self.assertEqual(report["verdict"], "enforced")
        self.assertEqual(report["score"]["total"], 100)
        facts = report["facts"]
        self.assertEqual(facts["record"]["value"]["records"], ["v=STSv1; id=20261101000000;"])
        self.assertEqual(facts["record"]["value"]["ttl"], 1)
        self.assertEqual(facts["id_time"], "2026-11-01T00:00:00Z")
        fetch = facts["policy_host"]["fetch"]["value"]
        self.assertEqual(fetch["status"], 200)
        self.assertIn(fetch["tls_version"], ("TLSv1.2", "TLSv1.3"))  # as nginx is built
        self.assertEqual(fetch["address"], "127.0.0.1")
        self.assertEqual(fetch["media_type"], "text/plain")
        self.assertEqual(fetch["size"], len(web.policy_text("mx.sound.test", "*.mx.sound.test",
                                                            max_age=1209600)))
        self.assertTrue(fetch["certificate"]["chain_trusted"])
        self.assertEqual(fetch["certificate"]["names"], ["mta-sts.sound.test"])
        self.assertEqual(fetch["certificate"]["issuer"], "mtastsd test CA")
        self.assertEqual(facts["policy"]["mx"], ["mx.sound.test", "*.mx.sound.test"])
        self.assertTrue(all(line["verdict"] == "good" for line in facts["policy"]["lines"]))
        for host in facts["mail"]["value"]["hosts"]:
            self.assertTrue(host["covered"])
            [smtp] = host["smtp"]
            self.assertTrue(smtp["value"]["starttls"])
            self.assertEqual(smtp["value"]["tls_version"], "TLSv1.3")
            self.assertTrue(smtp["value"]["certificate"]["name_matches"])
            self.assertEqual(smtp["value"]["certificate"]["key"], "EC prime256v1")
        self.assertEqual(facts["dane"], "none")
        self.assertEqual(facts["resolver_validates"]["value"], False)

    def test_nothing_there(self):
        self.dns.set("plain.test", "MX", "10 mx.plain.test")
        self.dns.set("mx.plain.test", "A", "127.0.1.1")
        report = self.report("plain.test", status=1)
        self.assertEqual(report["verdict"], "missing")
        self.assertEqual(self.codes(report), {"mta_sts_missing", "tlsrpt_missing"})
        self.assertEqual(report["facts"]["record"]["outcome"], "absent")
        self.assertIn("mx: mx.plain.test", report["advice"][0])
        report = self.report("nowhere.test", status=1)
        self.assertEqual(report["verdict"], "no_such_domain")

    def test_record(self):
        self.publish("two.test", "mx.two.test")
        self.dns.set("_mta-sts.two.test", "TXT", "v=STSv1; id=1", "v=STSv1; id=2")
        self.assertIn("mta_sts_record_multiple", self.codes(self.report("two.test", status=1)))
        self.publish("alias.test", "mx.alias.test")
        self.dns.remove("_mta-sts.alias.test", "TXT")
        self.dns.set("_mta-sts.alias.test", "CNAME", "a.provider.test")
        self.dns.set("a.provider.test", "CNAME", "b.provider.test")
        self.dns.set("b.provider.test", "TXT", "v=STSv1; id=20261101")
        report = self.report("alias.test")
        self.assertEqual(report["facts"]["record"]["value"]["alias_chain"],
                         ["a.provider.test", "b.provider.test"])
        self.assertEqual(report["facts"]["id"], "20261101")
        self.publish("misplaced.test", "mx.misplaced.test")
        self.dns.remove("_mta-sts.misplaced.test", "TXT")
        self.dns.set("misplaced.test", "TXT", "v=STSv1; id=1")
        self.assertIn("mta_sts_record_misplaced", self.codes(self.report("misplaced.test")))

    def test_policy_host(self):
        own = self.authority
        rows = {
            "expired": ({"certificate": own.issue("mta-sts.expired.test", expired=True)},
                        "policy_host_cert_expired"),
            "name": ({"certificate": own.issue("name.test")}, "policy_host_cert_name"),
            "cn": ({"certificate": own.issue("mta-sts.cn.test", san=False)},
                   "policy_host_cert_name"),
            "self": ({"certificate": own.issue("mta-sts.self.test", self_signed=True)},
                     "policy_host_cert_untrusted"),
            "gone": ({"status": 404}, "policy_http_status"),
            "moved": ({"status": 301, "location": "https://www.moved.test/"}, "policy_redirect"),
            "html": ({"media_type": "text/html"}, "policy_media_type"),
        }
        for label, (answer, _) in rows.items():
            self.publish(label + ".test", f"mx.{label}.test", **answer)
        reports = self.check(*(label + ".test" for label in rows), status=1)
        self.assertEqual([report["domain"] for report in reports],
                         [label + ".test" for label in rows])
        for report, (label, (_, code)) in zip(reports, rows.items()):
            with self.subTest(label):
                self.assertIn(code, self.codes(report))
                self.assertIn("mta_sts_unreachable", self.codes(report))
                self.assertEqual(report["verdict"], "broken")
                seen = report["facts"]["policy_host"]["fetch"]["value"]
                self.assertIn(seen["tls_version"], ("TLSv1.2", "TLSv1.3"))
                self.assertIsNotNone(seen["certificate"])
        certificates = {report["domain"]: report["facts"]["policy_host"]["fetch"]["value"]
                        ["certificate"] for report in reports}
        self.assertEqual((certificates["expired.test"]["in_time"],
                          certificates["expired.test"]["chain_trusted"],
                          certificates["expired.test"]["name_matches"]), (False, True, True))
        self.assertEqual(certificates["self.test"]["name_matches"], True)
        moved = next(r for r in reports if r["domain"] == "moved.test")
        self.assertEqual(moved["facts"]["policy_host"]["fetch"]["value"]["redirect"],
                         "https://www.moved.test/")

    def test_policy_on_the_domains_own_host(self):
        self.publish("apex.test", "mx.apex.test")
        self.web.withdraw("apex.test")
        self.dns.remove("mta-sts.apex.test", "A")
        self.dns.set("apex.test", "A", "127.0.0.1")
        # A server block "mta-sts.<domain>" for the domain itself.
        self.web.publish("apex.test", web.policy_text("mx.apex.test"),
                         certificate=self.authority.issue("apex.test", "mta-sts.apex.test"),
                         host="apex.test")
        self.web.apply()
        found = self.codes(self.report("apex.test", status=1))
        self.assertLessEqual({"policy_on_apex", "policy_host_no_address", "mta_sts_unreachable"},
                             found)

    def test_policy_host_at_a_special_address(self):
        config = os.path.join(self.directory, "special.toml")
        sandbox.write(config, toml({"dns": {"servers": [DNS]},
                                    "https": {"ca_file": self.authority.cert},
                                    "cache": {"directory": self.cache}}))
        self.publish("special.test", "mx.special.test")
        self.dns.set("mta-sts.special.test", "A", "10.1.2.3")
        report = self.report("special.test", config=config, status=1)
        self.assertLessEqual({"policy_host_local_address", "mta_sts_unreachable"},
                             self.codes(report))
        details = [finding["detail"] for finding in report["findings"]]
        self.assertIn("mta-sts.special.test has no public address: 10.1.2.3 is special (private "
                      "use, RFC 1918), and [https] allow_networks does not name it", details)

    def test_policy_and_mx(self):
        self.publish("lines.test", "mx.lines.test", tlsrpt=False, text=(
            "version: STSv1\r\nmode: testing\nmax-age: 1\r\nmx: *.lines.test\r\n"
            "mx: old.example\r\nmax_age: 3600\r\n\r\n"),
                     hosts=["mx.lines.test", "a.b.lines.test", "mx.elsewhere.test"])
        report = self.report("lines.test", status=1)
        self.assertEqual(self.codes(report), {
            "mta_sts_mx_mismatch", "mta_sts_mx_unused", "policy_field_misspelt",
            "policy_blank_lines", "policy_line_ends_mixed", "mta_sts_mode_testing",
            "tlsrpt_missing_in_testing"})
        uncovered = [finding["detail"] for finding in report["findings"]
                     if finding["code"] == "mta_sts_mx_mismatch"]
        self.assertEqual(uncovered, ["a.b.lines.test", "mx.elsewhere.test"])
        self.assertEqual(report["facts"]["mail"]["value"]["unused_patterns"], ["old.example"])

    def test_smtp(self):
        hosts = ["good", "plain", "expired", "name", "self", "silent", "old"]
        self.publish("smtp.test", "*.smtp.test", hosts=[host + ".smtp.test" for host in hosts])
        self.serve("127.0.1.1", "good.smtp.test")
        plain = SmtpSink("127.0.1.2", "plain.smtp.test", None)
        self.addCleanup(plain.stop)
        self.serve("127.0.1.3", "expired.smtp.test", expired=True)
        self.serve("127.0.1.4", "name.smtp.test", names=["other.test"])
        self.serve("127.0.1.5", "self.smtp.test", self_signed=True)
        old = self.serve("127.0.1.7", "old.smtp.test")
        old.limit_to(ssl.TLSVersion.TLSv1_1)
        report = self.report("--smtp", "smtp.test", status=1)
        found = {finding["detail"].split(":")[0].split(".")[0]: finding["code"]
                 for finding in report["findings"] if finding["code"].startswith("smtp_")}
        self.assertEqual(found, {
            "plain": "smtp_no_starttls", "expired": "smtp_cert_expired", "name": "smtp_cert_name",
            "self": "smtp_cert_untrusted", "silent": "smtp_unknown", "old": "smtp_tls_old"})
        self.assertEqual(report["verdict"], "partly_refused")
        self.assertIn("mail to 4 of 7 MX hosts is refused", report["summary"])
        outcomes = {host["host"].split(".")[0]: host["smtp"][0]["outcome"]
                    for host in report["facts"]["mail"]["value"]["hosts"]}
        self.assertEqual(outcomes["silent"], "cannot_tell")
        self.assertEqual(outcomes["plain"], "known")

    def test_dane(self):
        self.publish("dane.test", "mx.dane.test")
        self.dns.set("_25._tcp.mx.dane.test", "TLSA", "3 1 1 " + "ab" * 32)
        report = self.report("dane.test")
        self.assertEqual(report["facts"]["dane"], "cannot_tell")
        self.assertIn("dane_unknown", self.codes(report))
        self.assertEqual(report["facts"]["mail"]["value"]["hosts"][0]["tlsa"]["value"],
                         [{"usage": 3, "selector": 1, "matching": 1, "data": "ab" * 32,
                           "usable": True}])
        self.dns.validate("", "dane.test", "_25._tcp.mx.dane.test")
        self.addCleanup(self.dns.validate)
        report = self.report("dane.test")
        self.assertEqual(report["facts"]["dane"], "everywhere")
        self.assertEqual(report["facts"]["resolver_validates"]["value"], True)
        self.dns.validate("")
        report = self.report("dane.test")
        self.assertEqual(report["facts"]["dane"], "unsigned")
        self.assertIn("dane_unsigned", self.codes(report))

    def test_dane_by_signatures(self):
        """Signed zones on nsd, and an unbound on this host that validates them."""
        signed = SignedDns(os.path.join(self.directory, "signed"), unsigned=("plain.test",),
                           resolver=RESOLVER, address=SIGNED)
        self.addCleanup(signed.stop)
        for domain in ("sure.test", "half.test", "plain.test"):
            hosts = [f"{label}.{domain}" for label in ("mx1", "mx2")]
            self.publish(domain, *hosts, dns=signed)
            for host in hosts[:1] if domain == "half.test" else hosts:
                signed.set("_25._tcp." + host, "TLSA", "3 1 1 " + "ab" * 32)
        signed.apply()
        self.web.apply()
        for domain, dane, code in (("sure.test", "everywhere", "dane_present"),
                                   ("half.test", "partly", "dane_partial"),
                                   ("plain.test", "unsigned", "dane_unsigned")):
            with self.subTest(domain):
                report = self.report("--dns", RESOLVER, domain)
                self.assertEqual(report["facts"]["resolver_validates"]["value"], True)
                self.assertEqual(report["facts"]["dane"], dane)
                self.assertEqual(self.codes(report), {code})

    def test_dane_in_signed_zones(self):
        """What senders see by DANE and by MTA-STS."""
        dns = SignedDns(os.path.join(self.directory, "zones"), unsigned=["plain"],
                        resolver=RESOLVER, address=SIGNED)
        self.addCleanup(dns.stop)
        good, too_short = "3 1 1 " + "ab" * 32, "3 1 1 " + "ab" * 31
        for domain, host, record in (("signed.test", "mx.signed.test", good),
                                     ("short.test", "mx.short.test", too_short),
                                     ("domain.plain", "mx.domain.plain", good),
                                     ("bogus.test", "mx.bogus.test", good)):
            self.publish(domain, host, dns=dns)
            dns.set("_25._tcp." + host, "TLSA", record)
        dns.break_signature("_25._tcp.mx.bogus.test", "TLSA")
        dns.apply()
        for domain, dane, seen in (
                ("signed.test", "everywhere", "must match their TLSA records"),
                ("short.test", "unusable", "by DANE alone no certificate is checked"),
                ("domain.plain", "unsigned", "DANE does not apply"),
                ("bogus.test", "cannot_tell", "unknown")):
            with self.subTest(domain):
                report = self.report("--dns", RESOLVER, domain)
                self.assertEqual(report["facts"]["dane"], dane)
                _, text = self.run_check("--dns", RESOLVER, domain)
                self.assertRegex(" ".join(text.split()), "by DANE .*" + seen)
                self.assertIn("by MTA-STS        MX hosts must be in the policy", text)

    # Against the cache of a running daemon.

    def test_cache(self):
        settings = {"socketmap": {"listen": ["inet:127.0.0.1:8461"]}, "dns": {"servers": [DNS]},
                    "https": {"ca_file": self.authority.cert, "allow_local_addresses": True},
                    "cache": {"directory": os.path.join(self.directory, "cache")}}
        mtastsd = Mtastsd(OPTIONS.mtastsd, os.path.join(self.directory, "daemon"), settings)
        self.addCleanup(mtastsd.stop)
        mtastsd.start()
        self.publish("cached.test", "mx.cached.test")
        self.assertTrue(mtastsd.ask("cached.test").startswith("OK "))
        mtastsd.wait_stored("cached.test")

        def look(domain="cached.test"):
            return self.report(domain, config=mtastsd.config)

        report = look()
        cached = report["facts"]["cached"]
        self.assertEqual(cached["outcome"], "known")
        self.assertEqual(cached["value"]["id"], "20261101000000")
        self.assertNotIn("mta_sts_id_not_bumped", self.codes(report))
        self.assertEqual(look("nowhere.test")["facts"]["cached"]["outcome"], "absent")
        self.web.replace("cached.test", web.policy_text("mx.cached.test", mode="testing"))
        self.assertIn("mta_sts_id_not_bumped", self.codes(look()))
        self.dns.set("_mta-sts.cached.test", "TXT", "v=STSv1; id=20261102")
        found = self.codes(look())
        self.assertIn("cache_stale", found)
        self.assertNotIn("mta_sts_id_not_bumped", found)
        self.assertIsNone(self.report("cached.test")["facts"]["cached"])

    # What cannot be found out is not absent, and the exit status says so.

    def test_cannot_tell(self):
        self.publish("dark.test", "mx.dark.test")
        for name, rtype in (("_mta-sts.dark.test", "TXT"), ("dark.test", "MX"),
                            ("_smtp._tls.dark.test", "TXT"), ("mta-sts.dark.test", "A")):
            self.dns.set_fault(name, rtype, "servfail")
        report = self.report("dark.test", status=2)
        self.assertEqual(report["verdict"], "cannot_tell")
        self.assertFalse(report["complete"])
        for fact in (report["facts"]["record"], report["facts"]["mail"],
                     report["facts"]["tlsrpt"], report["facts"]["policy_host"]["addresses"],
                     report["facts"]["policy_host"]["fetch"]):
            self.assertEqual(fact["outcome"], "cannot_tell")
            self.assertIn("SERVFAIL", fact["why"])
        self.assertEqual({finding["severity"] for finding in report["findings"]}, {"UNKNOWN"})

    def test_time_is_bounded(self):
        began = time.monotonic()
        report = self.report("--timeout", "2s", "--dns", BLACKHOLE, "slow.test", status=2)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(report["verdict"], "cannot_tell")
        self.publish("hangs.test", "mx.hangs.test")
        self.dns.set("mta-sts.hangs.test", "A", BLACKHOLE)
        gate = web.Gate(BLACKHOLE, ("127.0.0.1", 443))
        self.addCleanup(gate.close)
        began = time.monotonic()
        report = self.report("--timeout", "3s", "hangs.test", status=1)
        self.assertLess(time.monotonic() - began, 12)
        self.assertEqual(report["facts"]["policy_host"]["fetch"]["value"]["error"]["kind"],
                         "timeout")

    def test_local_addresses_are_not_contacted(self):
        self.publish("inside.test", "mx.inside.test")
        config = os.path.join(self.directory, "strict.toml")
        sandbox.write(config, toml({"dns": {"servers": [DNS]},
                                    "https": {"ca_file": self.authority.cert},
                                    "cache": {"directory": self.cache}}))
        before = len(self.web.requests("inside.test"))
        report = self.report("inside.test", config=config, status=1)
        self.assertIn("policy_host_local_address", self.codes(report))
        self.assertEqual(len(self.web.requests("inside.test")), before)

    # The command line.

    def test_exit_status_and_fail_on(self):
        self.publish("trial.test", "mx.trial.test", mode="testing", tlsrpt=False, max_age=86400)
        self.assertEqual(self.run_check("trial.test")[0], 1)
        self.assertEqual(self.run_check("--fail-on", "high", "trial.test")[0], 0)
        self.assertEqual(self.run_check("--fail-on", "MEDIUM", "trial.test")[0], 0)
        self.assertEqual(self.run_check("--fail-on", "info", "trial.test")[0], 1)
        for wrong in (["--fail-on", "worst", "trial.test"], ["not a domain"], [],
                      ["--timeout", "5", "trial.test"], ["--dns", "x", "trial.test"],
                      ["--ca-file", "/nowhere", "trial.test"], ["--format", "xml", "trial.test"]):
            with self.subTest(wrong):
                status, output = self.run_check(*wrong)
                self.assertEqual(status, 2, output)
                self.assertGreater(len(output), 20)

    def test_text_and_markdown(self):
        self.publish("text.test", "mx.text.test", hosts=["mx.text.test", "mx.other.test"])
        _, text = self.run_check("text.test")
        self.assertTrue(text.startswith(
            "text.test: MTA-STS is enforced, and mail to 1 of 2 MX hosts is refused"), text[:90])
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertNotIn("\x1b", text)
        _, both = self.run_check("--details", "text.test", "nowhere.test")
        self.assertLess(both.find("\nMX hosts\n"), both.find("\nnowhere.test: no such domain"))
        self.publish("better.test", "mx.better.test")
        status, lines = self.run_check("better.test", "text.test")
        self.assertEqual(status, 1)
        self.assertEqual(lines, "better.test  100  enforced\n"
                         "text.test     50  partly_refused  HIGH mta_sts_mx_mismatch: mx.other.test\n")
        _, json_lines = self.run_check("--format", "jsonl", "better.test", "text.test")
        self.assertEqual([json.loads(line)["domain"] for line in json_lines.splitlines()],
                         ["better.test", "text.test"])
        _, markdown = self.run_check("--format", "markdown", "text.test")
        self.assertTrue(markdown.startswith("## text.test: MTA"), markdown[:40])
        self.assertIn("| HIGH | `mta_sts_mx_mismatch` mx.other.test<br>", markdown)

    def test_a_name_in_unicode(self):
        self.publish("xn--bcher-kva.test", "mx.bcher.test")
        _, text = self.run_check("b\u00fccher.test")
        self.assertTrue(text.startswith("b\u00fccher.test (xn--bcher-kva.test): MTA-STS is"), text[:60])
        self.assertEqual(self.report("b\u00fccher.test")["typed"], "b\u00fccher.test")

    def test_guides(self):
        self.publish("fix.test", "old.fix.test", hosts=["mx.fix.test"])
        status, text = self.run_check("--fix", "fix.test")
        self.assertEqual(status, 1)
        policy = text[text.index("version:"):text.index("\n\n2.")]
        record = re.search('IN TXT "(v=STSv1; id=[0-9]{14};)"', text).group(1)
        # Whoever pastes what it says has nothing left to do.
        self.web.replace("fix.test", policy + "\n")
        self.dns.set("_mta-sts.fix.test", "TXT", record)
        self.assertEqual(self.run_check("--fix", "fix.test")[0], 0)
        self.report("fix.test", status=0)
        status, text = self.run_check("--move-to", "mx.other.test", "fix.test")
        self.assertEqual(status, 0)
        self.assertIn("mx: mx.fix.test\nmx: mx.other.test\n", text)
        self.assertEqual(self.run_check("--new", "fix.test")[0], 1)
        self.dns.set("fresh.test", "MX", "10 mx.fresh.test")
        self.dns.set("mx.fresh.test", "A", "127.0.1.1")
        status, text = self.run_check("--new", "fresh.test")
        self.assertEqual(status, 0)
        self.assertIn("server_name mta-sts.fresh.test;", text)
        for wrong in (["--fix", "--new"], ["--fix", "--json"], ["--move-to", "a b"]):
            self.assertEqual(self.run_check(*wrong, "fresh.test")[0], 2)

    def test_watch(self):
        file = os.path.join(self.directory, "watch.json")
        self.publish("watched.test", "mx.watched.test")
        status, text = self.run_check("--watch", file, "watched.test")
        self.assertEqual((status, text), (0, f"The state of 1 domain is in {file} now. The next run "
                                             "prints what has changed.\n"))
        self.assertEqual(self.run_check("--watch", file, "watched.test"), (0, ""))
        self.dns.set("watched.test", "MX", "10 mx.watched.test", "20 mx.other.test")
        self.assertEqual(self.run_check("--watch", file, "watched.test"), (1, (
            "watched.test: partly_refused (was enforced), score 50 (was 100)\n"
            "  new   HIGH mta_sts_mx_mismatch: mx.other.test\n")))
        self.assertEqual(self.run_check("--watch", file, "watched.test"), (0, ""))
        sandbox.write(file, "something else")
        self.assertEqual(self.run_check("--watch", file, "watched.test")[0], 2)

    def on_terminal(self, *arguments, **environment):
        """What a terminal gets, stdout and stderr together."""
        master, slave = pty.openpty()
        child = subprocess.Popen(
            [OPTIONS.mtastsctl, "check", "--config", self.config, *arguments], stdin=slave,
            stdout=slave, stderr=slave, env=dict(os.environ, TERM="xterm", **environment))
        os.close(slave)
        output = b""
        while select.select([master], [], [], 30)[0]:
            try:
                output += os.read(master, 65536)
            except OSError:
                break  # the other side is closed
        os.close(master)
        child.wait(30)
        return output.decode("ascii")

    def test_colours_and_progress_on_a_terminal_only(self):
        self.publish("shown.test", "mx.shown.test")
        self.assertIn("\x1b[1mshown.test: MTA-STS is enforced", self.on_terminal("shown.test"))
        self.assertNotIn("\x1b", self.on_terminal("shown.test", NO_COLOR="1"))
        self.assertRegex(self.on_terminal("--timeout", "3s", "--dns", BLACKHOLE, "slow.test"),
                         re.escape("\x1b[Kchecking  [>") + " *" + re.escape("] 0 of 1  ") + "[12]")

    def test_list_of_findings(self):
        status, output = run_to_end(OPTIONS.mtastsctl, ["check", "--list-findings"])
        self.assertEqual(status, 0)
        for line in ("mta_sts_missing LOW", "mta_sts_mode_none LOW", "mta_sts_mode_testing INFO",
                     "mta_sts_mx_mismatch HIGH", "mta_sts_unreachable MEDIUM"):
            self.assertIn(line + "\n", output)
        self.assertLessEqual(max(map(len, output.splitlines())), 80)


def main():
    global OPTIONS  # the test class is made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the daemon, whose cache is compared with")
    parser.add_argument("--mtastsctl", required=True, help="the operator's tool")
    parser.add_argument("names", nargs="*", help="CheckTest.test_...; all by default")
    OPTIONS = parser.parse_args()
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + OPTIONS.names, verbosity=2)


if __name__ == "__main__":
    main()
