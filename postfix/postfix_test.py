#!/usr/bin/env python3
"""Mail through a real Postfix with the main.cf pieces of this directory and a real mtastsd.

Everything runs in a network namespace of its own: the system's resolver is an nsd, its store of
trusted certificates is a throw-away CA, policy hosts answer on port 443 and mail servers on port
25 of loopback addresses. What became of a message is read from Postfix's log and from what the
mail servers took.

    postfix_test.py --mtastsd PATH [test...]
    postfix_test.py --server-stub notfound [test...]

The second form puts a server that knows no policy in mtastsd's place. It succeeds when every case
fails: each one depends on what mtastsd answers.
"""

import argparse
import os
import re
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "integration"))

# pylint: disable=wrong-import-position
from mail_world import SERVER, MailWorld
from testenv import sandbox, socketmap, tlsrpt, web
from testenv.dns import Nsd

POLICY_TYPE_STS = 2  # of libtlsrpt
OPTIONS = None


class World(MailWorld):
    def __init__(self, directory):
        super().__init__(directory, Nsd)
        # From 3.10.5 Postfix itself compares MX host names with the policy, and does not connect to a
        # host outside it; before that the certificate decides.
        self.mx_mismatch = (("4.3.0", "unavailable or unable to receive mail")
                            if self.version >= (3, 10, 5) else ("4.7.5", "not verified"))
        self.map = "postfixWithTLSRPT" if self.modern else "postfix"
        sockets = self.postfix.make_socket_directory("run/mtastsd")
        self.unix = f"unix:{sockets}/policy.sock"
        self.mtastsd = self.make_server(
            OPTIONS.mtastsd, "mtastsd",
            {"listen": [SERVER, self.unix], "socket_mode": "0660", "socket_group": "postfix"},
            {"maps.strict": {"postfix_version": "3.7", "enforce_testing": True}})
        self._stubs = []

    def start_server(self):
        if OPTIONS.server_stub:
            self._stubs = [socketmap.FixedServer(SERVER), socketmap.FixedServer(self.unix)]
            os.chmod(self.unix.partition(":")[2], 0o666)
        else:
            self.mtastsd.start()

    def stop_server(self):
        if OPTIONS.server_stub:
            for stub in self._stubs:
                stub.stop()
            os.unlink(self.unix.partition(":")[2])
        else:
            self.mtastsd.stop()

    def kill_server(self):
        if OPTIONS.server_stub:
            self.stop_server()
        else:
            self.mtastsd.kill()


def build(world):
    """The domains: one mail server and, but for one of them, a policy each."""
    issue = world.authority.issue

    def domain(name, host, certificate, policy=None):
        world.mail_server(host, certificate)
        world.mx(name, host)
        if policy:
            world.policy(name, policy)

    domain("good.test", "mail.good.test", issue("mail.good.test"),
           web.policy_text("mail.good.test"))
    domain("wild.test", "mx1.wild.test", issue("mx1.wild.test"), web.policy_text("*.wild.test"))
    domain("wrongname.test", "mail.wrongname.test", issue("mail.elsewhere.test"),
           web.policy_text("mail.wrongname.test"))
    domain("selfsigned.test", "mail.selfsigned.test",
           issue("mail.selfsigned.test", self_signed=True), web.policy_text("mail.selfsigned.test"))
    domain("plain.test", "mail.plain.test", None, web.policy_text("mail.plain.test"))
    # A certificate for its own name, so that only the policy's list speaks against the host.
    domain("unlisted.test", "other.unlisted.test", issue("other.unlisted.test"),
           web.policy_text("mail.unlisted.test"))
    domain("testing.test", "mail.testing.test", issue("mail.testing.test", self_signed=True),
           web.policy_text("mail.testing.test", mode="testing"))
    domain("none.test", "mail.none.test", issue("mail.none.test", self_signed=True),
           web.policy_text("mail.none.test", mode="none"))
    domain("nopolicy.test", "mail.nopolicy.test", issue("mail.nopolicy.test", self_signed=True))
    domain("moved.test", "new.moved.test", issue("new.moved.test"),
           web.policy_text("old.moved.test"))
    domain("cached.test", "mail.cached.test", issue("mail.cached.test"),
           web.policy_text("mail.cached.test"))
    world.mail_server("bad.cached.test", issue("bad.cached.test"))
    domain("down.test", "mail.down.test", issue("mail.down.test"),
           web.policy_text("mail.down.test"))
    domain("excused.test", "mail.excused.test", issue("mail.elsewhere.test"),
           web.policy_text("mail.excused.test"))
    domain("partner.test", "mail.partner.test", issue("mail.partner.test"))
    domain("exception.test", "mail.exception.test", issue("mail.elsewhere.test"),
           web.policy_text("mail.exception.test"))


