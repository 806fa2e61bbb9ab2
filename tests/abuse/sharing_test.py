#!/usr/bin/env python3
"""Strangers who try to take the look-up machinery for themselves.

    sharing_test.py --mtastsd PATH [--long] [SharingTest.test_...]

Beside each attack, domains that nobody has asked for before are looked up as if it were not there:
none is NOTFOUND, the median takes at most twice its idle time (plus SLACK), and the worst 3 s. The
figures are printed. --long asks for 200 of them instead of 40.
"""

import argparse
import os
import statistics
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from testenv import sandbox, socketmap
from testenv.badweb import BEHAVIOURS, BODY, KNOWN_LENGTH, BadWeb
from testenv.case import INET, DaemonCase, secure

WEB = "127.0.0.80"
DEAD = "198.18"  # a network where nobody answers (RFC 2544's, on an interface that leads nowhere)
HONEST = [f"h{i}.test" for i in range(220)]
HONEST_REPLY = secure(".attacker.test")  # of the one policy that BadWeb has
WORST = 3.0
SLACK = 0.1  # the servers run on this machine too
PIPELINED = 16  # what one connection may have waiting


class SharingTest(DaemonCase):
    honest_domains = 40

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        BEHAVIOURS["honest"] = lambda conn, _: conn.sendall(KNOWN_LENGTH + BODY)
        certificate = cls.authority.issue(*["mta-sts." + domain for domain in HONEST])
        bad = BadWeb(WEB, certificate, choose=lambda _: "honest")
        cls.addClassCleanup(bad.stop)

    def setUp(self):
        self._honest = iter(HONEST)
        self.mtastsd = self.daemon(log={"level": "info"})

    def publish_at(self, domain, *addresses):
        self.dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=1;")
        self.dns.set("mta-sts." + domain, "A", *addresses)

    def first_contacts(self, count):
        """Seconds for each of so many honest domains that nobody has asked for before."""
        took = []
        for _ in range(count):
            domain = next(self._honest)
            self.publish_at(domain, WEB)
            began = time.monotonic()
            self.assertEqual(self.mtastsd.ask(domain), HONEST_REPLY, domain)
            took.append(time.monotonic() - began)
        return took

    def flood(self, domains):
        """Queries for all of them at once, on as many connections as it takes."""
        for at in range(0, len(domains), PIPELINED):
            client = socketmap.Client(INET)
            self.addCleanup(client.close)
            client.send(b"".join(socketmap.netstring("postfix " + domain)
                                 for domain in domains[at:at + PIPELINED]))

    def assert_nothing_is_noticed(self, idle):
        took = self.first_contacts(self.honest_domains)
        median, worst = statistics.median(took), max(took)
        print(f"idle median {1000 * idle:.0f} ms; beside the attack median {1000 * median:.0f} ms, "
              f"worst {1000 * worst:.0f} ms of {len(took)}", file=sys.stderr)
        self.assertLessEqual(median, 2 * idle + SLACK)
        self.assertLessEqual(worst, WORST)

    def idle(self):
        return statistics.median(self.first_contacts(10))

    def test_subdomains_whose_policy_host_drips_at_an_honest_address(self):
        """120 mails: two honest domains were NOTFOUND after 20 s, a third took 14 s."""
        idle = self.idle()
        domains = [f"s{i}.no-handshake.test" for i in range(120)]
        for domain in domains:
            self.publish_at(domain, WEB)
        self.flood(domains)
        time.sleep(1)
        self.assert_nothing_is_noticed(idle)

    def test_one_server_behind_many_dead_addresses(self):
        """400 mails took all 256 fetches: only the first, dead address of each was counted."""
        idle = self.idle()
        domains = [f"s{i}.no-handshake{i % 40}.test" for i in range(400)]
        for i, domain in enumerate(domains):
            self.publish_at(domain, f"{DEAD}.{i // 250}.{1 + i % 250}", WEB)
        self.flood(domains)
        time.sleep(1)
        self.assert_nothing_is_noticed(idle)

    def test_name_servers_that_stay_silent(self):
        """900 mails: a first contact was NOTFOUND after 20 s."""
        idle = self.idle()
        domains = [f"s{i}.silent{i % 30}.test" for i in range(900)]
        for domain in domains:
            self.dns.set_fault("_mta-sts." + domain, "TXT", "drop")
        self.flood(domains)
        time.sleep(1)
        self.assert_nothing_is_noticed(idle)

    def test_dead_policy_hosts(self):
        """30 new subdomains a second whose policy host does not exist."""
        idle = self.idle()
        stop = threading.Event()

        def keep_asking():
            number = 0
            while not stop.wait(0.5):
                numbers = range(number, number + 15)
                number += 15
                for i in numbers:
                    self.publish_at(f"s{i}.dead.test", f"{DEAD}.{i // 250}.{1 + i % 250}")
                self.flood([f"s{i}.dead.test" for i in numbers])

        thread = threading.Thread(target=keep_asking)
        thread.start()
        try:
            time.sleep(12)  # more than there are slots for fetches
            self.assert_nothing_is_noticed(idle)
        finally:
            stop.set()
            thread.join()

    def test_the_log_of_one_owner_is_bounded(self):
        domains = [f"s{i}.chatty.test" for i in range(300)]
        for domain in domains:
            self.dns.set("_mta-sts." + domain, "TXT", "v=STSv1;")
        self.flood(domains)
        time.sleep(3)
        lines = [line for line in self.mtastsd.log().splitlines() if "chatty.test" in line]
        print(f"{len(lines)} lines about 300 domains of one owner", file=sys.stderr)
        self.assertLessEqual(len(lines), 25)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("--long", action="store_true", help="200 honest domains beside each attack")
    parser.add_argument("names", nargs="*", help="SharingTest.test_...; all by default")
    options = parser.parse_args()
    SharingTest.program = options.mtastsd
    if options.long:
        SharingTest.honest_domains = 200
    sandbox.enter()
    for command in (["link", "add", "dead", "type", "bridge"],
                    ["link", "set", "dead", "arp", "off", "up"],
                    ["address", "add", DEAD + ".255.254/16", "dev", "dead"]):
        sandbox.run(["ip", *command])
    unittest.main(argv=sys.argv[:1] + options.names, verbosity=2)


if __name__ == "__main__":
    main()
