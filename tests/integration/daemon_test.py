#!/usr/bin/env python3
"""The real mtastsd against DNS and policy servers on loopback.

    daemon_test.py --mtastsd PATH --mtastsctl PATH [test...]

Each test has an mtastsd of its own, with its own cache. Every one of them has to end cleanly on
SIGTERM, with nothing from a sanitizer in its log. Queries to the DNS server and requests to the
policy server are counted by those servers.
"""

import argparse
import grp
import http.server
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

import jsonschema

from testenv import sandbox, smtp, socketmap, threads, web
from testenv.case import BLACKHOLE, DNS, INET, NOBODY, OTHER_DNS, DaemonCase, secure
from testenv.daemon import run_to_end, toml
from testenv.dns import Nsd, ScriptedDns

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
ALARM_SCHEMA = os.path.join(SOURCE, "contrib/schema/alarm.json")
MANUAL = os.path.join(SOURCE, "contrib/man/mtastsd.8.scd")
UNIT = os.path.join(SOURCE, "contrib/systemd/mtastsd.service.in")
OPTIONS = None


class DaemonTest(DaemonCase):
    # Look-ups.

    def test_cold_lookup_through_nsd(self):
        nsd = Nsd(os.path.join(self.own_directory(), "nsd"))
        self.addCleanup(nsd.stop)
        self.publish("cold.test", "mail.cold.test", "*.mx.cold.test", dns=nsd)
        # An RRset that fits no datagram: nsd cuts it short, and TCP has the record.
        self.publish("big.test", "mail.big.test", dns=nsd)
        nsd.set("_mta-sts.big.test", "TXT", "v=STSv1; id=1;",
                *(f"unrelated {number} " + "x" * 200 for number in range(30)))
        # The record and the host of a provider (RFC 8461 section 3.3).
        self.publish("hosted.test", "mail.hosted.test", dns=nsd)
        nsd.remove("_mta-sts.hosted.test", "TXT")
        nsd.remove("mta-sts.hosted.test", "A")
        nsd.set("_mta-sts.hosted.test", "CNAME", "_mta-sts.cold.test")
        nsd.set("mta-sts.hosted.test", "CNAME", "mta-sts.cold.test")
        nsd.apply()
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": ["127.0.0.1"]})
        for _ in range(2):
            self.assertEqual(mtastsd.ask("cold.test"), secure("mail.cold.test", ".mx.cold.test"))
            self.assertEqual(mtastsd.ask("big.test"), secure("mail.big.test"))
            self.assertEqual(mtastsd.ask("hosted.test"), secure("mail.hosted.test"))
            self.assertEqual(mtastsd.ask("other.test"), "NOTFOUND ")
        self.assertEqual(self.web.requests("cold.test"), [200])

    def test_many_new_domains_at_once(self):
        """Five of a hundred DNS answers are lost; every domain is answered with its policy."""
        domains = [f"d{number}.burst.test" for number in range(200)]
        lossy = ScriptedDns(OTHER_DNS, lost=0.05)
        self.addCleanup(lossy.stop)
        certificate = self.authority.issue(*("mta-sts." + domain for domain in domains))
        for domain in domains:
            self.publish(domain, "mail." + domain, dns=lossy, certificate=certificate)
        self.web.apply()
        # As long as Postfix waits: what is tested is that nothing gets lost, not how quick this is.
        mtastsd = self.daemon(dns={"servers": [OTHER_DNS]}, resolver={"answer_timeout": "90s"})
        clients = [socketmap.Client(INET, timeout=100) for _ in range(100)]
        for client in clients:
            self.addCleanup(client.close)
        for at in range(0, len(domains), len(clients)):
            batch = domains[at:at + len(clients)]
            for client, domain in zip(clients, batch):
                client.send(socketmap.netstring("postfix " + domain))
            for client, domain in zip(clients, batch):
                self.assertEqual(client.reply(), secure("mail." + domain))
        # Each question until it is answered, and none for an answer that is there.
        for domain in domains:
            for name, rtype in (("_mta-sts." + domain, "TXT"), ("mta-sts." + domain, "A")):
                self.assertLessEqual(len(lossy.asked(name, rtype)), 5, name)

    def test_the_service_manager_is_told(self):
        for name in (os.path.join(self.directory, "notify"), "\0mtastsd.notify.test"):
            with self.subTest(name), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(name)
                manager.settimeout(sandbox.WAIT)
                with mock.patch.dict(os.environ, NOTIFY_SOCKET=name.replace("\0", "@")):
                    mtastsd = self.daemon()
                self.assertEqual(manager.recv(100), b"READY=1")
                mtastsd.reload()
                self.assertRegex(manager.recv(100), rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")
                self.assertEqual(manager.recv(100), b"READY=1")
                mtastsd.stop()
                self.assertEqual(manager.recv(100), b"STOPPING=1")

    def test_the_watchdog_is_fed_while_the_threads_come_round(self):
        path = os.path.join(self.directory, "watchdog")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(sandbox.WAIT)

            def wait_until_fed():
                while manager.recv(100) != b"WATCHDOG=1":
                    pass

            def forget_what_has_come():
                manager.setblocking(False)
                try:
                    while True:
                        manager.recv(100)
                except BlockingIOError:
                    manager.settimeout(sandbox.WAIT)

            def is_fed(seconds):
                manager.settimeout(seconds)
                try:
                    return manager.recv(100) == b"WATCHDOG=1"
                except TimeoutError:
                    return False
                finally:
                    manager.settimeout(sandbox.WAIT)

            with mock.patch.dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="400000"):
                mtastsd = self.daemon(socketmap={"threads": 2})
            needed = 0
            for thread in map(int, os.listdir(f"/proc/{mtastsd.pid}/task")):
                wait_until_fed()
                with threads.stopped(thread):
                    forget_what_has_come()
                    # One or two may be on their way; more come only if nobody waits for it.
                    needed += not all(is_fed(2) for _ in range(5))
            wait_until_fed()
            # This one, two that answer, and the resolver's; not those of the log, the cache and HTTPS.
            self.assertEqual(needed, 4)

    def test_a_service_manager_that_is_busy_is_told_later(self):
        path = os.path.join(self.directory, "busy")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
            manager.bind(path)
            manager.settimeout(sandbox.WAIT)
            others.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while True:
                    others.sendto(b"WATCHDOG=1", path)
            with mock.patch.dict(os.environ, NOTIFY_SOCKET=path):
                self.daemon()
            said = {b"WATCHDOG=1"}
            while said == {b"WATCHDOG=1"}:
                said.add(manager.recv(100))
            self.assertIn(b"READY=1", said)

    def test_nobody_to_be_told(self):
        nobodies = (os.path.join(self.directory, "nobody"), "@", "relative", "/" + "x" * 200)
        for number, name in enumerate(("", *nobodies)):
            with self.subTest(name), mock.patch.dict(os.environ, NOTIFY_SOCKET=name):
                mtastsd = self.daemon()
                mtastsd.stop()
                self.assertEqual(mtastsd.log().count("event=notify_failed"), number)

    def test_keys_of_postfix(self):
        self.publish("keys.test", "mail.keys.test")
        self.web.apply()
        mtastsd = self.daemon()
        for key in ("keys.test", "KEYS.Test", "keys.test:25", "[keys.test]:587"):
            with self.subTest(key):
                self.assertEqual(mtastsd.ask(key), secure("mail.keys.test"))
        before = len(self.dns.asked())
        for key in (".keys.test", ".test", "[192.0.2.1]", "192.0.2.1", "[IPv6:2001:db8::1]", ""):
            with self.subTest(key):
                self.assertEqual(mtastsd.ask(key), "NOTFOUND ")
        self.assertEqual(len(self.dns.asked()), before)

    def test_report_attributes(self):
        self.publish("report.test", "mail.report.test", "*.mx.report.test")
        self.publish("trial.test", "mail.trial.test", mode="testing")
        self.web.apply()
        mtastsd = self.daemon(maps__strict={"postfix_version": "3.10", "enforce_testing": True})
        self.assertEqual(mtastsd.ask("report.test", "QUERY"),
                         secure("mail.report.test", ".mx.report.test"))
        self.assertEqual(
            mtastsd.ask("report.test", "QUERYwithTLSRPT"),
            secure("mail.report.test", ".mx.report.test")
            + " policy_type=sts policy_domain=report.test"
            " { policy_string = version: STSv1 } { policy_string = mode: enforce }"
            " { policy_string = mx: mail.report.test } { policy_string = mx: *.mx.report.test }"
            " { policy_string = max_age: 604800 }"
            " mx_host_pattern=mail.report.test mx_host_pattern=*.mx.report.test")
        for _ in range(2):  # fetched, then from the cache
            self.assertEqual(mtastsd.ask("trial.test", "QUERYwithTLSRPT"), "NOTFOUND ")
        self.assertTrue(mtastsd.ask("trial.test", "strict").startswith(secure("mail.trial.test")))

    def test_no_policy_is_looked_up_once_in_its_time(self):
        # Times are kept in whole seconds: three seconds are more than two.
        mtastsd = self.daemon(resolver={"negative_min": "3s", "negative_max": "3s"})

        def lookups():
            return len(self.dns.asked("_mta-sts.nothing.test", "TXT"))

        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(mtastsd.ask("nothing.test"), "NOTFOUND ")
        self.assertEqual(lookups(), 1)
        sandbox.wait_for(lambda: mtastsd.ask("nothing.test") and lookups() == 2,
                         "the second lookup")
        self.assertGreater(time.monotonic() - began, 2)

    def test_many_clients_make_one_fetch(self):
        gate = web.Gate(BLACKHOLE, ("127.0.0.1", 443))
        self.addCleanup(gate.close)
        self.publish("crowd.test", "mail.crowd.test", address=BLACKHOLE)
        self.web.apply()
        mtastsd = self.daemon()
        clients = [socketmap.Client(INET) for _ in range(50)]
        for client in clients:
            self.addCleanup(client.close)
            client.send(socketmap.netstring("postfix crowd.test"))
        sandbox.wait_for(lambda: gate.connections, "the connection to the policy host")
        gate.open()
        for client in clients:
            self.assertEqual(client.reply(), secure("mail.crowd.test"))
        self.assertEqual(self.web.requests("crowd.test"), [200])
        self.assertEqual(gate.connections, 1)
        self.assertEqual(len(self.dns.asked("_mta-sts.crowd.test", "TXT")), 1)
        self.assertTrue(mtastsd.running())

    # The wire.

    def test_requests_split_and_joined_anywhere(self):
        self.publish("wire.test", "mail.wire.test")
        self.web.apply()
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask("wire.test"), secure("mail.wire.test"))
        keys = ["wire.test", ".wire.test", "wire.test"]
        expected = [secure("mail.wire.test"), "NOTFOUND ", secure("mail.wire.test")]
        raw = b"".join(socketmap.netstring(f"postfix {key}") for key in keys)
        with socketmap.Client(INET) as other:
            for at in range(len(raw) + 1):
                with self.subTest(f"split at byte {at}"), socketmap.Client(INET) as client:
                    client.send(raw[:at])
                    # The one answering thread replies here only after it has seen the first part.
                    other.ask(".barrier.test")
                    client.send(raw[at:])
                    self.assertEqual([client.reply() for _ in keys], expected)
            with socketmap.Client(INET) as client:
                for byte in raw:
                    client.send(bytes([byte]))
                    other.ask(".barrier.test")
                self.assertEqual([client.reply() for _ in keys], expected)
        # Replies keep the order of the requests although the first takes longest.
        self.publish("late.test", "mail.late.test")
        self.web.apply()
        with socketmap.Client(INET) as client:
            client.send(socketmap.netstring("postfix late.test") + raw)
            self.assertEqual([client.reply() for _ in range(4)],
                             [secure("mail.late.test"), *expected])

    def test_rubbish_ends_one_connection_only(self):
        mtastsd = self.daemon()
        with socketmap.Client(INET) as good:
            self.assertEqual(good.ask(".good.test"), "NOTFOUND ")
            for rubbish in (b"GET / HTTP/1.0\r\n\r\n", b"5:abcdeX", b"99999999999999999999:",
                            b"-1:,", b":,", b"\0" * 64, b"1000000:" + b"x" * 100):
                with self.subTest(rubbish[:20]), socketmap.Client(INET) as bad:
                    bad.send(rubbish)
                    self.assertIsNone(bad.reply())
                self.assertEqual(good.ask(".good.test"), "NOTFOUND ")
        self.assertTrue(mtastsd.running())

    # Listeners.

    def test_several_listeners_and_the_socket_mode(self):
        path = os.path.join(self.own_directory(), "policy.sock")
        self.publish("listen.test", "mail.listen.test")
        self.web.apply()
        listen = [INET, "inet:127.0.0.2:8462", "inet:[::1]:8461", "unix:" + path]
        mtastsd = self.daemon(socketmap={"listen": listen, "socket_mode": "0620",
                                         "socket_group": "mail", "threads": 2})
        for address in listen:
            with self.subTest(address):
                self.assertEqual(socketmap.ask(address, "listen.test"),
                                 secure("mail.listen.test"))
        made = os.stat(path)
        self.assertEqual(stat.S_IMODE(made.st_mode), 0o620)
        self.assertEqual(made.st_gid, grp.getgrnam("mail").gr_gid)
        mtastsd.stop()
        self.assertFalse(os.path.exists(path))

    def test_stale_socket_is_replaced(self):
        path = os.path.join(self.own_directory(), "policy.sock")
        with socket.socket(socket.AF_UNIX) as left_over:
            left_over.bind(path)
        self.daemon(socketmap={"listen": ["unix:" + path]})
        self.assertEqual(socketmap.ask("unix:" + path, ".stale.test"), "NOTFOUND ")

    def test_what_others_use_is_refused(self):
        directory = self.own_directory()
        live, plain = (os.path.join(directory, name) for name in ("live.sock", "plain"))
        sandbox.write(plain, "precious\n")
        for address in ("unix:" + live, INET):
            server = socketmap.FixedServer(address)
            self.addCleanup(server.stop)
        config = os.path.join(directory, "mtastsd.toml")
        for address, word in (("unix:" + live, "another server"), ("unix:" + plain, "no socket"),
                              (INET, "in use")):
            with self.subTest(address):
                sandbox.write(config, toml(self.settings(socketmap={"listen": [address]})))
                status, output = self.run_daemon("--config", config)
                self.assertNotEqual(status, 0)
                self.assertIn(f"cannot listen on {address}", output)
                self.assertIn(word, output)
        self.assertEqual(sandbox.read(plain), "precious\n")
        self.assertEqual(socketmap.ask("unix:" + live, "x.test"), "NOTFOUND ")

    # What is kept.

    def test_policy_survives_restart_and_crash_without_dns_and_https(self):
        dns = ScriptedDns(OTHER_DNS, ttl=1)
        stopped = []
        self.addCleanup(lambda: stopped or dns.stop())
        self.publish("kept.test", "mail.kept.test", dns=dns)
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": [OTHER_DNS], "timeout": "1s"},
                              resolver={"recheck_min": "1s", "recheck_max": "1s"})
        self.assertEqual(mtastsd.ask("kept.test"), secure("mail.kept.test"))
        mtastsd.wait_stored("kept.test")
        mtastsd.kill()
        dns.stop()
        stopped.append(True)
        self.web.withdraw("kept.test")
        self.web.apply()
        for end in (mtastsd.stop, mtastsd.kill, mtastsd.stop):
            mtastsd.start()
            began = time.monotonic()
            self.assertEqual(mtastsd.ask("kept.test"), secure("mail.kept.test"))
            self.assertLess(time.monotonic() - began, 1)
            self.assertEqual(mtastsd.ask("never.seen.test"), "NOTFOUND ")
            end()

    def test_cached_policy_outlives_every_failure_to_check_it(self):
        # RFC 8461 section 3.3: an unexpired policy is applied whatever a later check meets.
        dns = ScriptedDns(OTHER_DNS, ttl=1, negative_ttl=1)
        self.addCleanup(dns.stop)
        domains = [name + ".held.test" for name in ("gone", "servfail", "broken", "twice",
                                                    "host", "page", "forged")]
        for domain in domains:
            self.publish(domain, "mail." + domain, dns=dns)
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": [OTHER_DNS]},
                              resolver={"recheck_min": "1s", "recheck_max": "1s"})
        for domain in domains:
            self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))

        def record(domain, *texts):
            dns.set("_mta-sts." + domain, "TXT", *texts)

        dns.remove("_mta-sts.gone.held.test", "TXT")
        dns.set_fault("_mta-sts.servfail.held.test", "TXT", "servfail")
        record("broken.held.test", "v=STSv1; id=;")
        record("twice.held.test", "v=STSv1; id=1;", "v=STSv1; id=2;")
        for domain in domains[4:]:
            record(domain, "v=STSv1; id=2;")
        dns.remove("mta-sts.host.held.test", "A")
        self.web.publish("page.held.test", "", status=404)
        self.web.publish("forged.held.test", web.policy_text("mail.elsewhere.test"),
                         certificate=self.authority.issue("mta-sts.forged.held.test",
                                                          self_signed=True))
        self.web.apply()
        before = {domain: mtastsd.checks(domain) for domain in domains}

        def checked(domain):
            mtastsd.ask(domain)
            return mtastsd.checks(domain) > before[domain]

        for domain in domains:
            with self.subTest(domain):
                sandbox.wait_for(lambda domain=domain: checked(domain), f"a check of {domain}")
                self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        self.assertEqual(self.web.requests("page.held.test"), [200, 404])

    # Policy hosts that fail.

    def test_silent_policy_host_costs_the_answer_timeout_once(self):
        gate = web.Gate(BLACKHOLE, ("127.0.0.1", 443))
        self.addCleanup(gate.close)
        self.publish("silent.test", "mail.silent.test", address=BLACKHOLE)
        self.web.apply()
        mtastsd = self.daemon(resolver={"answer_timeout": "1s"}, https={"timeout": "30s"})
        began = time.monotonic()
        self.assertEqual(mtastsd.ask("silent.test"), "NOTFOUND ")
        took = time.monotonic() - began
        self.assertGreater(took, 0.9)
        self.assertLess(took, 3)
        gate.open()
        sandbox.wait_for(lambda: mtastsd.ask("silent.test") == secure("mail.silent.test"),
                         "the policy that came late")
        self.assertEqual(gate.connections, 1)

    def test_query_in_flight_is_answered_before_the_end(self):
        gate = web.Gate(BLACKHOLE, ("127.0.0.1", 443))
        self.addCleanup(gate.close)
        self.publish("flight.test", "mail.flight.test", address=BLACKHOLE)
        self.web.apply()
        mtastsd = self.daemon()
        with socketmap.Client(INET) as client:
            client.send(socketmap.netstring("postfix flight.test"))
            sandbox.wait_for(lambda: gate.connections, "the connection to the policy host")
            ended = threading.Thread(target=mtastsd.stop)
            ended.start()
            self.assertEqual(client.reply(), "NOTFOUND ")
            ended.join(sandbox.WAIT)
        self.assertFalse(mtastsd.running())

    def test_failed_fetch_waits_for_its_time_or_a_new_id(self):
        # RFC 8461 section 3.3: five minutes between attempts, unless the id changes.
        domain = "retry.test"
        dns = ScriptedDns(OTHER_DNS, ttl=1)
        self.addCleanup(dns.stop)
        self.publish(domain, status=404, dns=dns)
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": [OTHER_DNS]},
                              resolver={"recheck_min": "1s", "recheck_max": "1s"})

        def checks(count):
            return mtastsd.ask(domain) and len(dns.asked("_mta-sts." + domain, "TXT")) >= count

        self.assertEqual(mtastsd.ask(domain), "NOTFOUND ")
        self.assertEqual(self.web.requests(domain), [404])
        # The page is there now, but under the id whose fetch has failed.
        self.publish(domain, "mail.retry.test", dns=dns)
        self.web.apply()
        sandbox.wait_for(lambda: checks(3), "two more lookups of the record")
        self.assertEqual(mtastsd.ask(domain), "NOTFOUND ")
        self.assertEqual(self.web.requests(domain), [404])
        dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=2;")
        sandbox.wait_for(lambda: mtastsd.ask(domain) == secure("mail.retry.test"),
                         "the policy under a new id")
        self.assertEqual(self.web.requests(domain), [404, 200])

    def test_new_id_replaces_a_policy(self):
        domain = "renew.test"
        dns = ScriptedDns(OTHER_DNS, ttl=1)
        self.addCleanup(dns.stop)
        self.publish(domain, "old.renew.test", dns=dns)
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": [OTHER_DNS]},
                              resolver={"recheck_min": "1s", "recheck_max": "1s"})
        self.assertEqual(mtastsd.ask(domain), secure("old.renew.test"))
        self.web.replace(domain, web.policy_text("new.renew.test"))
        dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=2;")
        sandbox.wait_for(lambda: mtastsd.ask(domain) == secure("new.renew.test"), "the new policy")
        self.web.replace(domain, web.policy_text(mode="none"))
        dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=3;")
        sandbox.wait_for(lambda: mtastsd.ask(domain) == "NOTFOUND ", "the end of the policy")
        self.assertEqual(self.web.requests(domain), [200, 200, 200])

    def test_policy_hosts_that_do_not_count(self):
        issue = self.authority.issue
        good = web.policy_text("mail.fault.test")
        padding = "".join(f"x{number}: {'y' * 100}\r\n" for number in range(1000))
        cases = {  # domain: (what its policy host answers, requests that nginx has logged)
            "moved.test": (dict(status=301, location="https://mta-sts.target.test/.well-known/"
                                "mta-sts.txt"), [301]),
            "near.test": (dict(text=good, status=302, location="https://mta-sts.near.test/"
                               "elsewhere.txt"), [302]),
            "missing.test": (dict(text=good, status=404), [404]),
            "html.test": (dict(text=good, media_type="text/html"), [200]),
            "large.test": (dict(text=good + padding), None),
            "broken.test": (dict(text="version: STSv2\r\n" + good), [200]),
            "expired.test": (dict(text=good, certificate=issue(
                "mta-sts.expired.test", expired=True)), []),
            "name.test": (dict(text=good, certificate=issue("mta-sts.other.test")), []),
            "common.test": (dict(text=good, certificate=issue(
                "mta-sts.common.test", san=False)), []),
            "selfmade.test": (dict(text=good, certificate=issue(
                "mta-sts.selfmade.test", self_signed=True)), []),
        }
        for domain, (answer, _) in cases.items():
            self.publish(domain, **{"text": "", **answer})
        self.publish("target.test", "mail.target.test")
        self.publish("fault.test", text=good)
        self.web.apply()
        mtastsd = self.daemon()
        for domain, (_, requests) in cases.items():
            with self.subTest(domain):
                self.assertEqual(mtastsd.ask(domain), "NOTFOUND ")
                if requests is not None:
                    self.assertEqual(self.web.requests(domain), requests)
        self.assertEqual(self.web.requests("target.test"), [])
        self.assertEqual(mtastsd.ask("fault.test"), secure("mail.fault.test"))

    # DNS.

    def test_truncated_answer_is_asked_again_over_tcp(self):
        self.publish("tcp.test", "mail.tcp.test")
        self.dns.set_fault("_mta-sts.tcp.test", "TXT", "truncate")
        self.web.apply()
        self.assertEqual(self.daemon().ask("tcp.test"), secure("mail.tcp.test"))
        self.assertEqual(len(self.dns.asked("_mta-sts.tcp.test", "TXT", "tcp")), 1)

    def test_second_dns_server_where_the_first_is_dead(self):
        silent = ScriptedDns(OTHER_DNS)
        self.addCleanup(silent.stop)
        for label, first in (("closed", NOBODY), ("silent", OTHER_DNS), ("broken", OTHER_DNS)):
            with self.subTest(label):
                domain = label + ".second.test"
                self.publish(domain, "mail." + domain)
                fault = {"silent": "drop", "broken": "servfail"}.get(label)
                for name, rtype in (("_mta-sts." + domain, "TXT"), ("mta-sts." + domain, "A")):
                    silent.set_fault(name, rtype, fault)
                self.web.apply()
                mtastsd = self.daemon(dns={"servers": [first, DNS]})
                self.assertEqual(mtastsd.ask(domain, timeout=20), secure("mail." + domain))
                mtastsd.stop()
        self.assertTrue(silent.asked("_mta-sts.silent.second.test"))

    def test_failing_dns_does_not_count_as_no_policy_for_long(self):
        self.publish("flaky.test", "mail.flaky.test")
        self.dns.set_fault("_mta-sts.flaky.test", "TXT", "servfail")
        self.web.apply()
        mtastsd = self.daemon(resolver={"negative_min": "1s", "negative_max": "1s"})
        self.assertEqual(mtastsd.ask("flaky.test"), "NOTFOUND ")
        self.dns.set_fault("_mta-sts.flaky.test", "TXT", None)
        sandbox.wait_for(lambda: mtastsd.ask("flaky.test") == secure("mail.flaky.test"),
                         "the policy once DNS answers")

    def test_changed_resolv_conf_is_noticed(self):
        other = ScriptedDns(OTHER_DNS)
        self.addCleanup(other.stop)
        path = os.path.join(self.own_directory(), "resolv.conf")
        sandbox.write(path, f"nameserver {DNS}\n")
        mtastsd = self.daemon(dns={"servers": [], "resolv_conf": path})
        self.assertEqual(mtastsd.ask("first.resolv.test"), "NOTFOUND ")
        self.assertEqual(len(self.dns.asked("_mta-sts.first.resolv.test")), 1)
        sandbox.write(path, f"nameserver {OTHER_DNS}\n")
        numbers = iter(range(100000))
        sandbox.wait_for(lambda: mtastsd.ask(f"next{next(numbers)}.resolv.test")
                         and other.asked(rtype="TXT"), "a query to the new server")

    # The operator.

    def test_reload(self):
        self.publish("reload.test", "mail.reload.test", mode="testing")
        self.web.apply()
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask("reload.test", "strict"), "NOTFOUND ")
        sandbox.write(mtastsd.config, toml(self.settings()) + "\n[maps.strict]\nunknown = 1\n")
        mtastsd.reload()
        mtastsd.wait_log(r"event=not_reloaded .*mtastsd\.toml:\d+")
        self.assertEqual(mtastsd.ask("reload.test", "strict"), "NOTFOUND ")
        mtastsd.write_config(self.settings(maps__strict={"postfix_version": "3.7",
                                                         "enforce_testing": True}))
        mtastsd.reload()
        sandbox.wait_for(lambda: mtastsd.ask("reload.test", "strict")
                         == secure("mail.reload.test"), "the map of the new configuration")
        self.assertEqual(mtastsd.ask("reload.test"), "NOTFOUND ")

    def test_the_units_reload_looks_first(self):
        mtastsd = self.daemon()
        with open(UNIT, encoding="utf-8") as file:
            command = re.search(r"^ExecReload=/bin/sh -c '(.+)'$", file.read(), re.MULTILINE)[1]
        command = (command.replace("@CMAKE_INSTALL_FULL_SBINDIR@/mtastsd", self.program)
                   .replace("@MTASTSD_ARGUMENTS@", " --config " + mtastsd.config))

        def reload():
            return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True,
                                  timeout=60, env={**os.environ, "MAINPID": str(mtastsd.pid)})

        done = reload()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        mtastsd.wait_log("event=reloaded")
        sandbox.write(mtastsd.config, "[dns]\ntimeout = 5\n")
        done = reload()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("mtastsd.toml:2: ", done.stderr)
        self.assertNotIn("event=not_reloaded", mtastsd.log())  # it was not even asked

    # Alarms.

    def alarm(self, mtastsd, domain, status):
        """A refresh that fails: the event behind an alarm."""
        self.publish(domain, "mail." + domain)
        self.web.apply()
        self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        self.web.publish(domain, "", status=status)
        self.web.apply()
        mtastsd.command("refresh", domain=domain)
        mtastsd.wait_log(f"event=refresh_failing domain={domain} ")

    def notifier(self, text, path=None):
        path = path or os.path.join(self.own_directory(), "notify")
        sandbox.write(path, text)
        os.chmod(path, 0o755)
        return path

    def test_alarms(self):
        # The script asks for what the daemon may not do, and for what it must not inherit.
        out = os.path.join(self.own_directory(), "out")
        command = self.notifier('#!/bin/sh\ncat >> "$1"\nls /proc/self/fd | wc -l >> "$1"\n'
                                'env | grep -c SECRET >> "$1"; exit 0\n')
        with mock.patch.dict(os.environ, SECRET="1"):
            mtastsd = self.daemon(alarm={"command": [command, out]},
                                  control={"socket": os.path.join(self.own_directory(), "c")})
        self.alarm(mtastsd, "refresh.alarm.test", 404)
        lines = sandbox.wait_for(lambda: os.path.exists(out) and
                                 sandbox.read(out).count("\n") == 3 and
                                 sandbox.read(out).splitlines(), "the command to run")
        document = json.loads(lines[0])
        with open(ALARM_SCHEMA, encoding="utf-8") as file:
            jsonschema.Draft7Validator(json.load(file)).validate(document)
        self.assertEqual((document["alarm"], document["event"], document["domain"]),
                         ("refresh-fails", "refresh_failing", "refresh.alarm.test"))
        self.assertIn("404", document["reason"])
        # 0 to 2, and that of the directory which ls reads.
        self.assertEqual(lines[1:], ["4", "0"])
        self.assertNotIn("event=alarm_failed", mtastsd.log())

    def test_alarm_commands_that_are_of_no_use(self):
        """One that hangs and one that floods hold nothing up; one that is missing is named."""
        for name, text, said in (("hangs", "sleep 1000", None), ("floods", "yes; yes >&2", None),
                                 ("fails", "exit 7", "ended with status 7"), 
                                 ("missing", None, "cannot be run: No such file")):
            with self.subTest(name):
                path = os.path.join(self.own_directory(), name)
                if text is not None:
                    self.notifier(f"#!/bin/sh\n{text}\n", path)
                mtastsd = self.daemon(alarm={"command": [path]},
                                      control={"socket": os.path.join(self.own_directory(), "c")},
                                      cache={"directory": os.path.join(self.own_directory(), "cache-" + name)})
                if text is None:
                    mtastsd.wait_log("event=alarm_failed .*" + said)  # before it is needed
                self.alarm(mtastsd, name + ".alarm.test", 404)
                if said:
                    mtastsd.wait_log("event=alarm_failed .*" + said)
                for _ in range(20):
                    self.assertEqual(mtastsd.ask(name + ".alarm.test"),
                                     secure(f"mail.{name}.alarm.test"))
                mtastsd.stop(timeout=10)

    def test_the_manuals_examples_of_alarm_commands(self):
        with open(MANUAL, encoding="utf-8") as file:
            manual = file.read()
        blocks = re.findall(r"```\n(.*?)```", manual[manual.index("A webhook, without"):], re.DOTALL)
        webhook, mail = blocks[:2]
        received = []

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 8080), Hook)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        sink = smtp.SmtpSink("127.0.0.1", "localhost", None)
        self.addCleanup(sink.stop)

        command = json.loads(webhook.partition("command = ")[2])
        self.assertIn("https://hooks.example.com/mtastsd", command)
        command[-1] = "http://127.0.0.1:8080/mtastsd"
        script = self.notifier(mail)
        control = {"socket": os.path.join(self.own_directory(), "c")}
        for name, command in (("hook", command), ("mail", [script])):
            mtastsd = self.daemon(alarm={"command": command}, control=control,
                                  cache={"directory": os.path.join(self.own_directory(), name)})
            self.alarm(mtastsd, name + ".alarm.test", 404)
            if name == "hook":
                sandbox.wait_for(lambda: received, "the webhook")
                self.assertEqual(received[0]["domain"], "hook.alarm.test")
            else:
                sandbox.wait_for(lambda: sink.deliveries("postmaster@example.com"), "the mail")
                body = sink.deliveries("postmaster@example.com")[0].body.decode()
                self.assertIn("Subject: mtastsd: refresh-fails", body)
                self.assertIn('"domain":"mail.alarm.test"', body)
            self.assertNotIn("event=alarm_failed", mtastsd.log())
            mtastsd.stop()

    def test_check_config(self):
        path = os.path.join(self.own_directory(), "mtastsd.toml")
        good = self.settings()
        cases = [
            ("good", toml(good), True, ""),
            ("not toml", "[socketmap\n", False, "mtastsd.toml:1"),
            ("unknown key", toml(good) + "[dns.more]\nx = 1\n", False, "mtastsd.toml:"),
            ("unknown section", "[socketmaps]\n", False, "socketmaps"),
            ("wrong type", "[socketmap]\nlisten = 5\n", False, "mtastsd.toml:2"),
            ("bare number", "[dns]\ntimeout = 5\n", False, "mtastsd.toml:2"),
            ("contradiction", '[resolver]\nrecheck_min = "2h"\nrecheck_max = "1h"\n', False,
             "recheck_m"),
            ("no such group", '[socketmap]\nsocket_group = "nobody-here"\n', False,
             "nobody-here"),
            ("no such file", '[https]\nca_file = "/nonexistent.pem"\n', False,
             "/nonexistent.pem"),
            ("alarm", '[alarm]\ncommand = ["/nonexistent/x"]\n', False, "alarm.command: /nonexistent/x"),
            ("another server's", "---\nhost: 127.0.0.1\nport: 8461\n", False, "this is YAML"),
        ]
        for label, text, accepted, words in cases:
            with self.subTest(label):
                sandbox.write(path, text)
                status, output = self.run_daemon("--check-config", "--config", path)
                self.assertEqual(status == 0, accepted, output)
                self.assertIn(words, output)
                if not accepted and label not in ("no such file", "alarm"):
                    started, refusal = self.run_daemon("--config", path)
                    self.assertNotEqual(started, 0)
                    self.assertIn(words, refusal)
        sandbox.write(path, '[dns]\ntimeout = "1s"\n[log]\nlevel = "warn"\n')
        with mock.patch.dict(os.environ, MTASTSD_DNS_TIMEOUT="2s"):
            status, output = self.run_daemon("--check-config", "--config", path)
        self.assertEqual(status, 0, output)
        self.assertIn('\ndns.timeout = "2s" (MTASTSD_DNS_TIMEOUT)\n'
                      f'log.level = "warn" ({path}:4)\n'
                      'All other settings have their defaults.\n', output)
        # All addresses are a warning, and a file that the daemon's user cannot read is an error.
        sandbox.write(path, '[socketmap]\nlisten = ["inet:0.0.0.0:8461"]\n')
        status, output = self.run_daemon("--check-config", "--config", path)
        self.assertEqual(status, 0, output)
        self.assertIn("warning: socketmap.listen: inet:0.0.0.0:8461 is every address", output)
        sandbox.write(path, '[daemon]\nuser = "nobody"\n')
        os.chmod(path, 0o600)
        status, output = self.run_daemon("--check-config", "--config", path)
        self.assertEqual(status, 1, output)
        self.assertIn(f'mtastsd: {path}: the user "nobody"', output)
        readable = os.path.join("/tmp", f"mtastsd-readable-{os.getpid()}.toml")
        self.addCleanup(os.unlink, readable)
        sandbox.write(readable, '[daemon]\nuser = "nobody"\n')
        os.chmod(readable, 0o644)
        self.assertEqual(self.run_daemon("--check-config", "--config", readable)[0], 0)
        status, output = self.run_daemon("--check-config", "--config", path + ".missing")
        self.assertNotEqual(status, 0)
        self.assertIn(path + ".missing", output)

    def test_settings_of_the_environment(self):
        path = os.path.join(self.own_directory(), "from-the-environment")
        with mock.patch.dict(os.environ, MTASTSD_CONTROL_SOCKET=path, MTASTSD_LOG_FORMAT="json"):
            mtastsd = self.daemon()
            status, output = run_to_end(OPTIONS.mtastsctl, ["status"])
            self.assertEqual(status, 0, output)
        self.assertIn('"event":"started"', mtastsd.log())
        with mock.patch.dict(os.environ, MTASTSD_LOG_FORMT="json"):
            for program, arguments in ((self.program, []), (OPTIONS.mtastsctl, ["status"])):
                status, output = run_to_end(program, arguments)
                self.assertNotEqual(status, 0)
                self.assertIn("MTASTSD_LOG_FORMT: there is no such setting; "
                              "did you mean MTASTSD_LOG_FORMAT?", output)

    def test_mtastsctl_query(self):
        self.publish("ctl.test", "mail.ctl.test")
        self.web.apply()
        self.daemon()

        def query(*arguments):
            return run_to_end(OPTIONS.mtastsctl, ["query", *arguments])

        status, output = query("ctl.test", "--server", INET)
        self.assertEqual(status, 0, output)
        self.assertIn("secure match=mail.ctl.test servername=hostname", output)
        status, output = query("ctl.test", "--server", INET, "--map", "QUERYwithTLSRPT")
        self.assertEqual(status, 0, output)
        self.assertIn("policy_type=sts", output)
        status, output = query("other.test", "--server", INET)
        self.assertEqual(status, 1, output)
        status, output = query("ctl.test", "--server", f"inet:{NOBODY}:8461")
        self.assertEqual(status, 2, output)
        self.assertIn(NOBODY, output)


def main():
    global OPTIONS  # the test class is made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("--mtastsctl", required=True, help="the operator's tool")
    parser.add_argument("names", nargs="*", help="DaemonTest.test_...; all by default")
    OPTIONS = parser.parse_args()
    DaemonTest.program = OPTIONS.mtastsd
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + OPTIONS.names, verbosity=2)


if __name__ == "__main__":
    main()