def alternatives(piece):
    """The lines of main.cf that are commented out, one text for each group of them."""
    groups = re.findall(r"(?:^#smtp_.*\n)+", piece, re.MULTILINE)
    return [re.sub(r"^#", "", group, flags=re.MULTILINE) for group in groups]


class PostfixTest(unittest.TestCase):
    """Sub-tests: "reply" is what postmap shows, "mail" is what became of a message."""

    world: World

    @classmethod
    def setUpClass(cls):
        cls.world = World(sandbox.scratch_directory())
        cls.addClassCleanup(cls.world.stop)
        build(cls.world)
        cls.world.start()

    # What mtastsd answers.

    def expect_secure(self, domain, match, name=None):
        with self.subTest("reply"):
            self.check_secure(self.ask(domain, name), domain, match)

    def check_secure(self, value, domain, match):
        self.assertIsNotNone(value, f"no policy for {domain}")
        words = value.split()
        self.assertEqual(words[:3], ["secure", "match=" + match, "servername=hostname"])
        if self.world.map == "postfixWithTLSRPT":
            self.assertIn("policy_type=sts", words)
            self.assertIn("policy_domain=" + domain, words)
            self.assertIn("{ policy_string = version: STSv1 }", value)
        else:
            self.assertEqual(len(words), 3)

    def expect_not_found(self, domain):
        with self.subTest("reply"):
            self.assertIsNone(self.ask(domain))

    def ask(self, domain, name=None):
        found, value = self.world.postfix.postmap(
            domain, f"socketmap:{SERVER}:{name or self.world.map}")
        return value if found else None

    # What becomes of mail.

    def expect_verified(self, domain, host):
        """Delivered over TLS with the host's certificate checked and its name as SNI."""
        with self.subTest("mail"):
            queue_id = self.world.postfix.submit(f"user@{domain}")
            self.addCleanup(self.world.postfix.delete, queue_id)
            self.check_verified(queue_id, domain, host,
                                self.world.postfix.first_status(queue_id))

    def check_verified(self, queue_id, domain, host, status):
        sink = self.world.sink(host)
        self.assertEqual(status.status, "sent", status)
        self.assertIn(host, status.relay)
        self.assertIn(f"Verified TLS connection established to {host}[{sink.address}]:25",
                      self.world.postfix.maillog())
        last = sink.deliveries(f"user@{domain}")[-1]
        self.assertIsNotNone(last.tls)
        self.assertEqual(last.sni, host)

    def expect_unverified(self, domain, host):
        """Delivered although the certificate is worth nothing."""
        with self.subTest("mail"):
            sink = self.world.sink(host)
            queue_id = self.world.postfix.submit(f"user@{domain}")
            self.addCleanup(self.world.postfix.delete, queue_id)
            status = self.world.postfix.first_status(queue_id)
            self.assertEqual(status.status, "sent", status)
            self.assertEqual(len(sink.deliveries(f"user@{domain}")), 1)
            self.assertNotIn(f"Verified TLS connection established to {host}[",
                             self.world.postfix.maillog())

    def expect_deferred(self, domain, host, dsn, text):
        """Not delivered at the first attempt, and nothing reached the mail server."""
        with self.subTest("mail"):
            before = len(self.world.sink(host).deliveries(f"user@{domain}"))
            queue_id = self.world.postfix.submit(f"user@{domain}")
            self.addCleanup(self.world.postfix.delete, queue_id)
            status = self.world.postfix.first_status(queue_id)
            # Postfix tries again within a second, and the next step may let mail pass.
            self.world.postfix.delete(queue_id)
            self.assertEqual(status.status, "deferred", status)
            self.assertEqual(status.dsn, dsn, status)
            self.assertRegex(status.text, text)
            self.assertEqual(len(self.world.sink(host).deliveries(f"user@{domain}")), before)

    # Mode enforce.

    def test_enforce_good_certificate_is_delivered(self):
        self.expect_secure("good.test", "mail.good.test")
        self.expect_verified("good.test", "mail.good.test")

    def test_enforce_wildcard_pattern_is_delivered(self):
        self.expect_secure("wild.test", ".wild.test")
        self.expect_verified("wild.test", "mx1.wild.test")

    def test_enforce_wrong_name_is_deferred(self):
        self.expect_secure("wrongname.test", "mail.wrongname.test")
        self.expect_deferred("wrongname.test", "mail.wrongname.test", "4.7.5", "not verified")

    def test_enforce_self_signed_is_deferred(self):
        self.expect_secure("selfsigned.test", "mail.selfsigned.test")
        self.expect_deferred("selfsigned.test", "mail.selfsigned.test", "4.7.5", "not (verified|"
                             "trusted)")

    def test_enforce_without_starttls_is_deferred(self):
        self.expect_secure("plain.test", "mail.plain.test")
        self.expect_deferred("plain.test", "mail.plain.test", "4.7.4", "TLS is required")

    def test_enforce_mx_outside_the_policy_is_deferred(self):
        self.expect_secure("unlisted.test", "mail.unlisted.test")
        self.expect_deferred("unlisted.test", "other.unlisted.test", *self.world.mx_mismatch)

    # Exceptions.

    def override(self, domain, action, until=None, mx=()):
        reply = self.world.mtastsd.command("override-add", override={
            "name": domain, "action": action, "mx": list(mx), "reason": "test", "until": until,
            "source": "command-line", "decided_at": None, "by": ""})
        self.assertTrue(reply["ok"], reply)

    def test_override_ignore_until_it_ends(self):
        self.check_secure(self.ask("excused.test"), "excused.test", "mail.excused.test")
        self.expect_deferred("excused.test", "mail.excused.test", "4.7.5", "not verified")
        self.override("excused.test", "ignore", until="2999-01-01T00:00:00Z")
        # Before it is asked for.
        self.world.kill_server()
        self.world.start_server()
        self.expect_not_found("excused.test")
        self.expect_unverified("excused.test", "mail.excused.test")
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
        self.override("excused.test", "ignore", until=end)
        self.world.mtastsd.wait_log(r"event=override_ended name=excused\.test")
        self.expect_secure("excused.test", "mail.excused.test")
        self.expect_deferred("excused.test", "mail.excused.test", "4.7.5", "not verified")

    def test_override_pins_a_partner_without_a_policy(self):
        # In stub mode there is nobody to tell.
        self.assertIsNotNone(self.ask("good.test"))
        self.override("partner.test", "pin", mx=["mail.partner.test"])
        self.assertEqual(self.ask("partner.test"),
                         "secure match=mail.partner.test servername=hostname")
        self.expect_verified("partner.test", "mail.partner.test")
        self.override("partner.test", "pin", mx=["mail.other.test"])
        self.expect_deferred("partner.test", "mail.partner.test", "4.7.5", "not verified")

    # Policies that do not bind.

    def test_testing_is_delivered(self):
        self.expect_not_found("testing.test")
        with self.subTest("known"):
            # The same policy where a map enforces mode testing: mtastsd does have it.
            value = self.ask("testing.test", "strict")
            self.assertEqual(value, "secure match=mail.testing.test servername=hostname")
        self.expect_unverified("testing.test", "mail.testing.test")

    def test_none_is_delivered(self):
        self.expect_not_found("none.test")
        with self.subTest("known"):
            self.assertEqual(self.world.web.requests("none.test"), [200])
        self.expect_unverified("none.test", "mail.none.test")

    def test_no_policy_is_delivered_until_there_is_one(self):
        domain, host = "nopolicy.test", "mail.nopolicy.test"
        self.expect_not_found(domain)
        self.expect_unverified(domain, host)
        self.world.policy(domain, web.policy_text(host))
        self.world.web.apply()
        self.world.dns.apply()
        with self.subTest("reply"):
            value = sandbox.wait_for(lambda: self.ask(domain), f"the new policy of {domain}",
                                     OPTIONS.patience, step=0.2)
            self.check_secure(value, domain, host)
        self.expect_deferred(domain, host, "4.7.5", "not (verified|trusted)")

    # Policies that change or cannot be had.

    def test_replaced_policy_releases_deferred_mail(self):
        domain, host = "moved.test", "new.moved.test"
        self.expect_secure(domain, "old.moved.test")
        queue_id = self.world.postfix.submit(f"user@{domain}")
        self.addCleanup(self.world.postfix.delete, queue_id)
        with self.subTest("mail"):
            status = self.world.postfix.first_status(queue_id)
            self.assertEqual((status.status, status.dsn),
                             ("deferred", self.world.mx_mismatch[0]), status)
        self.world.web.replace(domain, web.policy_text(host))
        self.world.dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=2;")
        self.world.dns.apply()
        with self.subTest("mail after the change"):
            status = self.world.postfix.wait_sent(queue_id, 20)
            self.check_verified(queue_id, domain, host, status)
        self.expect_secure(domain, host)

    def test_cached_policy_outlives_dns_https_and_a_crash(self):
        domain = "cached.test"
        self.expect_secure(domain, "mail.cached.test")
        self.expect_verified(domain, "mail.cached.test")
        self.world.remove_policy(domain)
        self.world.web.apply()
        self.world.dns.apply()
        for label, prepare in (("records gone", lambda: None),
                               ("after kill -9", self.kill_and_restart)):
            with self.subTest(label):
                prepare()
                with self.subTest("check"):
                    self.wait_check(domain)
                self.world.mx(domain, "bad.cached.test")
                self.world.dns.apply()
                self.expect_secure(domain, "mail.cached.test")
                self.expect_deferred(domain, "bad.cached.test", *self.world.mx_mismatch)
                self.world.mx(domain, "mail.cached.test")
                self.world.dns.apply()
                self.expect_verified(domain, "mail.cached.test")

    def wait_check(self, domain):
        """Until mtastsd has looked for the domain's record once more."""
        before = self.world.mtastsd.checks(domain)
        sandbox.wait_for(lambda: (self.ask(domain) or True)
                         and self.world.mtastsd.checks(domain) > before,
                         f"a check of {domain}", OPTIONS.patience, step=0.2)

    def kill_and_restart(self):
        self.world.kill_server()
        self.world.start_server()

    def test_mail_waits_while_mtastsd_is_down(self):
        domain, host = "down.test", "mail.down.test"
        self.expect_secure(domain, host)
        self.world.stop_server()
        try:
            queue_id = self.world.postfix.submit(f"user@{domain}")
            self.addCleanup(self.world.postfix.delete, queue_id)
            with self.subTest("mail while it is down"):
                status = self.world.postfix.first_status(queue_id)
                self.assertEqual((status.status, status.dsn), ("deferred", "4.7.5"), status)
        finally:
            self.world.start_server()
        with self.subTest("mail"):
            status = self.world.postfix.wait_sent(queue_id, 20)
            self.check_verified(queue_id, domain, host, status)

    # Reports.

    def test_reports_name_the_policy(self):  # RFC 8460
        if self.world.version < (3, 10):
            self.skipTest("Postfix makes reports from 3.10 on")
        hosts = {"good.test": "mail.good.test", "wild.test": "*.wild.test",
                 "wrongname.test": "mail.wrongname.test"}
        for domain in hosts:
            self.world.dns.set("_smtp._tls." + domain, "TXT", "v=TLSRPTv1; rua=mailto:tls@x.test")
        self.world.dns.apply()
        sockets = self.world.postfix.make_socket_directory("run/tlsrpt")
        collector = tlsrpt.Collector(os.path.join(sockets, "tlsrpt.sock"))
        self.addCleanup(collector.stop)
        self.addCleanup(self.restart_postfix, "")
        self.restart_postfix("smtp_tlsrpt_enable = yes\n"
                             "smtp_tlsrpt_socket_name = run/tlsrpt/tlsrpt.sock\n")
        for domain, pattern in hosts.items():
            with self.subTest(domain):
                queue_id = self.world.postfix.submit(f"user@{domain}")
                self.addCleanup(self.world.postfix.delete, queue_id)
                policy, = collector.wait_for(domain)["policies"]
                self.assertEqual(policy["policy-type"], POLICY_TYPE_STS)
                self.assertEqual(policy["policy-domain"], domain)
                self.assertEqual(policy["mx-host"], [pattern])
                self.assertEqual(policy["policy-string"],
                                 web.policy_text(pattern).splitlines())
                self.assertEqual("failure-details" in policy, domain == "wrongname.test")

    # The other ways of main.cf.

    def test_the_alternatives_in_the_piece(self):
        found = alternatives(self.world.main_cf)
        self.assertGreaterEqual(len(found), 4)
        for kind in ("socketmap:unix:run/", "$default_database_type:", "proxy:", "= dane"):
            self.assertTrue(any(kind in text for text in found), kind)
        self.world.postfix.build_table("tls_policy", "exception.test may\n")
        self.addCleanup(self.restart_postfix, "")
        for text in found:
            with self.subTest(text.splitlines()[0]):
                self.restart_postfix(text)
                self.expect_verified("good.test", "mail.good.test")
                self.expect_deferred("wrongname.test", "mail.wrongname.test", "4.7.5",
                                     "not verified")
                if "tls_policy" in text.split("=", 1)[1]:
                    self.expect_unverified("exception.test", "mail.exception.test")

    def restart_postfix(self, extra):
        self.world.postfix.stop()
        self.world.postfix.configure(self.world.main_cf + "\n" + extra)
        self.world.postfix.start()


