#!/usr/bin/env python3
"""What the owners of domains can do with policy hosts and name servers of their own.

    hostile_hosts_test.py --mtastsd PATH [HostileHostsTest.test_...]

What holds in each case: a cached policy that is in force is answered, at once; for a domain of
which nothing is known NOTFOUND comes in time; nothing that they send is without a bound.
"""

import argparse
import base64
import os
import random
import re
import socket
import statistics
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import figures
from testenv import sandbox, socketmap, web
from testenv.badweb import BEFORE_TLS, BEHAVIOURS, HEAD, BadWeb
from testenv.case import INET, OTHER_DNS, DaemonCase, secure
from testenv.dns import ScriptedDns

BAD_WEB = "127.0.0.77"
AT_ONCE = 1.0  # seconds for an answer that is known
FETCH_LIMIT, ANSWER_LIMIT = 2.0, 4.0
SLACK = 2.0  # of a busy machine
EXPENSIVE_MAILS = 60


class LyingDns(ScriptedDns):
    """Faults that make an answer wrong, by the name that is asked for."""

    lies = {}  # name -> function of the right answer

    def _reply(self, query, transport):
        reply = super()._reply(query, transport)
        for name, lie in self.lies.items():
            label = bytes([len(name)]) + name.encode()
            if reply is not None and label in query:
                return lie(reply, query, transport)
        return reply


def wrong_id(reply, *_):
    return bytes([reply[0] ^ 0xFF]) + reply[1:]


def other_question(reply, query, _):
    return reply.replace(b"\x08_mta-sts", b"\x08_mta-stz")


def garbage(reply, query, _):
    return query[:2] + b"\x81\x80" + b"\xff" * 200


def cut_off(reply, *_):
    return reply[:-5]


def many_records(reply, query, transport):
    """As many records as a message can hold, over TCP."""
    if transport == "udp":
        return reply[:2] + struct.pack("!H", 0x8780) + reply[4:6] + b"\0" * 6 + query[12:]
    record = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 16) + b"\x0fv=STSv1; id=99;"
    end = query.index(b"\0", 12) + 5
    count = (65535 - end) // len(record)
    return (reply[:2] + struct.pack("!HHHHH", 0x8580, 1, count, 0, 0) + query[12:end]
            + record * count)


def alias_loop(reply, query, _):
    end = query.index(b"\0", 12) + 5
    to_itself = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
    return reply[:2] + struct.pack("!HHHHH", 0x8580, 1, 1, 0, 0) + query[12:end] + to_itself


LIES = {"wrong-id": wrong_id, "other-question": other_question, "garbage": garbage,
        "cut-off": cut_off, "many-records": many_records, "alias-loop": alias_loop}


