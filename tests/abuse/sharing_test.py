#!/usr/bin/env python3
"""Strangers who try to take the look-up machinery for themselves.

    sharing_test.py --mtastsd PATH [--long] [SharingTest.test_...]

Beside each attack, domains that nobody has asked for before are looked up as if it were not there:
none is NOTFOUND, the median takes at most twice its idle time (plus SLACK), and the worst 3 s. --long
asks for 200 of them instead of 40, and leaves the refreshes of policies at half of their life of four
minutes, where the short form has [resolver] refresh_interval bring them about sooner.
"""

import argparse
import contextlib
import os
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import figures
from testenv import sandbox, socketmap
from testenv.badweb import BEHAVIOURS, BODY, HEAD, KNOWN_LENGTH, BadWeb
from testenv.case import INET, DaemonCase, secure

WEB = "127.0.0.80"
DEAD = "198.18"  # a network where nobody answers (RFC 2544's, on an interface that leads nowhere)
HONEST = [f"h{i}.test" for i in range(220)]
SLOW_WEBS = [f"127.0.0.{90 + i}" for i in range(6)]
SLOW = [f"s{i}.slow.test" for i in range(600)]
LIVE = "live.test"
SHORT_BODY = BODY.replace(b"604800", b"240")  # the shortest life that is refreshed without mail
SHORT = HEAD + b"Content-Length: %d\r\n\r\n" % len(SHORT_BODY) + SHORT_BODY
LOOKED_AT = 15  # seconds between two looks at what is due
LATE = 5.0  # seconds until a slow policy host answers
HONEST_REPLY = secure(".attacker.test")  # of the one policy that BadWeb has
WORST = 3.0
SLACK = 0.1  # the servers run on this machine too
PIPELINED = 16  # what one connection may have waiting