def failures_by_case(result):
    """{case: ["sub-test: last line of the failure"]}"""
    failed = {}
    for test, trace in result.failures:
        is_sub_test = hasattr(test, "test_case")
        name = (test.test_case if is_sub_test else test).id().rpartition(".")[2]
        label = test._message if is_sub_test else "case"  # pylint: disable=protected-access
        failed.setdefault(name, []).append(f"{label}: {trace.strip().splitlines()[-1][:90]}")
    return failed


def without_policies(names):
    """Runs the cases against the stub. 0 when each of them fails, those of mode enforce also in
    what becomes of the mail."""
    loader = unittest.defaultTestLoader
    suite = (loader.loadTestsFromNames(names, sys.modules["__main__"]) if names
             else loader.loadTestsFromTestCase(PostfixTest))
    every = {case.id().rpartition(".")[2] for case in suite}
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        result = unittest.TextTestRunner(stream=nowhere).run(suite)
    every -= {case.id().rpartition(".")[2] for case, _ in result.skipped}
    failed = failures_by_case(result)
    for name, reasons in sorted(failed.items()):
        print(f"fails without policies, as it should: {name}")
        for reason in reasons:
            print(f"    {reason}")
    independent = {name for name in every
                   if name not in failed or (name.startswith("test_enforce") and
                                             not any(reason.startswith("mail")
                                                     for reason in failed[name]))}
    for name in sorted(independent):
        print(f"DOES NOT DEPEND ON mtastsd: {name}")
    for test, trace in result.errors:
        print(f"error in {test}:\n{trace}")
    print(f"{len(every)} cases, {len(failed)} fail without mtastsd's answers")
    return 1 if independent or result.errors or not every else 0


def main():
    global OPTIONS  # the test classes are made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", help="the program to test")
    parser.add_argument("--server-stub", choices=["notfound"],
                        help="run against a server that knows no policy")
    parser.add_argument("names", nargs="*", help="PostfixTest.test_...; all by default")
    OPTIONS = parser.parse_args()
    if not OPTIONS.mtastsd and not OPTIONS.server_stub:
        parser.error("--mtastsd is needed")
    OPTIONS.patience = 2 if OPTIONS.server_stub else 15
    sandbox.enter()
    if OPTIONS.server_stub:
        sys.exit(without_policies(OPTIONS.names))
    unittest.main(argv=sys.argv[:1] + OPTIONS.names, verbosity=2)


if __name__ == "__main__":
    main()
