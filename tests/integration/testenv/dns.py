"""DNS servers on loopback.

Nsd serves one root zone from the real nsd: every name that the test did not set does not exist.
ScriptedDns answers from a table in this process, counts what it is asked and can misbehave.
"""

import os
import random
import socket
import struct
import threading
from collections import namedtuple

from . import sandbox

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "OPT": 41,
         "TLSA": 52}
_NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

Question = namedtuple("Question", "name type transport")


def _encode_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"


def _decode_name(message, offset):
    labels = []
    while message[offset]:
        length = message[offset]
        labels.append(message[offset + 1:offset + 1 + length].decode("ascii", "replace").lower())
        offset += 1 + length
    return ".".join(labels), offset + 1


def _encode_data(rtype, value):
    if rtype == "A":
        return socket.inet_aton(value)
    if rtype == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if rtype == "TXT":
        raw = value.encode("utf-8")
        parts = [raw[at:at + 255] for at in range(0, len(raw), 255)] or [b""]
        return b"".join(bytes([len(part)]) + part for part in parts)
    if rtype == "MX":
        preference, host = value.split()
        return struct.pack("!H", int(preference)) + _encode_name(host)
    if rtype in ("CNAME", "NS"):
        return _encode_name(value)
    if rtype == "TLSA":
        usage, selector, matching, data = value.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(data)
    raise ValueError(f"no way to encode {rtype}")


def _record(name, rtype, ttl, data):
    return (_encode_name(name) + struct.pack("!HHIH", TYPES[rtype], 1, ttl, len(data)) + data)


def _soa(negative_ttl):
    data = _encode_name("ns.invalid") * 2 + struct.pack("!IIIII", 1, 60, 60, 3600, negative_ttl)
    return _record("", "SOA", negative_ttl, data)


