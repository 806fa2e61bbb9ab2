"""What the tests with a real Postfix share: all that a message and a policy pass through.

The caller is in a network namespace of its own (sandbox.enter). In there the system's resolver is
the given DNS server, its store of trusted certificates is a throw-away CA, policy hosts answer on
port 443 and mail servers on port 25 of loopback addresses.
"""

import os

from testenv import pki, sandbox, smtp, web
from testenv.daemon import Mtastsd
from testenv.postfix import Postfix

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER = "inet:127.0.0.1:8461"


class MailWorld:
    """`make_dns` makes the DNS server from a directory, `adapt` main.cf from the piece for this
    Postfix."""

    def __init__(self, directory, make_dns, adapt=lambda piece: piece):
        self.directory = directory
        self.version = Postfix.version()
        self.modern = self.version >= (3, 10)
        name = "main.cf.postfix-3.10" if self.modern else "main.cf.postfix-3.4"
        self.main_cf = adapt(sandbox.read(os.path.join(HERE, name)))
        self._sinks = {}
        self.authority = pki.Authority(os.path.join(directory, "pki"))
        sandbox.cover("/etc/resolv.conf", "nameserver 127.0.0.1\n", directory)
        sandbox.cover("/etc/hosts", "127.0.0.1 localhost\n", directory)
        sandbox.cover("/etc/ssl/certs/ca-certificates.crt",
                      sandbox.read(self.authority.cert), directory)
        self.dns = make_dns(os.path.join(directory, "dns"))
        self.web = web.PolicyServer(os.path.join(directory, "web"), self.authority)
        self.postfix = Postfix(os.path.join(directory, "postfix"), self.main_cf)

    def make_server(self, program, name, socketmap, more, resolver=None):
        """An mtastsd that looks again after a second."""
        directory = os.path.join(self.directory, name)
        return Mtastsd(program, directory, {
            "socketmap": socketmap,
            "https": {"allow_local_addresses": True},
            "resolver": {"recheck_min": "1s", "recheck_max": "1s", "negative_min": "1s",
                         "negative_max": "1s", "retry_interval": "1s"} | (resolver or {}),
            "cache": {"directory": os.path.join(directory, "cache")},
            "log": {"level": "debug"},
        } | more)

    def start(self):
        self.dns.apply()
        self.web.apply()
        self.start_server()
        self.postfix.start()

    def stop(self):
        self.postfix.stop()
        self.stop_server()
        self.web.stop()
        self.dns.stop()
        for sink in self._sinks.values():
            sink.stop()

    def start_server(self):
        raise NotImplementedError

    def stop_server(self):
        raise NotImplementedError

    def mail_server(self, host, certificate):
        """A mail server of that name at an address of its own."""
        address = f"127.0.1.{len(self._sinks) + 11}"
        self._sinks[host] = smtp.SmtpSink(address, host, certificate)
        self.dns.set(host, "A", address)

    def sink(self, host):
        return self._sinks[host]

    def mx(self, domain, *hosts):
        self.dns.set(domain, "MX", *(f"{10 * (i + 1)} {host}" for i, host in enumerate(hosts)))

    def policy(self, domain, text, policy_id="1"):
        self.dns.set("_mta-sts." + domain, "TXT", f"v=STSv1; id={policy_id};")
        self.dns.set("mta-sts." + domain, "A", "127.0.0.1")
        self.web.publish(domain, text)

    def remove_policy(self, domain):
        self.dns.remove("_mta-sts." + domain, "TXT")
        self.dns.remove("mta-sts." + domain, "A")
        self.web.withdraw(domain)
