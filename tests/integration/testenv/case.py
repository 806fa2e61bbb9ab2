"""What tests of the running daemon start from."""

import os
import unittest

from . import pki, sandbox, web
from .daemon import Mtastsd, run_to_end
from .dns import ScriptedDns

INET = "inet:127.0.0.1:8461"
DNS, OTHER_DNS, NOBODY = "127.0.0.53", "127.0.0.54", "127.0.0.99"
BLACKHOLE = "127.0.0.66"


def secure(*match):
    return f"OK secure match={':'.join(match)} servername=hostname"


class DaemonCase(unittest.TestCase):
    """A DNS server and a policy server for all tests of a class, and an mtastsd for each."""

    program = None  # the mtastsd to test

    @classmethod
    def setUpClass(cls):
        cls.directory = sandbox.scratch_directory()
        cls.authority = pki.Authority(os.path.join(cls.directory, "pki"))
        cls.dns = ScriptedDns(DNS)
        cls.addClassCleanup(cls.dns.stop)
        cls.web = web.PolicyServer(os.path.join(cls.directory, "web"), cls.authority)
        cls.addClassCleanup(cls.web.stop)

    def settings(self, **sections):
        """What every test starts from, with sections extended."""
        settings = {
            "socketmap": {"listen": [INET]},
            "dns": {"servers": [DNS]},
            "https": {"ca_file": self.authority.cert, "allow_local_addresses": True},
            "resolver": {},
            "cache": {"directory": os.path.join(self.own_directory(), "cache")},
            "log": {"level": "debug"},
        }
        for name, values in sections.items():
            settings[name.replace("__", ".")] = {**settings.get(name, {}), **values}
        return settings

    def own_directory(self):
        path = os.path.join(self.directory, self.id().rpartition(".")[2][:40])
        os.makedirs(path, exist_ok=True)
        return path

    def daemon(self, **sections):
        """A running mtastsd that has to end cleanly after the test."""
        mtastsd = Mtastsd(self.program, self.own_directory(), self.settings(**sections))
        self.addCleanup(mtastsd.stop)
        return mtastsd.start()

    def publish(self, domain, *mx, text=None, policy_id="1", address="127.0.0.1", dns=None,
                mode="enforce", **answer):
        """A record, an address and a policy."""
        dns = dns or self.dns
        dns.set("_mta-sts." + domain, "TXT", f"v=STSv1; id={policy_id};")
        dns.set("mta-sts." + domain, "A", address)
        self.web.publish(domain, web.policy_text(*mx, mode=mode) if text is None else text,
                         **answer)

    def run_daemon(self, *arguments):
        return run_to_end(self.program, arguments)