class HostileHostsTest(DaemonCase):
    def ask_known(self, mtastsd, domain):
        """Its policy, at once."""
        began = time.monotonic()
        self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        self.assertLess(time.monotonic() - began, AT_ONCE)

    def cpu_seconds(self, mtastsd):
        with open(f"/proc/{mtastsd.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send_to_all(self, domains):
        for domain in domains:
            client = socketmap.Client(INET)
            self.addCleanup(client.close)
            client.send(socketmap.netstring("postfix " + domain))

    # Policy hosts.

    def test_policy_hosts_that_misbehave(self):
        # Each with an owner of its own: one owner's lines in the log are bounded.
        names = [f"{behaviour}.bad-{behaviour}.test" for behaviour in (*BEHAVIOURS, *BEFORE_TLS)]
        certificate = self.authority.issue(*("mta-sts." + name for name in names))
        bad = BadWeb(BAD_WEB, certificate)
        self.addCleanup(bad.stop)
        dns = ScriptedDns(OTHER_DNS, ttl=1, negative_ttl=1)
        self.addCleanup(dns.stop)
        for name in names:
            self.publish(name, "mail." + name, dns=dns, certificate=certificate)
        self.web.apply()
        limits = {"resolver": {"recheck_min": "1s", "recheck_max": "1s",
                               "answer_timeout": f"{ANSWER_LIMIT:g}s"},
                  "https": {"timeout": f"{FETCH_LIMIT:g}s"}, "dns": {"servers": [OTHER_DNS]}}
        mtastsd = self.daemon(**limits)
        for name in names:
            self.assertEqual(mtastsd.ask(name), secure("mail." + name))
        # The same domains, their hosts gone bad and their ids new.
        for name in names:
            dns.set("mta-sts." + name, "A", BAD_WEB)
            dns.set("_mta-sts." + name, "TXT", "v=STSv1; id=2;")
        time.sleep(1.2)
        for name in names:
            self.ask_known(mtastsd, name)
        for name in names:
            mtastsd.wait_log(f'event=fetch_failed domain={re.escape(name)} .*cached=enforce',
                             FETCH_LIMIT + 10)
            self.ask_known(mtastsd, name)
        slow = [int(took) for took in re.findall(r'event=fetch_failed.* took_ms=(\d+)',
                                                 mtastsd.log())]
        self.assertEqual(len(slow), len(names))
        figures.at_most(self, f"{len(names)} ways to answer wrongly: the longest fetch",
                        max(slow) / 1000, FETCH_LIMIT + SLACK, "s")
        self.assertNotIn("attacker", mtastsd.log().replace("reason", ""))
        # And nothing cached: as if there were no policy, in time.
        mtastsd.stop()
        sandbox.run(["rm", "-r", mtastsd.settings["cache"]["directory"]])
        mtastsd.start()
        began = time.monotonic()
        clients = [(name, socketmap.Client(INET)) for name in names]
        for name, client in clients:
            self.addCleanup(client.close)
            client.send(socketmap.netstring(f"postfix {name}"))
        for name, client in clients:
            with self.subTest(name):
                self.assertEqual(client.reply(), "NOTFOUND ")
        self.assertLess(time.monotonic() - began, ANSWER_LIMIT + SLACK)

    def test_chunk_extensions_without_end(self):
        """One fetch took in 7.1 GB in 15 s: no callback sees them."""
        sent = 0

        def serve(conn, stopping):
            nonlocal sent
            piece = b"1;" + b"x" * 16000 + b"\r\nv\r\n"
            conn.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            while not stopping.is_set():
                conn.sendall(piece)
                sent += len(piece)

        BEHAVIOURS["extensions"] = serve
        self.addCleanup(BEHAVIOURS.pop, "extensions")
        name = "extensions.test"
        bad = BadWeb(BAD_WEB, self.authority.issue("mta-sts." + name),
                     choose=lambda _: "extensions")
        self.addCleanup(bad.stop)
        self.dns.set("_mta-sts." + name, "TXT", "v=STSv1; id=1;")
        self.dns.set("mta-sts." + name, "A", BAD_WEB)
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask(name), "NOTFOUND ")
        # 512 KiB, and what the kernels hold between the two.
        figures.at_most(self, "chunk extensions without end: bytes sent to us", sent / (1 << 20), 16,
                        "MiB")
        mtastsd.wait_log(r"event=fetch_failed domain=extensions.test .*bytes came in all")

    def expensive_server(self, domains):
        """TLS 1.2 with DHE alone, and a modulus of 10,000 bits. The certificate is good: a client
        looks at it first."""
        directory = os.path.join(self.own_directory(), "dhe")
        os.makedirs(directory)

        def path(name):
            return os.path.join(directory, name)

        def openssl(*arguments):
            sandbox.run([sandbox.program("openssl", "openssl"), *arguments])

        modulus = random.getrandbits(10000) | 3 << 9998 | 1
        sandbox.write(path("numbers"), "asn1=SEQUENCE:numbers\n[numbers]\n"
                      f"p=INTEGER:0x{modulus:x}\ng=INTEGER:2\n")
        openssl("asn1parse", "-genconf", path("numbers"), "-out", path("numbers.der"), "-noout")
        with open(path("numbers.der"), "rb") as numbers:
            text = base64.encodebytes(numbers.read()).decode()
        sandbox.write(path("numbers.pem"), "-----BEGIN DH PARAMETERS-----\n" + text
                      + "-----END DH PARAMETERS-----\n")
        certificate = self.authority.issue(*("mta-sts." + domain for domain in domains), rsa=True)
        server = sandbox.Child("s_server", [
            sandbox.program("openssl", "openssl"), "s_server", "-www", "-accept", BAD_WEB + ":443",
            "-cert", certificate.cert, "-key", certificate.key,
            "-dhparam", path("numbers.pem"), "-tls1_2",
            "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"], path("log"))
        self.addCleanup(server.stop)
        server.wait_until(lambda: "ACCEPT" in server.log(), "s_server listens")

    def test_handshakes_that_cost_a_second(self):
        """Each took 0.86 s of the resolver's thread; 60 mails made first contact impossible for
        40 s."""
        costly = [f"dhe{number}.test" for number in range(EXPENSIVE_MAILS)]
        self.expensive_server(costly)
        honest = [f"honest{number}.test" for number in range(20)]
        certificate = self.authority.issue(*("mta-sts." + domain for domain in honest))
        for domain in honest:
            self.publish(domain, "mail." + domain, certificate=certificate)
        self.web.apply()
        for domain in costly:
            self.dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=1;")
            self.dns.set("mta-sts." + domain, "A", BAD_WEB)
        mtastsd = self.daemon()
        before = self.cpu_seconds(mtastsd)
        self.send_to_all(costly)
        took = []
        for domain in honest:
            began = time.monotonic()
            self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
            took.append(time.monotonic() - began)
        figures.at_most(self, "60 mails to a server with DHE of 10,000 bits: worst first contact",
                        max(took), 3, "s")
        for domain in costly:
            mtastsd.wait_log(f"event=fetch_failed domain={domain} result=sts-policy-fetch-error")
        figures.at_most(self, "the same: CPU of the daemon", self.cpu_seconds(mtastsd) - before, 5,
                        "s")

    def test_policies_of_one_owner_that_fill_the_cache(self):
        """75 subdomains with 64 KiB each evicted everybody's policies from a small cache."""
        honest = [f"kept{number}.test" for number in range(20)]
        greedy = [f"s{number}.greedy.test" for number in range(75)]
        certificate = self.authority.issue(*("mta-sts." + domain for domain in honest + greedy))
        for domain in honest:
            self.publish(domain, "mail." + domain, certificate=certificate)
        label = "x" * 60
        for number, domain in enumerate(greedy):
            hosts = [f"{number}-{host}.{label}.{label}.{label}.test" for host in range(310)]
            text = web.policy_text(*hosts)
            self.assertLess(len(text), 65536)
            self.publish(domain, text=text, certificate=certificate)
        self.web.apply()
        mtastsd = self.daemon(cache={"max_size": "1MiB"}, resolver={"answer_timeout": "1s"})
        for domain in honest:
            self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        mtastsd.wait_stored(honest[-1])
        for domain in greedy:
            self.assertTrue(mtastsd.ask(domain).startswith("OK secure"), domain)
        mtastsd.wait_log("event=cache_full")
        for domain in honest:
            self.dns.set_fault("_mta-sts." + domain, "TXT", "drop")
        lost = sum(mtastsd.ask(domain) != secure("mail." + domain) for domain in honest)
        figures.at_most(self, "75 policies of 64 KiB in a cache of 1 MiB: honest policies lost",
                        lost, 0, "of 20")

    def test_policy_hosts_at_special_addresses(self):
        """Nothing is sent there, unless the configuration names the network."""
        places = {  # domain: (type, address, what is wrong with it)
            "private.test": ("A", "10.1.2.3", "private use, RFC 1918"),
            "metadata.test": ("A", "169.254.169.254", "link-local, RFC 3927"),
            "unique.test": ("AAAA", "fd00:ec2::254", "private use, RFC 4193"),
            "nat64.test": ("AAAA", "64:ff9b::a9fe:a9fe", "link-local, RFC 3927"),
            "mapped.test": ("AAAA", "::ffff:10.1.2.3", "private use, RFC 1918"),
        }
        sandbox.run(["ip", "-6", "route", "add", "default", "dev", "lo"])
        self.addCleanup(sandbox.run, ["ip", "-6", "route", "del", "default", "dev", "lo"])
        listeners = {}
        for domain, (rtype, address, _) in places.items():
            self.dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=1;")
            self.dns.set("mta-sts." + domain, rtype, address)
            if domain == "mapped.test":
                continue  # leads to that of private.test
            sandbox.run(["ip", "addr", "add", address, "dev", "lo"]
                        + (["nodad"] if rtype == "AAAA" else []))
            self.addCleanup(sandbox.run, ["ip", "addr", "del", address, "dev", "lo"])
            family = socket.AF_INET if rtype == "A" else socket.AF_INET6
            listener = socket.create_server((address, 443), family=family)
            listener.settimeout(0)
            self.addCleanup(listener.close)
            listeners[domain] = listener

        def connected():
            found = set()
            for domain, listener in listeners.items():
                try:
                    listener.accept()[0].close()
                    found.add(domain)
                except BlockingIOError:
                    pass
            return found

        mtastsd = self.daemon(https={"allow_local_addresses": False})
        for domain, (_, address, why) in places.items():
            with self.subTest(domain):
                self.assertEqual(mtastsd.ask(domain), "NOTFOUND ")
                mtastsd.wait_log(rf'domain={domain} .*{re.escape(address)} is special '
                                 rf'\({why}\), and \[https\] allow_networks')
        figures.at_most(self, "policy hosts at special addresses: connections", len(connected()), 0,
                        f"of {len(places)}")
        mtastsd.stop()
        mtastsd = self.daemon(
            https={"allow_local_addresses": False, "timeout": "1s",
                   "allow_networks": ["10.0.0.0/8", "169.254.0.0/16", "fd00::/8"]},
            cache={"directory": os.path.join(self.own_directory(), "other")})
        for domain in places:
            mtastsd.ask(domain)
        self.assertEqual(connected(), set(listeners))

    # DNS.

    def test_dns_that_lies(self):
        dns = LyingDns(OTHER_DNS, ttl=1, negative_ttl=1)
        self.addCleanup(dns.stop)
        names = [f"{lie}.test" for lie in LIES]
        certificate = self.authority.issue(*("mta-sts." + name for name in names))
        for name in names:
            self.publish(name, "mail." + name, dns=dns, certificate=certificate)
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": [OTHER_DNS], "timeout": "1s"},
                              resolver={"recheck_min": "1s", "recheck_max": "1s",
                                        "negative_min": "1s", "negative_max": "1s",
                                        "answer_timeout": f"{ANSWER_LIMIT:g}s"})
        for name in names:
            self.assertEqual(mtastsd.ask(name), secure("mail." + name))
        fetches = {name: self.web.requests(name) for name in names}
        dns.lies = LIES
        before = {name: mtastsd.checks(name) for name in names}
        for name in names:
            def checked(name=name):
                self.ask_known(mtastsd, name)
                return mtastsd.checks(name) > before[name]
            with self.subTest(name):
                sandbox.wait_for(checked, f"a check of {name}", 20)
                self.ask_known(mtastsd, name)
                self.assertEqual(self.web.requests(name), fetches[name])
        mtastsd.stop()
        sandbox.run(["rm", "-r", mtastsd.settings["cache"]["directory"]])
        mtastsd.start()
        for name in names:
            with self.subTest(name + ", nothing known"):
                began = time.monotonic()
                self.assertEqual(mtastsd.ask(name), "NOTFOUND ")
                self.assertLess(time.monotonic() - began, ANSWER_LIMIT + SLACK)
        dns.lies = {}
        for name in names:
            sandbox.wait_for(lambda name=name: mtastsd.ask(name) == secure("mail." + name),
                             f"{name} to be found", 30)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("names", nargs="*", help="HostileHostsTest.test_...; all by default")
    options = parser.parse_args()
    HostileHostsTest.program = options.mtastsd
    sandbox.enter()
    figures.main(options.names)


if __name__ == "__main__":
    main()
