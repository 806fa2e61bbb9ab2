#!/usr/bin/env python3
"""Mail to domains with DANE through a real Postfix and a real mtastsd.

Zones are signed and served by nsd, and an unbound validates them. Postfix has the lines for DANE of
the main.cf piece for its version. What became of a message is read from Postfix's log and from what
the mail servers took.

    dane_test.py --mtastsd PATH [test...]
    dane_test.py --mtastsd PATH --without-dane [test...]

In the second form, the map's profile does not do DANE. It succeeds when every case fails whose name
begins with "test_dane": each one depends on that.
"""

import argparse
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "integration"))

# pylint: disable=wrong-import-position
from mail_world import SERVER, MailWorld
from testenv import sandbox, tlsrpt, web
from testenv.dnssec import SignedDns

REMOTE = "192.0.2.53"  # an address of this host that is no loopback address
POLICY_TYPE_TLSA = 1  # of libtlsrpt
OPTIONS = None


def tlsa(certificate):
    """A record that matches the certificate's key: DANE-EE(3), SPKI(1), SHA-256(1)."""
    openssl = sandbox.program("openssl", "openssl")
    key = sandbox.run([openssl, "x509", "-in", certificate.cert, "-noout", "-pubkey"]).stdout
    der = subprocess.run([openssl, "pkey", "-pubin", "-outform", "DER"], input=key.encode(),
                         capture_output=True, check=True).stdout
    return "3 1 1 " + hashlib.sha256(der).hexdigest()


WRONG = "3 1 1 " + "00" * 32
UNUSABLE = "3 1 9 " + "00" * 32


def with_dane(piece):
    """main.cf with the group of lines that is for DANE, in place of those that it replaces."""
    groups = re.findall(r"(?:^#smtp_.*\n)+", piece, re.MULTILINE)
    found, = [group for group in groups if "security_level = dane" in group]
    lines = re.sub(r"^#", "", found, flags=re.MULTILINE)
    for name in re.findall(r"^(\w+) =", lines, re.MULTILINE):
        piece = re.sub(rf"(?m)^{name} = .*\n", "", piece)
    return piece + "\n" + lines


