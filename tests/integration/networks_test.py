#!/usr/bin/env python3
"""mtastsd on networks that mail servers really have: old forwarders, odd routes, dead addresses.

    networks_test.py --mtastsd PATH --mtastsctl PATH [NetworksTest.test_...]

Each case is one that operators have reported. It prints a line with the time to the first answer:
tests/networks/README.md has the table. `mtastsctl check` has to find what the daemon finds.
"""

import argparse
import json
import os
import shutil
import struct
import sys
import time
import unittest
import unittest.mock

from testenv import pki, sandbox, web
from testenv.case import DNS, DaemonCase, secure
from testenv.daemon import Mtastsd, run_to_end
from testenv.dns import ScriptedDns
from testenv.proxy import Proxy

ODD_DNS = "127.0.0.60"
WRONG_WEB = "127.0.0.61"
FORMERR, SERVFAIL, NOTIMP, REFUSED = 1, 2, 4, 5
PUBLIC6, PUBLIC4 = "2a00:1::1", "8.8.8.8"  # on this host, as far as these tests are concerned
SLACK = 3.0  # of a busy machine
PLACES = [  # of the certificate authorities, in the order in which they count
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Red Hat
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat before 10
    "/var/lib/ca-certificates/ca-bundle.pem",  # SUSE
    "/etc/ssl/ca-bundle.pem",
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",  # Arch
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
]


class OddDns(ScriptedDns):
    """Answers questions with EDNS, or all of them, as `oddity` says."""

    oddity = None

    def _reply(self, query, transport):
        reply = super()._reply(query, transport)
        return reply if self.oddity is None else self.oddity(reply, query, transport)


def with_code(query, code, question=True):
    end = query.index(b"\0", 12) + 5
    head = query[:2] + struct.pack("!H", 0x8180 | code)
    return head + (b"\0\1" + b"\0" * 6 + query[12:end] if question else b"\0" * 8)


OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)


def mangled(reply, *_):
    """OPT stands in the answer section, and the records in the additional one."""
    end = reply.index(b"\0", 12) + 5
    counts = struct.unpack("!HHHH", reply[4:12])
    head = struct.pack("!HHHH", counts[0], 1, 0, counts[1] + counts[2])
    return reply[:4] + head + reply[12:end] + OPT + reply[end:]


def always(code):
    return lambda reply, query, transport: with_code(query, code)


def to_edns(oddity):
    def odd(reply, query, transport):
        return oddity(reply, query, transport) if query[11] == 1 else reply
    return odd


def without_large_udp(reply, query, transport):
    if transport == "tcp":
        return reply
    return None if query[11] == 1 else with_code(query, 0x200)  # TC


class SlowRecursion:
    """All who ask for the MTA-STS record get the answer 12 s after the first of them, over UDP."""

    def __init__(self):
        self._ready_at = None

    def __call__(self, reply, query, transport):
        if transport == "tcp":
            return None
        if b"_mta-sts" in query:
            self._ready_at = self._ready_at or time.monotonic() + 12
            time.sleep(max(0, self._ready_at - time.monotonic()))
        return reply


DNS_TROUBLE = [
    # name, what the server does, the most time for the first answer
    ("a router that mangles", to_edns(mangled), 2),
    ("a router that mangles UDP",
     lambda reply, query, transport: reply if transport == "tcp" else mangled(reply), 2),
    ("NOTIMP", to_edns(lambda r, query, t: with_code(query, NOTIMP)), 2),
    ("FORMERR", to_edns(lambda r, query, t: with_code(query, FORMERR)), 2),
    ("FORMERR without a question",
     to_edns(lambda r, query, t: with_code(query, FORMERR, False)), 3),
    ("FORMERR with OPT",
     to_edns(lambda r, query, t: query[:2] + struct.pack("!HHHHH", 0x8181, 1, 0, 0, 1)
             + query[12:query.index(b"\0", 12) + 5] + OPT), 2),
    ("SERVFAIL", to_edns(lambda r, query, t: with_code(query, SERVFAIL)), 2),
    ("EDNS dropped", to_edns(lambda *_: None), 3),
    ("large answers over UDP dropped", without_large_udp, 3),
    ("UDP dropped", lambda reply, query, transport: reply if transport == "tcp" else None, 9),
]


