#!/usr/bin/env python3
"""The pages and metrics of [http], from the real mtastsd, with DNS and policy servers on loopback.

    pages_test.py --mtastsd PATH [test...]

Rules and dashboard of contrib/ are held to the metrics that the daemon has.
"""

import argparse
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

from testenv import sandbox
from testenv.case import INET, DaemonCase, secure

PAGES = "inet:127.0.0.1:8460"
CONTRIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib")


class PagesTest(DaemonCase):
    def daemon(self, **sections):
        http = {"listen": [PAGES], **sections.pop("http", {})}
        return super().daemon(http=http, **sections)

    def get(self, path, **headers):
        """(status, text)"""
        request = urllib.request.Request("http://127.0.0.1:8460" + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=sandbox.WAIT) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def page(self, path, **headers):
        status, text = self.get(path, **headers)
        self.assertEqual(status, 200, text)
        return text

    def metrics(self):
        """{"name{labels}": value}"""
        found = {}
        for line in self.page("/metrics").splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    # The listener.

    def test_healthy_and_ready(self):
        self.daemon()
        self.assertEqual(self.get("/healthz"), (200, "alive\n"))
        self.assertEqual(self.get("/readyz"), (200, "ready\n"))
        self.assertEqual(self.get("/nothing")[0], 404)

    def test_without_authorities_it_is_not_ready(self):
        self.daemon(https={"ca_file": "/nonexistent.pem"})
        status, text = self.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("no policy can be fetched", text)
        self.assertEqual(self.get("/healthz")[0], 200)

    def test_nothing_listens_by_default(self):
        DaemonCase.daemon(self)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 8460))

    def test_a_port_that_is_taken_does_not_stop_the_daemon(self):
        with socket.create_server(("127.0.0.1", 8460)):
            mtastsd = self.daemon()
            mtastsd.wait_log("http_listen_failed.*8460.*Address already in use")
            self.assertEqual(mtastsd.ask(".example"), "NOTFOUND ")

    def test_a_unix_socket_is_for_a_group(self):
        path = os.path.join(self.own_directory(), "pages.sock")
        self.daemon(http={"listen": ["unix:" + path], "socket_group": "daemon"})
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_a_flood_keeps_nobody_waiting(self):
        """Half requests, and requests whose replies nobody takes, on all connections."""
        self.publish("known.test", "mail.known.test")
        self.web.apply()
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask("known.test"), secure("mail.known.test"))
        stop = threading.Event()

        def flood(request):
            while not stop.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", 8460), timeout=1) as client:
                        client.sendall(request)
                        stop.wait(0.05)
                except OSError:
                    pass

        threads = [threading.Thread(target=flood, args=(request,)) for request in
                   20 * [b"GET /metr"] + 20 * [b"GET /metrics HTTP/1.1\r\n\r\n"]]
        for thread in threads:
            thread.start()
        try:
            worst = 0
            for _ in range(100):
                began = time.monotonic()
                self.assertEqual(mtastsd.ask("known.test"), secure("mail.known.test"))
                worst = max(worst, time.monotonic() - began)
            self.assertLess(worst, 1)
            answered = sum(self.tried("/healthz") for _ in range(20))
            self.assertGreater(answered, 10)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def tried(self, path):
        try:
            return self.get(path)[0] == 200
        except OSError:
            return False

    # Metrics.

    def test_metrics_count_what_happens(self):
        self.publish("a.test", "mail.a.test")
        self.publish("b.test", text="nonsense")
        self.web.apply()
        mtastsd = self.daemon()
        for key, reply in (("a.test", secure("mail.a.test")), ("a.test", secure("mail.a.test")),
                           ("b.test", "NOTFOUND "), ("c.test", "NOTFOUND "),
                           (".parent.test", "NOTFOUND ")):
            self.assertEqual(mtastsd.ask(key), reply)
        mtastsd.wait_stored("a.test")
        found = self.metrics()
        for name, value in {
                'mtastsd_policy_total{policy="secure"}': 2,
                'mtastsd_cache_requests_total{result="hit"}': 1,
                'mtastsd_cache_requests_total{result="miss"}': 3,
                'mtastsd_fetch_failures_total{type="sts-policy-invalid"}': 1,
                "mtastsd_lookup_seconds_count": 3,
                "mtastsd_answer_seconds_count": 3,
                'mtastsd_dns_server_up{server="127.0.0.53:53"}': 1,
                "mtastsd_cache_writable": 1,
        }.items():
            self.assertEqual(found.get(name), value, name)
        self.assertGreater(found["process_open_fds"], 5)
        self.assertGreater(found["process_resident_memory_bytes"], 1 << 20)

    def test_promtool_finds_nothing_wrong_with_the_metrics(self):
        self.need("promtool")
        self.daemon()
        done = subprocess.run(["promtool", "check", "metrics"], input=self.page("/metrics"),
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_rules_and_dashboard_name_metrics_that_there_are(self):
        self.daemon()
        sandbox.wait_for(lambda: "mtastsd_policies" in self.page("/metrics"), "a census")
        text = self.page("/metrics")
        known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
        known |= {name + "_bucket" for name in known}
        for path in ("prometheus/mtastsd.rules.yml", "grafana/mtastsd.json"):
            content = sandbox.read(os.path.join(CONTRIB, path))
            used = set(re.findall(r"\b(?:mtastsd|process)_[a-z_]+", content))
            self.assertGreater(len(used), 10)
            self.assertEqual(used - known, set(), path)
        panels = json.loads(sandbox.read(os.path.join(CONTRIB, "grafana/mtastsd.json")))["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))

    def test_rules_alert_when_they_are_meant_to(self):
        self.need("promtool")
        for command in (["check", "rules", "mtastsd.rules.yml"],
                        ["test", "rules", "mtastsd.rules.test.yml"]):
            done = subprocess.run(["promtool", *command], cwd=os.path.join(CONTRIB, "prometheus"),
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_alert_is_in_the_manual(self):
        manual = sandbox.read(os.path.join(CONTRIB, "man/mtastsd.8.scd"))
        rules = sandbox.read(os.path.join(CONTRIB, "prometheus/mtastsd.rules.yml"))
        alerts = re.findall(r"- alert: (\S+)", rules)
        self.assertGreater(len(alerts), 5)
        self.assertEqual(re.findall(r"^\*(Mtastsd\w+)\*$", manual, re.MULTILINE), alerts)

    # The pages.

    def test_a_visitor_goes_from_the_overview_to_a_domain(self):
        self.publish("a.test", "mail.a.test")
        self.publish("b.test", "mail.b.test", mode="testing")
        self.web.apply()
        mtastsd = self.daemon()
        for key in ("a.test", "b.test", "c.test"):
            mtastsd.ask(key)
            mtastsd.wait_stored(key)
        self.assertIn("All is well.", self.page("/"))
        every = self.page("/policies?state=all")
        for domain in ("a.test", "b.test", "c.test"):
            self.assertIn(f'href="/domain/{domain}"', every)
        testing = self.page("/policies?state=testing")
        self.assertIn(">b.test<", testing)
        self.assertNotIn(">a.test<", testing)
        domain = self.page("/domain/a.test")
        self.assertIn(secure("mail.a.test"), domain)
        self.assertIn("mx: mail.a.test\n", domain)
        # Opening a page looks nothing up.
        self.assertIn("Nothing is known of this domain.", self.page("/domain/d.test"))
        self.assertEqual(self.dns.asked("_mta-sts.d.test", "TXT"), [])

    def test_a_browser_shows_what_strangers_wrote_as_text(self):
        self.need("chromium")
        hostile = "v=STSv1; id=<script>alert(1)</script>;"
        self.dns.set("_mta-sts.evil.test", "TXT", hostile)
        mtastsd = self.daemon()
        mtastsd.ask("evil.test")
        mtastsd.wait_stored("evil.test")
        for path in ("/domain/evil.test", "/policies?state=all&name=%22%3E%3Cscript%3E",
                     "/domain/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/"):
            dom = self.in_browser(path)
            scripts = re.findall(r"<script[^>]*>", dom)
            self.assertEqual(scripts, ['<script src="/update.js" defer="">'], path)
            # The style sheet was let in by the Content-Security-Policy.
            self.assertIn("<h1", dom)

    def in_browser(self, path):
        """The page as Chromium has understood it."""
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
             "--user-data-dir=" + os.path.join(self.own_directory(), "chromium"),
             "http://127.0.0.1:8460" + path],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done.stdout

    def need(self, program):
        if not shutil.which(program):
            self.skipTest(f"needs {program} (Debian: prometheus has promtool, chromium itself)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("names", nargs="*", help="PagesTest.test_...; all by default")
    options = parser.parse_args()
    PagesTest.program = options.mtastsd
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + options.names, verbosity=2)


if __name__ == "__main__":
    main()