class World(MailWorld):
    def __init__(self, directory):
        sandbox.run(["ip", "address", "add", REMOTE + "/32", "dev", "lo"])
        super().__init__(
            directory, lambda where: SignedDns(where, unsigned=["plain"], also=[REMOTE]), with_dane)
        self.map = "daneWithTLSRPT" if self.modern else "dane"
        self.mtastsd = self.server("mtastsd", SERVER, {})

    def server(self, name, listen, dns):
        more = {"dns": dns}
        if OPTIONS.without_dane:
            more["maps.dane"] = {"dane": False}
            more["maps.daneWithTLSRPT"] = {"dane": False}
        return self.make_server(OPTIONS.mtastsd, name, {"listen": [listen]}, more,
                                {"answer_timeout": "15s"})

    def start_server(self):
        self.mtastsd.start()

    def stop_server(self):
        self.mtastsd.stop()

    def status(self):
        """As mtastsctl status gets it."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(sandbox.WAIT)
            sock.connect(self.mtastsd.control)
            sock.sendall(b'{"command":"status"}\n')
            with sock.makefile("rb") as stream:
                return json.loads(stream.readline())["value"]


def build(world):
    """The domains. Their certificates are good, unless they say otherwise."""
    issue = world.authority.issue

    def mail_server(host, certificate, *records):
        world.mail_server(host, certificate)
        if records:
            world.dns.set("_25._tcp." + host, "TLSA", *records)

    def enforce(name, *patterns):
        world.policy(name, web.policy_text(*patterns))

    def domain(name, certificate, records, policy=True, mode="enforce"):
        host = "mail." + name
        mail_server(host, certificate, *records)
        world.mx(name, host)
        if policy:
            world.policy(name, web.policy_text(host, mode=mode))

    good = issue("mail.good.test")
    domain("good.test", good, [tlsa(good)])
    own = issue("mail.own.test", self_signed=True)
    domain("own.test", own, [tlsa(own)])
    domain("wrong.test", issue("mail.wrong.test"), [WRONG])
    domain("none.test", issue("mail.none.test"), [])
    domain("unusable.test", issue("mail.unusable.test"), [UNUSABLE])
    domain("broken.test", issue("mail.broken.test"), [WRONG])
    world.dns.break_signature("_25._tcp.mail.broken.test", "TLSA")
    known = issue("mail.known.test")
    domain("known.test", known, [tlsa(known)])
    domain("nopolicy.test", issue("mail.nopolicy.test"), [WRONG], policy=False)
    domain("testing.test", issue("mail.testing.test"), [WRONG], mode="testing")
    # Two hosts, and the one that is preferred has no records.
    mail_server("mx1.some.test", issue("mx1.some.test"))
    second = issue("mx2.some.test")
    mail_server("mx2.some.test", second, tlsa(second))
    world.mx("some.test", "mx1.some.test", "mx2.some.test")
    enforce("some.test", "mx1.some.test", "mx2.some.test")
    # Its MX records are not signed, those of the host are, and are wrong.
    mail_server("mx.insecure.test", issue("mx.insecure.test"), WRONG)
    world.mx("insecure.plain", "mx.insecure.test")
    enforce("insecure.plain", "mx.insecure.test")
    # The MX host is an alias.
    target = issue("mx.alias.test", "real.alias.test")
    mail_server("real.alias.test", target, tlsa(target))
    world.dns.set("mx.alias.test", "CNAME", "real.alias.test")
    world.mx("alias.test", "mx.alias.test")
    enforce("alias.test", "mx.alias.test")
    # A host with a good record that the policy does not list.
    other = issue("other.unlisted.test")
    mail_server("other.unlisted.test", other, tlsa(other))
    world.mx("unlisted.test", "other.unlisted.test")
    enforce("unlisted.test", "mail.unlisted.test")
    # A smart host with a policy of its own.
    relay = issue("relay.test")
    mail_server("relay.test", relay, tlsa(relay))
    world.dns.set("_587._tcp.relay.test", "TLSA", WRONG)
    enforce("relay.test", "relay.test")


class DaneTest(unittest.TestCase):
    world: World

    @classmethod
    def setUpClass(cls):
        cls.world = World(sandbox.scratch_directory())
        cls.addClassCleanup(cls.world.stop)
        build(cls.world)
        cls.world.start()
        # The resolver is asked whether it validates as soon as mtastsd runs.
        sandbox.wait_for(lambda: cls.world.status()["dns"][0]["validates"] is not None,
                         "the resolver's validation to be known")

    def ask(self, key, server=SERVER, name=None):
        found, value = self.world.postfix.postmap(key, f"socketmap:{server}:"
                                                       f"{name or self.world.map}")
        return value if found else None

    def expect_dane(self, key, **options):
        value = self.ask(key, **options)
        self.assertIsNotNone(value)
        self.assertEqual(value.split()[0], "dane-only")
        self.assertNotIn("match=", value)

    def expect_secure(self, key, **options):
        value = self.ask(key, **options)
        self.assertIsNotNone(value)
        self.assertEqual(value.split()[0], "secure")

    def submit(self, domain):
        queue_id = self.world.postfix.submit(f"user@{domain}")
        self.addCleanup(self.world.postfix.delete, queue_id)
        return self.world.postfix.first_status(queue_id)

    def expect_delivered(self, domain, host):
        status = self.submit(domain)
        self.assertEqual(status.status, "sent", status)
        self.assertIn(f"Verified TLS connection established to {host}[",
                      self.world.postfix.maillog())
        self.assertEqual(len(self.world.sink(host).deliveries(f"user@{domain}")), 1)

    def expect_deferred(self, domain, host, dsn="4.7.5"):
        status = self.submit(domain)
        self.assertEqual((status.status, status.dsn), ("deferred", dsn), status)
        self.assertEqual(self.world.sink(host).deliveries(f"user@{domain}"), [])

    # DANE decides.

    def test_dane_good_record_is_delivered(self):
        self.expect_dane("good.test")
        self.expect_delivered("good.test", "mail.good.test")

    def test_dane_needs_no_authority(self):
        self.expect_dane("own.test")
        self.expect_delivered("own.test", "mail.own.test")

    def test_dane_wrong_record_is_deferred_though_the_policy_is_kept(self):
        """RFC 8461 section 2."""
        self.expect_dane("wrong.test")
        self.expect_deferred("wrong.test", "mail.wrong.test")

    def test_dane_hosts_without_records_are_left_out(self):
        self.expect_dane("some.test")
        self.expect_delivered("some.test", "mx2.some.test")
        self.assertEqual(self.world.sink("mx1.some.test").deliveries("user@some.test"), [])

    def test_dane_a_host_outside_the_policy(self):
        """Its TLSA record is good. From 3.10.5 Postfix leaves it out."""
        self.expect_dane("unlisted.test")
        if self.world.version >= (3, 10, 5):
            self.expect_deferred("unlisted.test", "other.unlisted.test", "4.3.0")
        else:
            self.expect_delivered("unlisted.test", "other.unlisted.test")

    def test_dane_an_alias_has_the_records_of_its_target(self):
        self.expect_dane("alias.test")
        status = self.submit("alias.test")
        self.assertEqual(status.status, "sent", status)

    def test_dane_a_smart_host_is_that_host(self):
        self.expect_dane("[relay.test]")
        self.expect_dane("[relay.test]:25")
        self.expect_dane("[relay.test]:587")
        self.expect_dane("relay.test:587")
        self.expect_secure("[relay.test]:26")

    def test_dane_what_was_known_stands_while_dns_fails(self):
        self.expect_dane("known.test")
        self.world.dns.break_signature("_25._tcp.mail.known.test", "TLSA")
        self.world.dns.apply()
        self.addCleanup(self.world.dns.apply)
        self.addCleanup(self.world.dns.mend_signature, "_25._tcp.mail.known.test", "TLSA")
        self.expect_dane("known.test")
        self.expect_deferred("known.test", "mail.known.test")

    def test_dane_outlives_a_restart(self):
        self.expect_dane("own.test")
        self.world.mtastsd.stop()
        self.world.mtastsd.start()
        before = self.world.status()["look_ups"]["dane_surveys"]
        self.expect_dane("own.test")
        self.assertEqual(self.world.status()["look_ups"]["dane_surveys"], before)

    def test_dane_reports_are_about_the_tlsa_records(self):
        """RFC 8460 section 4.2, with the MX patterns of the policy in the answer."""
        if not self.world.modern:
            self.skipTest("Postfix makes reports from 3.10 on")
        domains = ("good.test", "wrong.test")
        for domain in domains:
            self.world.dns.set("_smtp._tls." + domain, "TXT", "v=TLSRPTv1; rua=mailto:tls@x.test")
        self.world.dns.apply()
        sockets = self.world.postfix.make_socket_directory("run/tlsrpt")
        collector = tlsrpt.Collector(os.path.join(sockets, "tlsrpt.sock"))
        self.addCleanup(collector.stop)
        self.addCleanup(self.restart_postfix, "")
        self.restart_postfix("smtp_tlsrpt_enable = yes\n"
                             "smtp_tlsrpt_socket_name = run/tlsrpt/tlsrpt.sock\n")
        for domain in domains:
            self.submit(domain)
            policy, = collector.wait_for(domain)["policies"]
            self.assertEqual(policy["policy-type"], POLICY_TYPE_TLSA)
            # RFC 8460 section 1.1: for DANE it is the TLSA base domain.
            self.assertEqual(policy["policy-domain"], "mail." + domain)
            self.assertEqual("failure-details" in policy, domain == "wrong.test")
            self.assertRegex(policy["policy-string"][0], "^3 1 1 [0-9A-F]{64}$")

    def restart_postfix(self, extra):
        self.world.postfix.stop()
        self.world.postfix.configure(self.world.main_cf + "\n" + extra)
        self.world.postfix.start()

    # The policy decides.

    def test_policy_without_dane(self):
        self.expect_secure("none.test")
        self.expect_delivered("none.test", "mail.none.test")

    def test_policy_where_the_mx_records_are_not_signed(self):
        self.expect_secure("insecure.plain")
        self.expect_delivered("insecure.plain", "mx.insecure.test")

    def test_policy_where_no_record_is_usable(self):
        self.expect_secure("unusable.test")
        self.expect_delivered("unusable.test", "mail.unusable.test")

    def test_policy_where_nothing_could_be_found_out(self):
        self.expect_secure("broken.test")
        self.world.mtastsd.wait_log("event=dane_lookup_failed ")
        self.assertGreaterEqual(self.world.status()["look_ups"]["dane_unknown"], 1)

    def test_policy_for_a_map_without_dane(self):
        self.assertEqual(self.ask("wrong.test", name="postfix"),
                         "secure match=mail.wrong.test servername=hostname")

    # Postfix decides.

    def test_not_found_costs_no_survey(self):
        before = self.world.status()["look_ups"]["dane_surveys"]
        for domain in ("nopolicy.test", "testing.test"):
            self.assertIsNone(self.ask(domain))
            self.expect_deferred(domain, "mail." + domain)
        self.assertEqual(self.world.status()["look_ups"]["dane_surveys"], before)

    # Whose word on DNSSEC counts.

    def other_server(self, name, dns):
        listen = "inet:127.0.0.1:8462"
        server = self.world.server(name, listen, dns)
        server.start()
        self.addCleanup(server.stop)
        return server, listen

    def test_a_resolver_that_does_not_validate(self):
        server, listen = self.other_server("plain", {"servers": ["127.0.0.2"]})
        self.expect_secure("good.test", server=listen)
        self.expect_secure("wrong.test", server=listen)
        server.wait_log("does not validate")
        self.assertEqual(server.log().count("event=dane_without_dnssec"), 1)

    def test_a_resolver_that_is_not_on_this_host(self):
        server, listen = self.other_server("remote", {"servers": [REMOTE]})
        self.expect_secure("good.test", server=listen)
        server.wait_log("trust_ad is not set")

    def test_dane_by_a_resolver_that_is_trusted(self):
        _, listen = self.other_server("trusted", {"servers": [REMOTE], "trust_ad": True})
        self.expect_dane("good.test", server=listen)


def without_dane(names):
    """0 when each case of DANE fails."""
    loader = unittest.defaultTestLoader
    suite = (unittest.TestSuite(DaneTest(name.rpartition(".")[2]) for name in names) if names
             else loader.loadTestsFromTestCase(DaneTest))
    every = {case.id().rpartition(".")[2] for case in suite}
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        result = unittest.TextTestRunner(stream=nowhere).run(suite)
    every -= {case.id().rpartition(".")[2] for case, _ in result.skipped}
    failed = {case.id().rpartition(".")[2] for case, _ in result.failures}
    independent = {name for name in every - failed if name.startswith("test_dane")}
    for name in sorted(independent):
        print(f"DOES NOT DEPEND ON DANE IN mtastsd: {name}")
    for test, trace in result.errors:
        print(f"error in {test}:\n{trace}")
    print(f"{len(every)} cases, {len(failed)} fail without DANE")
    return 1 if independent or result.errors or not failed else 0


def main():
    global OPTIONS  # the test classes are made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("--without-dane", action="store_true",
                        help="take DANE out of the map, and expect failures")
    parser.add_argument("names", nargs="*", help="DaneTest.test_...; all by default")
    OPTIONS = parser.parse_args()
    sandbox.enter()
    if OPTIONS.without_dane:
        sys.exit(without_dane(OPTIONS.names))
    unittest.main(argv=sys.argv[:1] + OPTIONS.names, verbosity=2)


if __name__ == "__main__":
    main()
