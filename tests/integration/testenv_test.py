#!/usr/bin/env python3
"""The test environment by itself, without mtastsd: when this fails, mistrust the other tests."""

import os
import socket
import ssl
import unittest

from testenv import pki, sandbox, smtp, socketmap, web
from testenv.dns import Nsd, ScriptedDns, soa_serial


def fetch(domain, authority, address="127.0.0.1", sni=True):
    context = ssl.create_default_context(cafile=authority.cert)
    context.check_hostname = sni
    host = "mta-sts." + domain
    with socket.create_connection((address, 443), timeout=sandbox.WAIT) as raw:
        with context.wrap_socket(raw, server_hostname=host if sni else None) as tls:
            tls.sendall(f"GET /.well-known/mta-sts.txt HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            data = b""
            while part := tls.recv(4096):
                data += part
    return data.decode()


class TestEnvironment(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = sandbox.scratch_directory()
        cls.authority = pki.Authority(os.path.join(cls.directory, "pki"))

    def test_certificates_by_name(self):
        context = ssl.create_default_context(cafile=self.authority.cert)
        context.hostname_checks_common_name = False
        cases = [
            ("good", "a.test", dict(), True),
            ("another name", "b.test", dict(), False),
            ("common name alone", "a.test", dict(san=False), False),
            ("expired", "a.test", dict(expired=True), False),
            ("self-signed", "a.test", dict(self_signed=True), False),
        ]
        for number, (label, host, options, accepted) in enumerate(cases):
            with self.subTest(label):
                address = f"127.0.1.{number + 1}"
                sink = smtp.SmtpSink(address, host, self.authority.issue("a.test", **options))
                self.addCleanup(sink.stop)
                with socket.create_connection((address, 25), timeout=sandbox.WAIT) as raw:
                    raw.recv(1000)
                    raw.sendall(b"EHLO x\r\n")
                    self.assertIn(b"STARTTLS", raw.recv(1000) + raw.recv(1000))
                    raw.sendall(b"STARTTLS\r\n")
                    self.assertTrue(raw.recv(1000).startswith(b"220"))
                    if accepted:
                        context.wrap_socket(raw, server_hostname=host).close()
                    else:
                        with self.assertRaises(ssl.SSLCertVerificationError):
                            context.wrap_socket(raw, server_hostname=host)

    def test_nsd_answers_with_the_latest_zone(self):
        nsd = Nsd(os.path.join(self.directory, "nsd"))
        self.addCleanup(nsd.stop)
        nsd.apply()
        nsd.set("a.test", "TXT", "x" * 300)
        nsd.set("a.test", "MX", "10 mail.a.test")
        nsd.apply()
        self.assertEqual(soa_serial("127.0.0.1"), 2)
        nsd.stop()
        self.assertIsNone(soa_serial("127.0.0.1"))

    def test_scripted_dns_counts(self):
        server = ScriptedDns("127.0.0.9")
        self.addCleanup(server.stop)
        self.assertIsNone(soa_serial("127.0.0.9"))
        self.assertEqual(len(server.asked("", "SOA", "udp")), 1)

    def test_nginx_by_name_and_count(self):
        server = web.PolicyServer(os.path.join(self.directory, "web"), self.authority)
        self.addCleanup(server.stop)
        server.publish("a.test", web.policy_text("mail.a.test"))
        server.publish("gone.test", "", status=404)
        server.publish("moved.test", "", status=302, location="https://mta-sts.a.test/")
        server.apply()
        self.assertIn("mx: mail.a.test", fetch("a.test", self.authority))
        server.replace("a.test", web.policy_text("mx2.a.test"))
        self.assertIn("mx: mx2.a.test", fetch("a.test", self.authority))
        self.assertIn(" 404 ", fetch("gone.test", self.authority))
        self.assertIn("Location: https://mta-sts.a.test/", fetch("moved.test", self.authority))
        self.assertEqual(server.requests("a.test"), [200, 200])
        with self.assertRaises(ssl.SSLError):
            fetch("a.test", self.authority, sni=False)
        gate = web.Gate("127.0.0.8", ("127.0.0.1", 443))
        self.addCleanup(gate.close)
        gate.open()
        self.assertIn("mx2", fetch("a.test", self.authority, "127.0.0.8"))

    def test_socketmap_client_and_fixed_server(self):
        address = "inet:127.0.0.1:8461"
        server = socketmap.FixedServer(address, {"a.test": "OK secure"})
        self.addCleanup(server.stop)
        with socketmap.Client(address) as client:
            self.assertEqual(client.ask("a.test"), "OK secure")
            self.assertEqual(client.ask("b.test"), "NOTFOUND ")


if __name__ == "__main__":
    sandbox.enter()
    unittest.main(verbosity=2)
