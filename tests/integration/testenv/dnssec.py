"""Signed zones on nsd, and a resolver in front of it that validates."""

import os
import re

from . import sandbox
from .dns import Nsd, soa_serial


class SignedDns(Nsd):
    """As Nsd, with everything signed but what is below the names in `unsigned`. The resolver, at
    `resolver` and at the addresses of `also`, is an unbound; nsd itself is at `address`."""

    def __init__(self, directory, unsigned=(), resolver="127.0.0.1", also=(),
                 address="127.0.0.2"):
        super().__init__(directory, address)
        self._unsigned, self._resolver, self._also = tuple(unsigned), resolver, tuple(also)
        self._broken = set()
        self._unbound_child = None
        self._unbound = sandbox.program("unbound", "unbound")
        self._keygen = sandbox.program("ldns-keygen", "ldnsutils")
        self._signer = sandbox.program("ldns-signzone", "ldnsutils")
        made = sandbox.run([self._keygen, "-a", "ECDSAP256SHA256", "-k", "-r", "/dev/urandom", "."],
                           cwd=directory)
        self._key = os.path.join(directory, made.stdout.strip())
        for name in self._unsigned:
            self.set("ns." + name, "A", address)
        self._write_config()
        self._write_unbound_config()

    def break_signature(self, name, rtype):
        """Validation of these records fails from the next apply() on."""
        self._broken.add((name, rtype))

    def mend_signature(self, name, rtype):
        self._broken.discard((name, rtype))

    def apply(self):
        super().apply()
        # Restarted, so that nothing is remembered.
        self._stop_unbound()
        self._unbound_child = sandbox.Child("unbound", [self._unbound, "-d", "-c", self._unbound_conf],
                                            os.path.join(self._directory, "unbound.log"))
        self._unbound_child.wait_until(lambda: soa_serial(self._resolver, recursive=True)
                                       == self._serial,
                                       f"answers with zone serial {self._serial}")

    def stop(self):
        self._stop_unbound()
        super().stop()

    def _stop_unbound(self):
        if self._unbound_child is not None:
            child, self._unbound_child = self._unbound_child, None
            child.stop()

    def _zone_of(self, name):
        return next((zone for zone in getattr(self, "_unsigned", ())
                     if name == zone or name.endswith("." + zone)), "")

    def _zone_file(self, zone):
        return os.path.join(self._directory, (zone or "root") + ".zone")

    def _write_config(self):
        super()._write_config()
        config = sandbox.read(self._config)
        for zone in getattr(self, "_unsigned", ()):
            config += f'zone:\n    name: "{zone}"\n    zonefile: "{self._zone_file(zone)}"\n'
        sandbox.write(self._config, config)

    def _write_zone(self):
        self._serial += 1
        for zone in ("",) + self._unsigned:
            self._write_one(zone)
        self._sign()

    def _write_one(self, zone):
        lines = [f"$TTL {self._ttl}",
                 f"{zone}. SOA ns.invalid. hostmaster.invalid. {self._serial} 3600 600 86400 1",
                 f"{zone}. NS " + (f"ns.{zone}." if zone else "ns.invalid.")]
        if not zone:
            for child in self._unsigned:
                lines += [f"{child}. NS ns.{child}.", f"ns.{child}. A {self.address}"]
        for (name, rtype), values in sorted(self._records.items()):
            if self._zone_of(name) == zone:
                lines += [f"{name}. {rtype} {self._zone_data(rtype, value)}" for value in values]
        sandbox.write(self._zone_file(zone), "\n".join(lines) + "\n")

    def _sign(self):
        signed = self._zone_file("") + ".signed"
        sandbox.run([self._signer, "-o", ".", "-f", signed, self._zone_file(""), self._key],
                    cwd=self._directory)
        text = sandbox.read(signed)
        for name, rtype in self._broken:
            owner = re.escape(f"{name}.")
            text, count = re.subn(rf"(?m)^({owner}\s.*\bRRSIG\s+{rtype}\s.*\s)(\S)(\S+)$",
                                  lambda found: (found[1] + ("B" if found[2] == "A" else "A")
                                                 + found[3]), text)
            assert count, f"no signature of {name} {rtype}"
        sandbox.write(self._zone_file(""), text)

    def _write_unbound_config(self):
        self._unbound_conf = os.path.join(self._directory, "unbound.conf")
        interfaces = "".join(f"    interface: {address}\n"
                             for address in (self._resolver,) + self._also)
        sandbox.write(self._unbound_conf, f"""\
server:
{interfaces}    access-control: 0.0.0.0/0 allow
    do-ip6: no
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{self._directory}"
    pidfile: ""
    use-syslog: no
    num-threads: 1
    module-config: "validator iterator"
    trust-anchor-file: "{self._key}.key"
    do-not-query-localhost: no
    local-zone: "test." nodefault
    local-zone: "invalid." nodefault
    cache-max-ttl: 1
    cache-max-negative-ttl: 1
remote-control:
    control-enable: no
stub-zone:
    name: "."
    stub-addr: {self.address}
""")