class SharingTest(DaemonCase):
    honest_domains = 40
    long = False
    requests = {}  # policy host -> the times of its requests
    slowly = threading.Event()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        BEHAVIOURS["honest"] = lambda conn, _: conn.sendall(KNOWN_LENGTH + BODY)
        BEHAVIOURS["short"] = lambda conn, _: conn.sendall(SHORT)
        BEHAVIOURS["slow"] = cls.answer_slowly
        cls.serve(WEB, HONEST + [LIVE])
        for i, address in enumerate(SLOW_WEBS):
            cls.serve(address, SLOW[i::len(SLOW_WEBS)])

    @classmethod
    def serve(cls, address, domains):
        certificate = cls.authority.issue(*["mta-sts." + domain for domain in domains])
        bad = BadWeb(address, certificate, choose=cls.choose)
        cls.addClassCleanup(bad.stop)

    @classmethod
    def choose(cls, name):
        cls.requests.setdefault(name, []).append(time.monotonic())
        if name == "mta-sts." + LIVE:
            return "short"
        return "slow" if name.endswith(".slow.test") else "honest"

    @classmethod
    def answer_slowly(cls, conn, stopping):
        if cls.slowly.is_set():
            stopping.wait(LATE)
        conn.sendall(SHORT)

    def setUp(self):
        self._honest = iter(HONEST)
        self.mtastsd = self.daemon(log={"level": "info"})

    def restart_with(self, **resolver):
        self.mtastsd.stop()
        self.mtastsd = self.daemon(log={"level": "info"}, resolver=resolver)

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

    def assert_nothing_is_noticed(self, idle, attack):
        took = self.first_contacts(self.honest_domains)
        figures.at_most(self, attack + ": median first contact", 1000 * statistics.median(took),
                        1000 * (2 * idle + SLACK), "ms")
        figures.at_most(self, f"{attack}: worst of {len(took)}", 1000 * max(took), 1000 * WORST,
                        "ms")

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
        self.assert_nothing_is_noticed(idle, "dripping policy hosts at an honest address")

    def test_one_server_behind_many_dead_addresses(self):
        """400 mails took all 256 fetches: only the first, dead address of each was counted."""
        idle = self.idle()
        domains = [f"s{i}.no-handshake{i % 40}.test" for i in range(400)]
        for i, domain in enumerate(domains):
            self.publish_at(domain, f"{DEAD}.{i // 250}.{1 + i % 250}", WEB)
        self.flood(domains)
        time.sleep(1)
        self.assert_nothing_is_noticed(idle, "one server behind dead addresses")

    def test_name_servers_that_stay_silent(self):
        """900 mails: a first contact was NOTFOUND after 20 s."""
        idle = self.idle()
        domains = [f"s{i}.silent{i % 30}.test" for i in range(900)]
        for domain in domains:
            self.dns.set_fault("_mta-sts." + domain, "TXT", "drop")
        self.flood(domains)
        time.sleep(1)
        self.assert_nothing_is_noticed(idle, "silent name servers")

    @contextlib.contextmanager
    def dead_policy_hosts(self):
        """30 new subdomains a second whose policy host does not exist."""
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
            yield
        finally:
            stop.set()
            thread.join()

    def test_dead_policy_hosts(self):
        idle = self.idle()
        with self.dead_policy_hosts():
            self.assert_nothing_is_noticed(idle, "dead policy hosts")

    def test_a_policy_in_use_beside_dead_policy_hosts(self):
        """It was never refreshed, and NOTFOUND when its four minutes were over."""
        interval, end = (120, 290) if self.long else (5, 40)
        if not self.long:
            self.restart_with(refresh_interval=f"{interval}s")
        self.publish_at(LIVE, WEB)
        self.assertEqual(self.mtastsd.ask(LIVE), HONEST_REPLY)
        began = time.monotonic()
        with self.dead_policy_hosts():
            while time.monotonic() < began + end:
                self.assertEqual(self.mtastsd.ask(LIVE), HONEST_REPLY)
                time.sleep(1)
        times = [*self.requests["mta-sts." + LIVE], time.monotonic()]
        longest = max(later - earlier for earlier, later in zip(times, times[1:]))
        figures.at_most(self, "a policy in use beside dead policy hosts: longest time unrefreshed",
                        longest, interval + LOOKED_AT + WORST, "s")

    def test_a_burst_of_slow_refreshes(self):
        """600 policies of one owner: for minutes it held half of all fetches by refreshing."""
        if not self.long:
            self.restart_with(refresh_interval="10s")
        idle = self.idle()
        for i, domain in enumerate(SLOW):
            self.publish_at(domain, SLOW_WEBS[i % len(SLOW_WEBS)])
        self.slowly.clear()
        self.flood(SLOW)
        hosts = ["mta-sts." + domain for domain in SLOW]
        fetches = lambda: sum(len(self.requests.get(host, ())) for host in hosts)
        sandbox.wait_for(lambda: fetches() >= len(SLOW), "all of them to be cached", 60)
        self.slowly.set()
        before = fetches()
        sandbox.wait_for(lambda: fetches() >= before + 20, "their refreshes", 150, step=0.2)
        self.assert_nothing_is_noticed(idle, "a burst of slow refreshes")
        self.assertGreater(fetches(), before + 20)

    def test_the_log_of_one_owner_is_bounded(self):
        domains = [f"s{i}.chatty.test" for i in range(300)]
        for domain in domains:
            self.dns.set("_mta-sts." + domain, "TXT", "v=STSv1;")
        self.flood(domains)
        time.sleep(3)
        lines = [line for line in self.mtastsd.log().splitlines() if "chatty.test" in line]
        figures.at_most(self, "300 domains of one owner: lines in the log", len(lines), 25, "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("--long", action="store_true", help="the whole attacks, which take ten minutes")
    parser.add_argument("names", nargs="*", help="SharingTest.test_...; all by default")
    options = parser.parse_args()
    SharingTest.program = options.mtastsd
    if options.long:
        SharingTest.long, SharingTest.honest_domains = True, 200
    sandbox.enter()
    for command in (["link", "add", "dead", "type", "bridge"],
                    ["link", "set", "dead", "arp", "off", "up"],
                    ["address", "add", DEAD + ".255.254/16", "dev", "dead"]):
        sandbox.run(["ip", *command])
    figures.main(options.names)


if __name__ == "__main__":
    main()
