#!/usr/bin/env python3
"""mtastsd for twenty minutes among 20,000 domains with every fault there is.

    soak.py --mtastsd PATH [--minutes 20] [--domains 20000] [--rate 500]

DNS drops, refuses and denies, policy hosts refuse, hang and misbehave, each for some of the domains
and for others a minute later; ids change, some policies live for five minutes only. Every half
minute a line says what the daemon takes. At the end: whether memory, descriptors and file stay
flat in the second half, and whether a policy in force was ever answered otherwise (status 1).
"""

import argparse
import asyncio
import collections
import multiprocessing
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "integration"))

from testenv import badweb, pki, sandbox  # noqa: E402
from testenv.daemon import Mtastsd  # noqa: E402

INET = ("127.0.0.1", 8461)
GOOD, BAD, SILENT, NOBODY = "127.0.0.1", "127.0.0.77", "127.0.0.78", "127.0.0.79"
DNS = "127.0.0.53"
NAMES_A_CERTIFICATE = 400
CONNECTIONS = 400
SHORT_LIFE, LONG_LIFE = 300, 604800
FAULTS = ["drop", "servfail", "nxdomain", "other-txt", SILENT, NOBODY, BAD] + [None] * 7
CALM = 150        # seconds without faults at the beginning: all domains get known
PHASE = 60        # seconds of a fault
NEW_ID = 600      # seconds between the ids of a domain
LINE = 30         # seconds between the lines
GROWTH = 0.10     # of the second half, that still counts as flat
ANSWER_TIMEOUT = 5


def fault_of(number, now):
    if now < CALM:
        return None
    return FAULTS[(int(now / PHASE) + number) % len(FAULTS)]


def mode_of(number):
    return "testing" if number % 10 == 9 else "enforce"


def life_of(number):
    return SHORT_LIFE if number % 50 == 7 else LONG_LIFE


# --- DNS --------------------------------------------------------------------------------------

def dns_answer(query, began):
    """The reply to a question about dN.soak.test; None for none."""
    end = query.index(b"\0", 12)
    labels, at = [], 12
    while at < end:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    number = int(labels[1][1:])
    now = time.time() - began
    fault = fault_of(number, now)
    rtype = struct.unpack("!H", query[end + 1:end + 3])[0]
    data = None
    if rtype == 16 and labels[0] == "_mta-sts" and fault != "nxdomain":
        text = f"v=STSv1; id={int((now + number * 37) / NEW_ID)};"
        text = "v=spf1 -all" if fault == "other-txt" else text
        data = bytes([len(text)]) + text.encode()
    elif rtype == 1 and labels[0] == "mta-sts":
        data = socket.inet_aton(fault if fault in (SILENT, NOBODY, BAD) else GOOD)
    if fault == "drop":
        return None
    code = 2 if fault == "servfail" else 0 if data else 3
    count = 1 if data and code == 0 else 0
    head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, count, 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", rtype, 1, 60, len(data)) + data if count else b""
    return head + query[12:end + 5] + record


def serve_dns(began):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((DNS, 53))
    while True:
        query, peer = sock.recvfrom(4096)
        try:
            reply = dns_answer(query, began)
        except (ValueError, IndexError):
            continue
        if reply is not None:
            sock.sendto(reply, peer)


# --- policy hosts -----------------------------------------------------------------------------

def serve_bad(certificate):
    """Its certificate is good for some of the names only: another fault."""
    kinds = sorted(badweb.BEHAVIOURS)
    badweb.BadWeb(BAD, certificate, choose=lambda name: random.choice(kinds))
    while True:
        time.sleep(3600)


def serve_silent():
    server = socket.create_server((SILENT, 443), backlog=1024)
    held = collections.deque(maxlen=512)
    while True:
        held.append(server.accept()[0])


