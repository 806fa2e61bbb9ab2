#!/usr/bin/env python3
"""mtastsctl check of every domain in tests/domains/table.json, against real servers.

    domains_test.py --mtastsctl PATH [--show] [NAME...]

Each row is a domain of its own, r1.test and so on: DNS from a scripted server, nginx at three
addresses as policy hosts, and mail servers with one fault each. tests/domains/README.md describes
the table, which tests/unit/check/domains_test.cc walks over facts.
"""

import argparse
import concurrent.futures
import json
import os
import ssl
import sys
import unittest
import warnings

from testenv import pki, sandbox, web
from testenv.daemon import run_to_end, toml
from testenv.dns import ScriptedDns
from testenv.smtp import SmtpSink

DNS = "127.0.0.53"
POLICY_HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
CLOSED = "127.0.0.99"
PROVIDERS_POLICY = "mta-sts.provider.test"
MAIL = {"good": "127.0.1.1", "good2": "127.0.1.2", "plain": "127.0.1.3", "plain2": "127.0.1.4",
        "expired": "127.0.1.5", "name": "127.0.1.6", "self": "127.0.1.7", "old": "127.0.1.8",
        "closed": CLOSED}
AT_ONCE = 3
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../domains/table.json")
OPTIONS = None


def rows():
    with open(TABLE, encoding="utf-8") as file:
        return json.load(file)


class Row:
    """A domain of the table with its servers."""

    def __init__(self, number, row):
        self.domain = f"r{number}.test"
        self.name, self.row = row["name"], row
        self.set_up = row["set"]

    def get(self, key, default):
        return self.set_up.get(key, default)

    def filled(self, text):
        return text.replace("{d}", self.domain)

    def mail_hosts(self):
        mail = self.get("mail", [{"mx": "mx.{d}"}])
        if mail == "implicit":
            return [{"mx": self.domain, "at": ["good"]}]
        if isinstance(mail, str):
            return []
        return [{"mx": self.filled(host["mx"]), "at": host.get("at", ["good"]),
                 "alias": self.filled(host.get("alias", ""))} for host in mail]

    def policy(self):
        if "text" in self.set_up:
            return self.filled(self.set_up["text"])
        text = web.policy_text(*(self.filled(mx) for mx in self.get("mx", ["mx.{d}"])),
                               mode=self.get("mode", "enforce"),
                               max_age=self.get("max_age", 1209600))
        return text + "x: y\r\n" * self.get("padding", 0)


class DomainsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = sandbox.scratch_directory()
        cls.authority = pki.Authority(os.path.join(cls.directory, "pki"))
        cls.rows = [Row(number, row) for number, row in enumerate(rows(), 1)
                    if not OPTIONS.names or row["name"] in OPTIONS.names]
        cls.dns = ScriptedDns(DNS)
        cls.addClassCleanup(cls.dns.stop)
        cls.config = os.path.join(cls.directory, "check.toml")
        sandbox.write(cls.config, toml({
            "dns": {"servers": [DNS]},
            "https": {"ca_file": cls.authority.cert, "allow_local_addresses": True},
            "cache": {"directory": os.path.join(cls.directory, "no-cache")}}))
        cls.start_policy_hosts()
        cls.start_mail_servers()
        validated = [""]
        for row in cls.rows:
            cls.publish(row)
            if row.get("tlsa", None) == "signed":
                validated += [row.domain, "_25._tcp.mx." + row.domain]
        cls.dns.validate(*validated)
        for server in cls.web:
            server.apply()

    @classmethod
    def start_policy_hosts(cls):
        cls.web = []
        for number, address in enumerate(POLICY_HOSTS):
            server = web.PolicyServer(os.path.join(cls.directory, f"web{number}"), cls.authority,
                                      address=address)
            cls.addClassCleanup(server.stop)
            cls.web.append(server)
        names = ["mta-sts." + row.domain for row in cls.rows]
        cls.certificates = {
            "good": cls.authority.issue(*names),
            "cert_expired": cls.authority.issue(*names, expired=True),
            "cert_self": cls.authority.issue(*names, self_signed=True),
            "cert_name": cls.authority.issue("www.provider.test"),
            "apex": cls.authority.issue(*(row.domain for row in cls.rows), *names)}

    @classmethod
    def start_mail_servers(cls):
        names = ["mx.other.test", "a.mail.provider.test", "b.mail.provider.test"]
        for row in cls.rows:
            names += [host["mx"] for host in row.mail_hosts()
                      if row.get("smtp", False) and host["mx"] not in names]
        issue = cls.authority.issue
        certificates = {"good": issue(*names), "expired": issue(*names, expired=True),
                        "name": issue("www.provider.test"), "self": issue(*names, self_signed=True)}
        for kind, address in MAIL.items():
            if kind == "closed":
                continue
            certificate = certificates.get(kind.rstrip("2"), certificates["good"])
            sink = SmtpSink(address, "mx.test", None if kind.startswith("plain") else certificate)
            cls.addClassCleanup(sink.stop)
            if kind == "old":
                sink.limit_to(ssl.TLSVersion.TLSv1_1)

    @classmethod
    def publish(cls, row):
        if row.get("mail", None) == "nodomain":
            return
        cls.publish_record(row)
        cls.publish_policy_host(row)
        cls.publish_mail(row)
        tlsrpt = row.get("tlsrpt", ["v=TLSRPTv1; rua=mailto:reports@{d}"])
        cls.publish_texts("_smtp._tls." + row.domain, row, tlsrpt)

    @classmethod
    def publish_texts(cls, name, row, texts):
        if texts == "servfail":
            cls.dns.set_fault(name, "TXT", "servfail")
        elif texts:
            cls.dns.set(name, "TXT", *map(row.filled, texts))

    @classmethod
    def publish_record(cls, row):
        name = "_mta-sts." + row.domain
        record = row.get("record", ["v=STSv1; id=20261101000000;"])
        alias = row.get("record_alias", None)
        if alias:
            target = alias if row.get("dangling", False) else f"{row.domain}.{alias}"
            cls.dns.set(name, "CNAME", target)
            name = target
        cls.publish_texts(name, row, record)
        if "record_ttl" in row.set_up:
            cls.dns.set_ttl(name, row.set_up["record_ttl"])
        if "apex_text" in row.set_up:
            cls.publish_texts(row.domain, row, row.set_up["apex_text"])

    @classmethod
    def publish_policy_host(cls, row):
        name = "mta-sts." + row.domain
        kinds = row.get("host", ["good"])
        alias = row.get("host_alias", None)
        if alias:
            target = f"{row.domain}.{alias}" if kinds else alias
            cls.dns.set(name, "CNAME", target)
            name = target
        if kinds == "servfail":
            cls.dns.set_fault(name, "A", "servfail")
            cls.dns.set_fault(name, "AAAA", "servfail")
            return
        addresses = [CLOSED if kind == "closed" else address
                     for kind, address in zip(kinds, POLICY_HOSTS)]
        if kinds == ["closed", "closed"]:
            addresses = [CLOSED, "127.0.0.98"]
        if addresses:
            cls.dns.set(name, "A", *addresses)
        for kind, server in zip(kinds, cls.web):
            if kind != "closed":
                server.publish(row.domain, *cls.answer(row, kind)[0], **cls.answer(row, kind)[1])
        if row.get("apex_policy", False):
            cls.dns.set(row.domain, "A", POLICY_HOSTS[2])
            cls.web[2].publish(row.domain, row.policy(), certificate=cls.certificates["apex"],
                               host=row.domain)

    @classmethod
    def answer(cls, row, kind):
        """The text and the way in which a policy host gives it."""
        certificate = cls.certificates["good"]
        text, options = row.policy(), {}
        if kind == "cert_bare":
            certificate = cls.authority.issue("mta-sts." + row.domain, san=False)
        elif kind == "cert_apex":
            certificate = cls.authority.issue(row.domain)
        elif kind.startswith("cert_"):
            certificate = cls.certificates[kind]
        elif kind.startswith("status_"):
            text, options = "gone", {"status": int(kind[len("status_"):])}
        elif kind == "redirect":
            options = {"status": 301, "location": f"https://www.{row.domain}/"}
        elif kind == "media_html":
            options = {"media_type": "text/html"}
        elif kind == "media_binary":
            options = {"media_type": "application/octet-stream"}
        elif kind == "other_policy":
            text = web.policy_text("mx." + row.domain, mode="testing", max_age=1209600)
        else:
            assert kind == "good", kind
        return (text,), {"certificate": certificate, **options}

    @classmethod
    def publish_mail(cls, row):
        mail = row.get("mail", None)
        if mail == "servfail":
            cls.dns.set_fault(row.domain, "MX", "servfail")
        elif mail == "null":
            cls.dns.set(row.domain, "MX", "0 .")
        hosts = row.mail_hosts()
        if hosts and mail != "implicit":
            cls.dns.set(row.domain, "MX", *(f"{number}0 {host['mx']}"
                                            for number, host in enumerate(hosts, 1)))
        for host in hosts:
            name = host["mx"]
            if host.get("alias"):
                cls.dns.set(name, "CNAME", host["alias"])
                name = host["alias"]
            if host["at"]:
                cls.dns.set(name, "A", *(MAIL[kind] for kind in host["at"]))
            if "tlsa" in row.set_up:
                cls.dns.set("_25._tcp." + name, "TLSA", "3 1 1 " + "ab" * 32)

    def test_table(self):
        self.assertGreaterEqual(len(self.rows), 150 if not OPTIONS.names else 1)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for row, seen in zip(self.rows, pool.map(self.look, self.rows)):
                if OPTIONS.show:
                    print(json.dumps({"name": row.name, "set": row.set_up, **seen},
                                     ensure_ascii=False))
                    continue
                with self.subTest(row.name, domain=row.domain):
                    self.assertEqual(seen, {key: row.row[key] for key in seen})

    def look(self, row):
        options = ["--smtp"] if row.get("smtp", False) else []
        status, output = run_to_end(
            OPTIONS.mtastsctl,
            ["check", "--config", self.config, "--format", "jsonl", *options, row.domain],
            timeout=60)
        report = json.loads(output)
        says = report["summary"].removeprefix(row.domain + ": ")
        return {"codes": [finding["code"] for finding in report["findings"]],
                "verdict": report["verdict"], "says": says, "score": report["score"]["total"],
                "status": status}


def main():
    global OPTIONS  # the test class is made by unittest, not by us
    warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.1, which is the point
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsctl", required=True, help="the operator's tool")
    parser.add_argument("--show", action="store_true", help="print the rows as they are seen")
    parser.add_argument("names", nargs="*", help="names of rows; all by default")
    OPTIONS = parser.parse_args()
    sandbox.enter()
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