class NetworksTest(DaemonCase):
    mtastsctl = None  # the operator's tool

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.odd = OddDns(ODD_DNS)
        cls.addClassCleanup(cls.odd.stop)
        # A wire on which nobody answers: what is sent there is lost without a word.
        sandbox.run(["ip", "link", "add", "wire0", "arp", "off", "type", "veth", "peer", "name",
                     "end0"])
        for link in ("wire0", "end0"):
            sandbox.run(["ip", "link", "set", link, "up"])
        sandbox.run(["ip", "address", "add", "198.51.100.1/24", "dev", "wire0"])

    def tearDown(self):
        self.odd.oddity = None
        super().tearDown()

    def ip(self, *words):
        """`ip ... add ...`, undone after the test."""
        sandbox.run(["ip", *words])
        undo = ["del" if word == "add" else word for word in words if word != "nodad"]
        self.addCleanup(sandbox.run, ["ip", *undo], check=False)

    def finds(self, mtastsd, domain, within, case=None, check=True):
        """The policy is found, in time, and so it is by `check`."""
        began = time.monotonic()
        answer = mtastsd.ask(domain, timeout=60)
        took = time.monotonic() - began
        print(f"\n    {case or self.id().rpartition('.')[2]}: {answer.split()[0]} "
              f"after {took:.1f} s", file=sys.stderr)
        self.assertEqual(answer, secure("mail." + domain), mtastsd.log()[-3000:])
        self.assertLess(took, within + SLACK)
        if check:
            facts = self.check(mtastsd, domain)
            self.assertEqual(facts["record"]["outcome"], "known", facts)
            self.assertEqual(facts["policy"]["mx"], ["mail." + domain], facts["policy_host"])

    def status(self, mtastsd):
        _, output = run_to_end(self.mtastsctl, ["status", "--json", "--config", mtastsd.config])
        return json.loads(output)

    def check(self, mtastsd, domain):
        """The facts of a report that was made with the daemon's configuration."""
        _, output = run_to_end(self.mtastsctl,
                               ["check", "--json", "--config", mtastsd.config, domain], timeout=60)
        return json.loads(output)["reports"][0]["facts"]

    # DNS.

    def test_dns_trouble(self):
        for number, (name, oddity, within) in enumerate(DNS_TROUBLE):
            with self.subTest(name):
                domain = f"trouble{number}.test"
                self.publish(domain, "mail." + domain, dns=self.odd)
                self.web.apply()
                self.odd.oddity = oddity
                mtastsd = self.daemon(dns={"servers": [ODD_DNS]})
                try:
                    self.finds(mtastsd, domain, within, name)
                finally:
                    mtastsd.stop()
                    sandbox.run(["rm", "-r", mtastsd.settings["cache"]["directory"]])

    def test_an_answer_that_is_mangled_in_every_way_is_a_failed_lookup(self):
        self.publish("mangled.test", "mail.mangled.test", dns=self.odd)
        self.web.apply()
        self.odd.oddity = mangled
        mtastsd = self.daemon(dns={"servers": [ODD_DNS], "timeout": "2s"})
        self.assertEqual(mtastsd.ask("mangled.test"), "NOTFOUND ")
        mtastsd.wait_log(r"event=txt_lookup_failed domain=mangled\.test .*mangled")
        record = self.check(mtastsd, "mangled.test")["record"]
        self.assertEqual(record["outcome"], "cannot_tell", record)
        sandbox.wait_for(lambda: mtastsd.ask("mangled.test")
                         and "event=txt_lookup_failed_again domain=mangled.test" in mtastsd.log(),
                         "a second failed lookup", 30, step=1)
        self.assertEqual(mtastsd.log().count("event=txt_lookup_failed domain=mangled.test"), 1)
        failures = self.status(mtastsd)["dns_failures"]
        self.assertGreaterEqual(failures.pop("malformed"), 2)
        self.assertEqual(set(failures.values()), {0}, failures)
        self.odd.oddity = None
        sandbox.wait_for(lambda: mtastsd.ask("mangled.test") == secure("mail.mangled.test"),
                         "the policy, once DNS is right", 90, step=1)

    def test_failed_lookups_are_counted_by_their_kind(self):
        mtastsd = self.daemon(dns={"servers": [ODD_DNS], "timeout": "1s"})
        before = self.status(mtastsd)["dns_failures"]
        for kind, oddity in (("servfail", always(SERVFAIL)), ("refused", always(REFUSED)),
                             ("not_understood", always(NOTIMP)), ("malformed", mangled),
                             ("timeout", lambda *_: None)):
            self.odd.oddity = oddity
            self.assertEqual(mtastsd.ask(kind.replace("_", "-") + ".test"), "NOTFOUND ")
            now = self.status(mtastsd)["dns_failures"]
            self.assertEqual({name for name in now if now[name] > before[name]}, {kind}, now)
            before = now

    def test_a_recursion_of_twelve_seconds(self):
        self.publish("slow.test", "mail.slow.test", dns=self.odd)
        self.web.apply()
        self.odd.oddity = SlowRecursion()
        mtastsd = self.daemon(dns={"servers": [ODD_DNS]}, resolver={"answer_timeout": "40s"})
        self.finds(mtastsd, "slow.test", 14)

    def test_a_chain_of_cnames_that_ends_in_nothing(self):
        self.dns.set("_mta-sts.alias.test", "CNAME", "_mta-sts.gone.test")
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask("alias.test"), "NOTFOUND ")
        mtastsd.wait_log(r"event=no_policy domain=alias\.test .*_mta-sts\.gone\.test, which does "
                         r"not exist")
        self.assertEqual(self.check(mtastsd, "alias.test")["record"]["outcome"], "absent")

    # resolv.conf.

    def with_resolv_conf(self, text, **sections):
        path = os.path.join(self.own_directory(), "resolv.conf")
        sandbox.write(path, text)
        return path, self.daemon(dns={"servers": [], "resolv_conf": path}, **sections)

    def test_use_vc(self):
        self.publish("vc.test", "mail.vc.test")
        self.web.apply()
        _, mtastsd = self.with_resolv_conf(f"nameserver {DNS}\noptions use-vc\n")
        self.finds(mtastsd, "vc.test", 1)
        self.assertEqual(self.dns.asked("_mta-sts.vc.test", transport="udp"), [])
        self.assertEqual(len(self.dns.asked("_mta-sts.vc.test", transport="tcp")), 2,
                         "that of the daemon and that of check")

    def test_rotate(self):
        _, mtastsd = self.with_resolv_conf(
            f"nameserver {DNS}\nnameserver {ODD_DNS}\noptions rotate\n")
        before = len(self.odd.asked())
        for number in range(6):
            mtastsd.ask(f"rotated{number}.test")
        self.assertEqual(len(self.odd.asked()) - before, 3)

    def test_attempts_and_timeout(self):
        """The second server after one second, and each of them twice at most in one attempt."""
        self.odd.oddity = lambda *_: None
        _, mtastsd = self.with_resolv_conf(
            f"nameserver {ODD_DNS}\noptions attempts:1 timeout:1\n", resolver={})
        mtastsd.ask("attempts.test", timeout=60)
        self.assertEqual(len(self.odd.asked("_mta-sts.attempts.test")), 2)

    def test_timeout(self):
        """The next server's turn comes after so many seconds, and not after mtastsd's own 1.5."""
        self.odd.oddity = lambda *_: None
        self.publish("next.test", "mail.next.test")
        self.web.apply()
        _, mtastsd = self.with_resolv_conf(
            f"nameserver {ODD_DNS}\nnameserver {DNS}\noptions timeout:4\n")
        began = time.monotonic()
        self.finds(mtastsd, "next.test", 5, check=False)
        self.assertGreater(time.monotonic() - began, 3.5)

    def test_a_server_with_a_zone(self):
        self.ip("address", "add", "fe80::53/64", "dev", "wire0", "nodad")
        zoned = ScriptedDns("fe80::53%wire0")
        self.addCleanup(zoned.stop)
        self.publish("zone.test", "mail.zone.test", dns=zoned)
        self.web.apply()
        _, mtastsd = self.with_resolv_conf("nameserver fe80::53%wire0\n")
        self.finds(mtastsd, "zone.test", 1)

    def test_a_symbolic_link_that_is_swapped_and_removed(self):
        directory = self.own_directory()
        target = os.path.join(directory, "other.conf")
        sandbox.write(target, f"nameserver {DNS}\n")
        path, mtastsd = self.with_resolv_conf(f"nameserver {ODD_DNS}\n")
        self.publish("link.test", "mail.link.test")
        self.web.apply()
        os.symlink(target, path + ".link")
        os.replace(path + ".link", path)
        mtastsd.ask("look.test")
        time.sleep(1.1)  # resolv.conf is looked at once a second
        self.finds(mtastsd, "link.test", 1)
        # What it points to is replaced, and the link stays as it is.
        for server, asked in ((ODD_DNS, self.odd), (DNS, self.dns)):
            sandbox.write(target + ".new", f"nameserver {server}\n")
            os.replace(target + ".new", target)
            mtastsd.ask("look.test")
            time.sleep(1.1)
            mtastsd.ask(f"at-{server}.test")
            self.assertNotEqual(asked.asked(f"_mta-sts.at-{server}.test"), [], server)
        os.unlink(path)
        time.sleep(1.1)
        self.publish("gone-link.test", "mail.gone-link.test")
        self.web.apply()
        # A program that starts now knows no server.
        self.finds(mtastsd, "gone-link.test", 1, check=False)
        mtastsd.wait_log("event=resolv_conf_unreadable")

    # Routes.

    def only_public(self):
        """Local addresses are not allowed: the routing table alone decides."""
        return {"allow_local_addresses": False}

    def ipv6_host(self, domain, address):
        self.ip("address", "add", address + "/128", "dev", "lo", "nodad")
        relay = web.Gate(address, ("127.0.0.1", 443))
        relay.open()
        self.addCleanup(relay.close)
        self.publish(domain, "mail." + domain)
        self.dns.remove("mta-sts." + domain, "A")
        self.dns.set("mta-sts." + domain, "AAAA", address)
        self.web.apply()

    def test_documentation_prefix_unreachable(self):
        self.ip("-6", "route", "add", "default", "dev", "wire0")
        self.ip("-6", "route", "add", "unreachable", "2001:db8::/32")
        self.ipv6_host("documentation.test", PUBLIC6)
        self.finds(self.daemon(https=self.only_public()), "documentation.test", 1)

    def test_only_nat64(self):
        self.ip("-6", "route", "add", "64:ff9b::/96", "dev", "wire0")
        self.ipv6_host("nat64.test", "64:ff9b::808:808")
        self.finds(self.daemon(https=self.only_public()), "nat64.test", 1)

    def test_prefixes_of_providers_and_no_default(self):
        self.ip("-6", "route", "add", "2a00::/16", "dev", "wire0")
        self.ipv6_host("providers.test", PUBLIC6)
        self.finds(self.daemon(https=self.only_public()), "providers.test", 1)

    def test_ipv6_only(self):
        """There is no way to the policy host's IPv4 address, nor to a DNS server of IPv4."""
        self.ipv6_host("six.test", PUBLIC6)
        self.ip("address", "add", "2a00:1::53/128", "dev", "lo", "nodad")
        dns = ScriptedDns("2a00:1::53")
        self.addCleanup(dns.stop)
        dns.set("_mta-sts.six.test", "TXT", "v=STSv1; id=1;")
        dns.set("mta-sts.six.test", "AAAA", PUBLIC6)
        dns.set("mta-sts.six.test", "A", "9.9.9.9")
        self.finds(self.daemon(dns={"servers": ["2a00:1::53"]}, https=self.only_public()),
                   "six.test", 1)

    def test_ipv4_only(self):
        """No route to any of the IPv6 addresses that come first."""
        self.ip("address", "add", PUBLIC4 + "/32", "dev", "lo")
        relay = web.Gate(PUBLIC4, ("127.0.0.1", 443))
        relay.open()
        self.addCleanup(relay.close)
        self.publish("four.test", "mail.four.test", address=PUBLIC4)
        self.dns.set("mta-sts.four.test", "AAAA", "2a01::1", "2a01::2", "2a01::3")
        self.web.apply()
        self.finds(self.daemon(https=self.only_public()), "four.test", 1)

    def test_a_network_that_comes_later(self):
        self.publish("later.test", "mail.later.test")
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": ["203.0.113.53"]})
        began = time.monotonic()
        self.assertEqual(mtastsd.ask("sooner.test"), "NOTFOUND ")
        self.assertLess(time.monotonic() - began, 3 + SLACK, "no wait for what cannot be reached")
        mtastsd.wait_log(r"event=txt_lookup_failed domain=sooner\.test .*no server can be reached")
        self.assertGreater(self.status(mtastsd)["dns_failures"]["network"], 0)
        record = self.check(mtastsd, "sooner.test")["record"]
        self.assertEqual(record["outcome"], "cannot_tell", record)
        self.ip("address", "add", "203.0.113.53/32", "dev", "lo")
        dns = ScriptedDns("203.0.113.53")
        self.addCleanup(dns.stop)
        dns.set("_mta-sts.later.test", "TXT", "v=STSv1; id=1;")
        dns.set("mta-sts.later.test", "A", "127.0.0.1")
        self.finds(mtastsd, "later.test", 1)

    # HTTPS.

    def test_six_dead_addresses_of_eight(self):
        dead = [f"198.51.100.{number}" for number in range(101, 107)]
        self.publish("dead.test", "mail.dead.test")
        self.dns.set("mta-sts.dead.test", "A", *dead, "127.0.0.1", "127.0.0.2")
        self.web.apply()
        self.finds(self.daemon(), "dead.test", 2)

    def test_one_address_has_the_wrong_certificate_or_vhost(self):
        stranger = pki.Authority(os.path.join(self.own_directory(), "stranger"))
        wrong = web.PolicyServer(os.path.join(self.own_directory(), "wrong"), stranger,
                                 address=WRONG_WEB)
        self.addCleanup(wrong.stop)
        wrong.publish("certificate.test", web.policy_text("mail.certificate.test"))
        wrong.publish("status.test", "nothing here", status=404,
                      certificate=self.authority.issue("mta-sts.status.test"))
        wrong.apply()
        mtastsd = self.daemon()
        for domain in ("certificate.test", "status.test", "vhost.test"):
            with self.subTest(domain):
                self.publish(domain, "mail." + domain)
                self.dns.set("mta-sts." + domain, "A", WRONG_WEB, "127.0.0.1")
                self.web.apply()
                self.finds(mtastsd, domain, 1, domain)
                tried = self.check(mtastsd, domain)["policy_host"]["by_address"]
                self.assertEqual([(fetch["address"], fetch["error"] is None) for fetch in tried],
                                 [(WRONG_WEB, False), ("127.0.0.1", True)])
        self.dns.set("_mta-sts.both.test", "TXT", "v=STSv1; id=1;")
        self.dns.set("mta-sts.both.test", "A", WRONG_WEB, "127.0.0.99")
        self.assertEqual(mtastsd.ask("both.test"), "NOTFOUND ")
        mtastsd.wait_log(r"event=fetch_failed domain=both\.test .*\(at 127\.0\.0\.61\)")
        host = self.check(mtastsd, "both.test")["policy_host"]
        self.assertEqual(host["fetch"]["value"]["address"], WRONG_WEB, "what the daemon reports")
        self.assertEqual([fetch["error"]["kind"] for fetch in host["by_address"]],
                         [host["fetch"]["value"]["error"]["kind"], "connect"])


    # Egress.

    def proxied(self, name, proxy, **https):
        """A daemon that fetches through the proxy, and a domain for it."""
        self.publish(name, "mail." + name)
        self.web.apply()
        return self.daemon(https={"proxy": "http://127.0.0.70:3128", **https})

    def proxy(self):
        proxy = Proxy("127.0.0.70", ("127.0.0.1", 443))
        self.addCleanup(proxy.close)
        return proxy

    def credentials(self, text, mode=0o640):
        path = os.path.join(self.own_directory(), "credentials")
        sandbox.write(path, text)
        os.chmod(path, mode)
        return path

    def fails_for_the_proxy(self, mtastsd, domain, why):
        self.assertEqual(mtastsd.ask(domain), "NOTFOUND ")
        mtastsd.wait_log(rf'event=fetch_failed domain={domain} .*reason="?{why}')
        fetch = self.check(mtastsd, domain)["policy_host"]["fetch"]
        self.assertEqual(fetch["outcome"], "cannot_tell", fetch)
        self.assertRegex(fetch["why"], why)

    def test_a_proxy_that_wants_a_password(self):
        proxy = self.proxy()
        proxy.credentials = "me:secret:word"
        path = self.credentials("me:secret:word\n")
        mtastsd = self.proxied("password.test", proxy, proxy_credentials=path,
                               source_address=["127.0.0.71", "::1"])
        self.finds(mtastsd, "password.test", 1)
        self.assertEqual(set(proxy.sources), {"127.0.0.71"})
        proxy.credentials = "me:changed"
        self.publish("changed.test", "mail.changed.test")
        self.web.apply()
        self.fails_for_the_proxy(mtastsd, "changed.test", r"the proxy wants another .*407")
        self.assertNotIn("secret", mtastsd.log())

    def test_credentials_that_everybody_can_read(self):
        path = self.credentials("me:secret\n", 0o644)
        status, output = self.run_daemon("--check-config", "--config", self.config_with(
            https={"proxy": "http://127.0.0.70:3128", "proxy_credentials": path}))
        self.assertNotEqual(status, 0)
        self.assertRegex(output, "proxy_credentials: .* is open to every user of this host")

    def config_with(self, **sections):
        return Mtastsd(self.program, self.own_directory(), self.settings(**sections)).config

    def test_failures_of_the_proxy_are_told_from_those_of_the_policy_host(self):
        proxy = self.proxy()
        mtastsd = self.proxied("forbidden.test", proxy)
        proxy.status = 403
        self.fails_for_the_proxy(mtastsd, "forbidden.test",
                                 r"the proxy refuses to connect to mta-sts\.forbidden\.test "
                                 r"\(status 403\)")
        proxy.status = 503
        self.publish("gone.test", "mail.gone.test")
        self.assertEqual(mtastsd.ask("gone.test"), "NOTFOUND ")
        mtastsd.wait_log(r"event=fetch_failed domain=gone\.test .*the proxy cannot connect to")
        fetch = self.check(mtastsd, "gone.test")["policy_host"]["fetch"]
        self.assertEqual(fetch["value"]["error"]["kind"], "connect", fetch)
        proxy.status = None
        self.publish("status.proxy.test", "mail.status.proxy.test", status=404)
        self.web.apply()
        self.assertEqual(mtastsd.ask("status.proxy.test"), "NOTFOUND ")
        mtastsd.wait_log(r"event=fetch_failed domain=status\.proxy\.test .*status 404")
        proxy.close()
        self.publish("dead.proxy.test", "mail.dead.proxy.test")
        self.fails_for_the_proxy(mtastsd, "dead.proxy.test", "cannot connect to the proxy")

    def test_a_host_behind_its_own_nat(self):
        """DNS has the outer address, at which nobody answers from here."""
        self.publish("nat.test", "mail.nat.test", address="198.51.100.101")
        self.publish("stranger.test", "mail.stranger.test")
        self.web.apply()
        mtastsd = self.daemon(https={"allow_local_addresses": False,
                                     "addresses": {"mta-sts.nat.test": ["127.0.0.1"]}})
        self.finds(mtastsd, "nat.test", 1)
        self.assertEqual(mtastsd.ask("stranger.test"), "NOTFOUND ")
        mtastsd.wait_log(r"event=fetch_failed domain=stranger\.test .*127\.0\.0\.1 is special")

    def test_a_source_address(self):
        with_source = {"source_address": [PUBLIC4], "timeout": "2s"}
        self.ip("address", "add", PUBLIC4 + "/32", "dev", "lo")
        proxy = Proxy("127.0.0.72", ("127.0.0.1", 443), port=443)
        self.addCleanup(proxy.close)
        self.publish("source.test", "mail.source.test", address="127.0.0.72")
        mtastsd = self.daemon(https=with_source)
        # What looks like a policy host only notes who comes.
        mtastsd.ask("source.test", timeout=60)
        self.assertEqual(set(proxy.sources), {PUBLIC4})
        proxy.sources.clear()
        self.check(mtastsd, "source.test")
        self.assertEqual(set(proxy.sources), {PUBLIC4}, "of check")

    def test_an_ipv6_only_intranet(self):
        """Policy hosts at unique local addresses, which allow_networks names."""
        self.ipv6_host("intranet.test", "fd00:1::1")
        self.ip("address", "add", "fd00:1::53/128", "dev", "lo", "nodad")
        dns = ScriptedDns("fd00:1::53")
        self.addCleanup(dns.stop)
        for domain, address in (("intranet.test", "fd00:1::1"), ("outside.test", "fd00:2::1")):
            dns.set(f"_mta-sts.{domain}", "TXT", "v=STSv1; id=1;")
            dns.set(f"mta-sts.{domain}", "AAAA", address)
        https = {**self.only_public(), "allow_networks": ["fd00:1::/32"]}
        mtastsd = self.daemon(dns={"servers": ["fd00:1::53"]}, https=https)
        self.finds(mtastsd, "intranet.test", 1)
        self.assertEqual(mtastsd.ask("outside.test"), "NOTFOUND ")
        mtastsd.wait_log(r"event=fetch_failed domain=outside\.test .*fd00:2::1 is special")

    def test_where_distributions_keep_their_authorities(self):
        """Of several files the first one counts. /etc and /var/lib are copies here."""
        environment = unittest.mock.patch.dict(os.environ)
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop("SSL_CERT_FILE", None)
        domains = [f"place{number}.test" for number in range(len(PLACES))]
        for domain in domains:
            self.publish(domain, "mail." + domain)
        self.web.apply()
        etc = os.path.join(self.own_directory(), "etc")
        shutil.copytree("/etc", etc, symlinks=True)
        shutil.rmtree(os.path.join(etc, "ssl", "certs"))
        for copy, path in ((etc, "/etc"), (os.path.join(self.own_directory(), "lib"), "/var/lib")):
            os.makedirs(copy, exist_ok=True)
            sandbox.run(["mount", "--bind", copy, path])
            self.addCleanup(sandbox.run, ["umount", "--lazy", path])
        for path, domain in zip(reversed(PLACES), domains):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(self.authority.cert, path)
            mtastsd = self.daemon(https={"ca_file": ""})
            self.finds(mtastsd, domain, 1, path)
            mtastsd.wait_log(f"event=started .*ca_file={path} ")
            self.assertEqual(self.status(mtastsd)["ca_source"], path)
            mtastsd.stop()
            sandbox.run(["rm", "-r", mtastsd.settings["cache"]["directory"]])

    def test_a_hashed_directory_of_authorities(self):
        directory = os.path.join(self.own_directory(), "authorities")
        os.makedirs(directory)
        shutil.copy(self.authority.cert, os.path.join(directory, "ours.pem"))
        sandbox.run(["openssl", "rehash", directory])
        self.publish("hashed.test", "mail.hashed.test")
        self.web.apply()
        mtastsd = self.daemon(https={"ca_file": "", "ca_directory": directory})
        self.finds(mtastsd, "hashed.test", 1)
        mtastsd.wait_log(f"event=started .*ca_file={directory}")
        self.assertEqual(self.status(mtastsd)["ca_source"], directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("--mtastsctl", required=True, help="the operator's tool")
    parser.add_argument("names", nargs="*", help="NetworksTest.test_...; all by default")
    options = parser.parse_args()
    NetworksTest.program = options.mtastsd
    NetworksTest.mtastsctl = options.mtastsctl
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + options.names, verbosity=2)


if __name__ == "__main__":
    main()
