#!/usr/bin/env python3
"""What a local user can do to mtastsd and, through it, to others.

    local_test.py --mtastsd PATH --mtastsctl PATH [test...]

Each test is an attack that worked once, with the figure that it had then.
"""

import argparse
import os
import re
import resource
import sys
import time
import unittest

from testenv import sandbox, socketmap, web
from testenv.case import BLACKHOLE, INET, DaemonCase, secure

OPTIONS = None


def memory_kb(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Connections(DaemonCase):
    def clients(self, count):
        for _ in range(count):
            client = socketmap.Client(INET)
            self.addCleanup(client.close)
            yield client

    def test_half_requests_do_not_lock_postfix_out(self):
        """10,050 connections with one byte each: Postfix was refused until they were closed, which
        took minutes."""
        if raise_descriptor_limit() < 10500:
            self.skipTest("needs 10,500 descriptors")
        self.publish("postfix.test", "mail.postfix.test")
        self.web.apply()
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask("postfix.test"), secure("mail.postfix.test"))
        for client in self.clients(10050):
            client.send(b"1")
        time.sleep(1)  # until all of them are half read
        worst = 0
        for _ in range(100):
            began = time.monotonic()
            self.assertEqual(mtastsd.ask("postfix.test"), secure("mail.postfix.test"))
            worst = max(worst, time.monotonic() - began)
        print(f"worst of 100 answers: {1000 * worst:.0f} ms", file=sys.stderr)
        self.assertLess(worst, 1)

    def test_replies_that_wait_take_a_bounded_memory(self):
        """30 connections with 255 requests behind a slow one, each with a reply of 39 KB, took
        296 MB."""
        gate = web.Gate(BLACKHOLE, ("127.0.0.1", 443))
        self.addCleanup(gate.close)
        self.publish("slow.test", "mail.slow.test", address=BLACKHOLE)
        hosts = [f"mail-{number:03}-{'x' * 50}.{'y' * 60}.long.test" for number in range(300)]
        self.publish("long.test", *hosts)
        self.web.apply()
        mtastsd = self.daemon()
        self.assertGreater(len(mtastsd.ask("long.test")), 38000)
        before = memory_kb(mtastsd.pid, "VmRSS")
        waiting = list(self.clients(30))
        for client in waiting:
            client.send(socketmap.netstring("postfix slow.test")
                        + 255 * socketmap.netstring("postfix long.test"))
        sandbox.wait_for(lambda: gate.connections, "the connection to the policy host")
        mtastsd.ask("long.test")
        time.sleep(0.5)
        taken = memory_kb(mtastsd.pid, "VmHWM") - before
        print(f"30 connections took {taken / 1024:.0f} MiB", file=sys.stderr)
        self.assertLess(taken, 20 * 1024)
        # Nobody loses a reply by it.
        gate.open()
        for client in waiting:
            self.assertEqual(client.reply(), secure("mail.slow.test"))
            for _ in range(255):
                self.assertGreater(len(client.reply()), 38000)


def main():
    global OPTIONS  # the test classes are made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("--mtastsctl", required=True, help="the operator's tool")
    parser.add_argument("names", nargs="*", help="Connections.test_...; all by default")
    OPTIONS = parser.parse_args()
    DaemonCase.program = OPTIONS.mtastsd
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + OPTIONS.names, verbosity=2)


if __name__ == "__main__":
    main()