def nginx(directory, groups):
    """groups: [(certificate, host names)]"""
    os.makedirs(os.path.join(directory, "tmp"))
    temporary = "".join(f"    {name}_temp_path {directory}/tmp;\n"
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    blocks = "".join(f"""
    server {{
        listen {GOOD}:443 ssl{' backlog=1024' if first else ''};
        server_name {" ".join(names)};
        ssl_certificate {certificate.cert};
        ssl_certificate_key {certificate.key};
        location = /.well-known/mta-sts.txt {{
            default_type text/plain;
            return 200 "version: STSv1\\r\\nmode: $mode\\r\\nmx: mail.$name\\r\\nmax_age: $life\\r\\n";
        }}
    }}""" for first, (certificate, names) in zip([True] + [False] * len(groups), groups))
    config = os.path.join(directory, "nginx.conf")
    sandbox.write(config, f"""\
daemon off;
user root;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
{temporary}\
    access_log off;
    server_names_hash_bucket_size 128;
    server_names_hash_max_size 65536;
    ssl_session_tickets off;
    map $host $name {{ ~^mta-sts\\.(?<rest>.*)$ $rest; }}
    map $host $mode {{ default enforce; ~9\\.soak\\.test$ testing; }}
    map $host $life {{ default {LONG_LIFE}; ~d(7|\\d*(07|57))\\.soak\\.test$ {SHORT_LIFE}; }}
{blocks}
}}
""")
    child = sandbox.Child("nginx", [sandbox.program("nginx", "nginx-light"), "-c", config, "-e",
                                    os.path.join(directory, "error.log")],
                          os.path.join(directory, "log"))

    def accepts():
        try:
            socket.create_connection((GOOD, 443), timeout=1).close()
            return True
        except OSError:
            return False
    child.wait_until(accepts, "accepts connections", 120)
    return child


# --- clients ----------------------------------------------------------------------------------

class Clients:
    """Questions at a fixed rate over many connections, as Postfix asks: one at a time on each."""

    def __init__(self, domains, rate, seed):
        self._count, self._rate = domains, rate
        self._random = random.Random(seed)
        self.replies = collections.Counter()
        self.waits = []
        self.in_force = set()
        self.wrong = []

    async def run(self, until):
        self._next = time.monotonic()
        await asyncio.gather(*(self._connection(until) for _ in range(CONNECTIONS)))

    async def _connection(self, until):
        reader, writer = await asyncio.open_connection(*INET)
        while time.monotonic() < until:
            due, self._next = self._next, max(self._next + 1 / self._rate,
                                              time.monotonic() - 1)
            await asyncio.sleep(max(due - time.monotonic(), 0))
            number = self._random.randrange(self._count)
            key = f"postfix d{number}.soak.test".encode()
            began = time.monotonic()
            writer.write(b"%d:%s," % (len(key), key))
            size = int((await reader.readuntil(b":"))[:-1])
            reply = (await reader.readexactly(size + 1))[:-1].decode()
            self._judge(number, reply, time.monotonic() - began)
        writer.close()

    def _judge(self, number, reply, took):
        self.replies[reply.split(" ")[0]] += 1
        self.waits.append(took)
        right = f"OK secure match=mail.d{number}.soak.test servername=hostname"
        if reply == right and mode_of(number) == "enforce":
            if life_of(number) == LONG_LIFE:
                self.in_force.add(number)
        elif reply != "NOTFOUND " or number in self.in_force:
            self.wrong.append(f"d{number}: {reply[:80]!r}")
        if took > ANSWER_TIMEOUT + 5:
            self.wrong.append(f"d{number}: answered after {took:.1f} s")


# --- what it takes ----------------------------------------------------------------------------

def measure(mtastsd, cache):
    values = {}
    with open(f"/proc/{mtastsd.pid}/status", encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                values[name] = int(value.split()[0])
    return (values["VmRSS"], values["RssAnon"], len(os.listdir(f"/proc/{mtastsd.pid}/fd")),
            os.stat(os.path.join(cache, "data.mdb")).st_size // 1024)


async def watch(clients, mtastsd, cache, until, lines):
    began = time.monotonic()
    print("   min  RSS KiB  anon KiB   fds  file KiB  answers      OK  NOTFOUND  other  in force"
          "  p50 ms  p99 ms", flush=True)
    while time.monotonic() < until:
        await asyncio.sleep(LINE)
        waits, clients.waits = sorted(clients.waits), []
        replies = clients.replies
        taken = measure(mtastsd, cache)
        lines.append(taken)
        other = sum(replies.values()) - replies["OK"] - replies["NOTFOUND"]
        print(f"{(time.monotonic() - began) / 60:6.1f} {taken[0]:8} {taken[1]:9} {taken[2]:5} "
              f"{taken[3]:9} {sum(replies.values()):8} {replies['OK']:7} {replies['NOTFOUND']:9} "
              f"{other:6} {len(clients.in_force):9} {waits[len(waits) // 2] * 1e3:7.2f} "
              f"{waits[len(waits) * 99 // 100] * 1e3:7.1f}", flush=True)


def growth(lines, column):
    """Of the second half: the mean of its last third over that of its first."""
    half = [line[column] for line in lines[len(lines) // 2:]]
    third = max(len(half) // 3, 1)
    return sum(half[-third:]) / sum(half[:third]) - 1


def start(target, *arguments):
    process = multiprocessing.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def run(options):
    directory = sandbox.scratch_directory()
    hosts = [f"mta-sts.d{number}.soak.test" for number in range(options.domains)]
    authority = pki.Authority(os.path.join(directory, "pki"))
    groups = [(authority.issue(*names, cn="soak.test"), names) for names in
              (hosts[at:at + NAMES_A_CERTIFICATE]
               for at in range(0, len(hosts), NAMES_A_CERTIFICATE))]
    web = nginx(os.path.join(directory, "nginx"), groups)
    began = time.time()
    start(serve_dns, began)
    start(serve_silent)
    start(serve_bad, groups[0][0])
    cache = os.path.join(directory, "cache")
    mtastsd = Mtastsd(options.mtastsd, directory, {
        "socketmap": {"listen": ["inet:%s:%d" % INET]},
        "dns": {"servers": [DNS], "timeout": "2s"},
        "https": {"ca_file": authority.cert, "allow_local_addresses": True, "timeout": "3s"},
        "resolver": {"answer_timeout": f"{ANSWER_TIMEOUT}s"},
        "cache": {"directory": cache}, "log": {"level": "error"}}).start()
    clients, lines = Clients(options.domains, options.rate, options.seed), []
    until = time.monotonic() + options.minutes * 60

    async def everything():
        await asyncio.gather(clients.run(until), watch(clients, mtastsd, cache, until, lines))

    asyncio.run(everything())
    mtastsd.stop()
    web.stop()
    print(mtastsd.log()[-2000:])
    flat = True
    for column, name in enumerate(("RSS", "private memory", "descriptors", "file")):
        grown = growth(lines, column)
        flat = flat and grown <= GROWTH
        print(f"{name}: {grown:+.1%} over the second half")
    print(f"{len(clients.wrong)} wrong answers", *clients.wrong[:10], sep="\n")
    sys.exit(0 if flat and not clients.wrong else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--domains", type=int, default=20000)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sandbox.enter()
    run(options)


if __name__ == "__main__":
    main()