def soa_serial(address, port=53, timeout=0.5, recursive=False):
    """The serial of the root zone at a server, or None while it does not answer."""
    query = struct.pack("!HHHHHH", 4711, 0x0100 if recursive else 0, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 6, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect((address, port))
            sock.send(query)
            reply = sock.recv(4096)
        except OSError:
            return None
    if len(reply) < 12 or struct.unpack("!H", reply[6:8])[0] != 1:
        return None
    # Question: root, type, class; answer: owner, 10 bytes, two names, five numbers.
    offset = 12 + 5
    offset = _skip_name(reply, offset) + 10
    offset = _skip_name(reply, _skip_name(reply, offset))
    return struct.unpack("!I", reply[offset:offset + 4])[0]


def _skip_name(message, offset):
    while message[offset]:
        if message[offset] >= 0xC0:
            return offset + 2
        offset += 1 + message[offset]
    return offset + 1


class Nsd:
    """set() and remove() note changes, apply() returns once the server answers with them."""

    def __init__(self, directory, address="127.0.0.1", port=53, ttl=1):
        os.makedirs(directory)
        self.address, self.port, self._ttl = address, port, ttl
        self._directory = directory
        self._zone = os.path.join(directory, "root.zone")
        self._serial = 0
        self._records = {}
        self._child = None
        self._nsd = sandbox.program("nsd", "nsd")
        self._write_config()

    def set(self, name, rtype, *values):
        self._records[(name.rstrip("."), rtype)] = list(values)

    def remove(self, name, rtype):
        self._records.pop((name.rstrip("."), rtype), None)

    def apply(self):
        """Restarted, not reloaded: an old process of nsd answers on beside the new one."""
        self.stop()
        self._write_zone()
        self._child = sandbox.Child("nsd", [self._nsd, "-d", "-c", self._config],
                                    os.path.join(self._directory, "log"))
        self._child.wait_until(lambda: soa_serial(self.address, self.port) == self._serial,
                               f"answers with zone serial {self._serial}")

    def stop(self):
        if self._child is not None:
            child, self._child = self._child, None
            child.stop()

    def _write_config(self):
        self._config = os.path.join(self._directory, "nsd.conf")
        inside = self._directory
        sandbox.write(self._config, f"""\
server:
    ip-address: {self.address}@{self.port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{inside}"
    database: ""
    pidfile: "{inside}/nsd.pid"
    xfrdfile: "{inside}/xfrd.state"
    zonelistfile: "{inside}/zone.list"
    xfrdir: "{inside}"
    zonefiles-check: yes
    hide-version: yes
remote-control:
    control-enable: no
zone:
    name: "."
    zonefile: "{self._zone}"
""")

    def _write_zone(self):
        self._serial += 1
        lines = [f"$TTL {self._ttl}",
                 f". SOA ns.invalid. hostmaster.invalid. {self._serial} 3600 600 86400 1",
                 ". NS ns.invalid."]
        for (name, rtype), values in sorted(self._records.items()):
            lines += [f"{name}. {rtype} {self._zone_data(rtype, value)}" for value in values]
        sandbox.write(self._zone, "\n".join(lines) + "\n")

    @staticmethod
    def _zone_data(rtype, value):
        if rtype == "TXT":
            parts = [value[at:at + 255] for at in range(0, len(value), 255)]
            return " ".join('"' + part.replace('"', '\\"') + '"' for part in parts)
        if rtype in ("MX", "CNAME"):
            return value + "."
        return value


class ScriptedDns:
    """Faults are set for a (name, type): servfail, refused, drop or truncate.

    A truncated answer carries nothing over UDP and everything over TCP. `lost` is the share of
    UDP answers that do not arrive, whatever they are about.
    """

    def __init__(self, address, port=53, ttl=60, negative_ttl=60, lost=0.0):
        self.address, self.port, self.ttl, self.negative_ttl = address, port, ttl, negative_ttl
        self._lost, self._random = lost, random.Random(8461)
        self._lock = threading.Lock()
        self._records, self._faults, self._asked = {}, {}, []
        self._ttls = {}
        self._validated = frozenset()
        self._stopping = threading.Event()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        place = socket.getaddrinfo(address, port, family)[0][4]  # with the zone of the address
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        self._udp.bind(place)
        self._tcp = socket.create_server(place, family=family)
        for sock in (self._udp, self._tcp):
            sock.settimeout(0.2)
        self._threads = [threading.Thread(target=loop, daemon=True)
                         for loop in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def set(self, name, rtype, *values):
        with self._lock:
            self._records[(name, rtype)] = list(values)

    def remove(self, name, rtype):
        with self._lock:
            self._records.pop((name, rtype), None)

    def set_fault(self, name, rtype, fault):
        with self._lock:
            self._faults[(name, rtype)] = fault

    def set_ttl(self, name, ttl):
        with self._lock:
            self._ttls[name] = ttl

    def validate(self, *names):
        """Vouches by DNSSEC for all about these names, for who asks for that (RFC 6840, 5.7)."""
        with self._lock:
            self._validated = frozenset(names)

    def asked(self, name=None, rtype=None, transport=None):
        """What was asked so far, filtered."""
        with self._lock:
            return [question for question in self._asked
                    if name in (None, question.name) and rtype in (None, question.type)
                    and transport in (None, question.transport)]

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(sandbox.WAIT)
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self):
        while not self._stopping.is_set():
            try:
                query, peer = self._udp.recvfrom(4096)
            except TimeoutError:
                continue
            reply = self._reply(query, "udp")
            if reply is not None and self._random.random() >= self._lost:
                self._udp.sendto(reply, peer)

    def _serve_tcp(self):
        while not self._stopping.is_set():
            try:
                conn, _ = self._tcp.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self._serve_connection, args=(conn,), daemon=True).start()

    def _serve_connection(self, conn):
        with conn, conn.makefile("rb") as stream:
            conn.settimeout(sandbox.WAIT)
            try:
                while len(head := stream.read(2)) == 2:
                    reply = self._reply(stream.read(struct.unpack("!H", head)[0]), "tcp")
                    if reply is not None:
                        conn.sendall(struct.pack("!H", len(reply)) + reply)
            except OSError:
                pass  # the client is gone

    def _reply(self, query, transport):
        if len(query) < 17:
            return None
        name, end = _decode_name(query, 12)
        number = struct.unpack("!H", query[end:end + 2])[0]
        rtype = _NAMES.get(number, str(number))
        with self._lock:
            self._asked.append(Question(name, rtype, transport))
            fault = self._faults.get((name, rtype))
            answers, exists = self._find(name, rtype)
            validated = query[3] & 0x20 and name in self._validated
        if fault == "drop":
            return None
        code = {"servfail": SERVFAIL, "refused": REFUSED}.get(
            fault, NOERROR if exists else NXDOMAIN)
        truncate = fault == "truncate" and transport == "udp"
        if code in (SERVFAIL, REFUSED) or truncate:
            answers = []
        authority = [] if answers or truncate else [_soa(self.negative_ttl)]
        flags = 0x8400 | (query[2] & 1) << 8 | 0x80 | (0x200 if truncate else 0) | code
        flags |= 0x20 if validated else 0
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), len(authority), 0)
        return head + query[12:end + 4] + b"".join(answers + authority)

    def _find(self, name, rtype):
        answers = []
        for _ in range(8):
            alias = self._records.get((name, "CNAME"))
            if not alias or rtype == "CNAME":
                break
            answers.append(_record(name, "CNAME", self.ttl, _encode_data("CNAME", alias[0])))
            name = alias[0]
        ttl = self._ttls.get(name, self.ttl)
        answers += [_record(name, rtype, ttl, _encode_data(rtype, value))
                    for value in self._records.get((name, rtype), [])]
        exists = (bool(answers) or any((name, each) in self._records for each in TYPES)
                  or any(owner.endswith("." + name) for owner, _ in self._records))
        return answers, exists
