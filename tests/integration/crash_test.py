#!/usr/bin/env python3
"""mtastsd killed again and again, under load, on one cache directory.

    crash_test.py --mtastsd PATH [--kills 200] [--seed N] [--start-limit 1.0] [--committed 2.0]

Clients ask for known and for new domains, owners replace policies under new ids, and SIGKILL comes
at any moment. After each one: it answers again within the limit; with DNS silent, every policy that
was answered long enough before the kill (--committed, seconds) is still answered, at once; and none
of these is fetched again, which the policy server's log shows.
"""

import argparse
import collections
import os
import random
import re
import statistics
import sys
import threading
import time

from testenv import pki, sandbox, socketmap, web
from testenv.daemon import Mtastsd
from testenv.dns import ScriptedDns

INET = "inet:127.0.0.1:8461"
DNS = "127.0.0.53"
CLIENTS = 4
KNOWN = 100       # domains that are asked for from the beginning
NEW_EACH_ROUND = 2
NAMES_A_CERTIFICATE = 50
ROUND = (0.05, 3.0)  # seconds from the first answer to the kill
ALL_AT_ONCE = 2.0    # seconds for the answers to all known domains
RUNS_ON = 0.3        # a kill comes while a request is on its way: the clients stop a little later
REPLY = re.compile(r"OK secure match=g(\d+)\.\S+ servername=hostname")


class SilentDns(ScriptedDns):
    silent = False

    def _reply(self, query, transport):
        return None if self.silent else super()._reply(query, transport)


class World:
    """What the owners have published and what the clients have been answered."""

    def __init__(self, directory, count, committed):
        self.committed = committed
        authority = pki.Authority(os.path.join(directory, "pki"))
        self.ca_file = authority.cert
        self.dns = SilentDns(DNS, ttl=1, negative_ttl=1)
        self.web = web.PolicyServer(os.path.join(directory, "web"), authority)
        self.access = os.path.join(directory, "web", "access.log")
        self.domains = [f"d{number}.crash.test" for number in range(count)]
        self.asked = self.domains[:KNOWN]
        self.lock = threading.Lock()
        self.published = {}  # domain -> generation
        self.answered = {}   # domain -> {generation: when it was answered first since the start}
        self.safe = {}       # domain -> generation that must not be lost any more
        self.fetches_allowed = collections.Counter()
        self.complaints = []
        self.answers = 0
        for at in range(0, count, NAMES_A_CERTIFICATE):
            names = self.domains[at:at + NAMES_A_CERTIFICATE]
            certificate = authority.issue(*("mta-sts." + name for name in names))
            for name in names:
                self.web.publish(name, "", certificate=certificate)
                self.dns.set("mta-sts." + name, "A", "127.0.0.1")
                self.publish(name)
        self.web.apply()

    def publish(self, domain):
        """The next policy of the domain, then its id."""
        generation = self.published.get(domain, 0) + 1
        self.web.replace(domain, web.policy_text(f"g{generation}.{domain}"))
        with self.lock:
            self.published[domain] = generation
            self.fetches_allowed[domain] += 1
        self.dns.set("_mta-sts." + domain, "TXT", f"v=STSv1; id={generation};")

    def take(self, domain, reply):
        """Judges an answer."""
        now = time.monotonic()
        match = REPLY.fullmatch(reply)
        with self.lock:
            self.answers += 1
            if match is None:
                self.complaints.append(f"{domain}: {reply!r}")
                return
            generation = int(match.group(1))
            if generation < self.safe.get(domain, 0):
                self.complaints.append(f"{domain}: policy {generation} after {self.safe[domain]}")
            self.answered.setdefault(domain, {}).setdefault(generation, now)

    def killed(self, when):
        """What was answered long enough before is safe; the rest may be fetched once more."""
        with self.lock:
            for domain, generations in self.answered.items():
                safe = [generation for generation, first in generations.items()
                        if first < when - self.committed]
                self.safe[domain] = max([self.safe.get(domain, 0), *safe])
            self.answered.clear()  # the rest may be gone
            for domain, generation in self.published.items():
                if self.safe.get(domain, 0) < generation:
                    self.fetches_allowed[domain] += 1

    def fetched_too_often(self):
        fetches = collections.Counter(line.split()[0].removeprefix("mta-sts.")
                                      for line in sandbox.read(self.access).splitlines())
        return {domain: (count, self.fetches_allowed[domain])
                for domain, count in fetches.items()
                if domain in self.fetches_allowed and count > self.fetches_allowed[domain]}


class Clients:
    def __init__(self, world, seed):
        self._world = world
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(random.Random(seed + number),),
                                          daemon=True) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(sandbox.WAIT)

    def _ask(self, chance):
        try:
            with socketmap.Client(INET) as client:
                while not self._stopping.is_set():
                    domain = chance.choice(self._world.asked)
                    reply = client.ask(domain)
                    if reply is None:
                        return
                    self._world.take(domain, reply)
        except OSError:
            pass  # killed


def ask_all(world, domains):
    """All in one go; how long that took."""
    began = time.monotonic()
    with socketmap.Client(INET) as client:
        for at in range(0, len(domains), 100):
            part = domains[at:at + 100]
            client.send(b"".join(socketmap.netstring(f"postfix {name}") for name in part))
            for domain in part:
                try:
                    reply = client.reply() or "nothing: the connection was closed"
                except TimeoutError:
                    reply = "nothing: it is being looked up"
                world.take(domain, reply)
                if reply.startswith("nothing"):
                    return time.monotonic() - began
    return time.monotonic() - began


def one_round(world, mtastsd, chance, number):
    """From a start to a kill: how long the start took."""
    world.dns.silent = True
    began = time.monotonic()
    mtastsd.start()
    took = time.monotonic() - began
    safe = [domain for domain, generation in world.safe.items() if generation > 0]
    if safe and ask_all(world, safe) > ALL_AT_ONCE:
        world.complaints.append(f"round {number}: known answers were not given at once")
    world.dns.silent = False
    world.asked = world.domains[:KNOWN + NEW_EACH_ROUND * number]
    clients = Clients(world, chance.randrange(1 << 30))
    ends = time.monotonic() + chance.uniform(*ROUND)
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(left, chance.uniform(0, 0.5)))
        world.publish(chance.choice(world.asked))
    when = time.monotonic()
    mtastsd.kill()
    time.sleep(RUNS_ON)
    clients.stop()
    world.killed(when)
    return took


def run(options):
    chance = random.Random(options.seed)
    directory = sandbox.scratch_directory()
    world = World(directory, KNOWN + NEW_EACH_ROUND * options.kills, options.committed)
    mtastsd = Mtastsd(options.mtastsd, directory, {
        "socketmap": {"listen": [INET]},
        "dns": {"servers": [DNS]},
        "https": {"ca_file": world.ca_file, "allow_local_addresses": True},
        "resolver": {"recheck_min": "1s", "recheck_max": "2s", "negative_min": "1s",
                     "negative_max": "1s"},
        "cache": {"directory": os.path.join(directory, "cache")},
        "log": {"level": "warn"}})
    starts = []
    for number in range(options.kills):
        starts.append(one_round(world, mtastsd, chance, number))
        if starts[-1] > options.start_limit:
            world.complaints.append(f"round {number}: started in {starts[-1]:.2f} s")
        for domain, (count, allowed) in world.fetched_too_often().items():
            world.complaints.append(f"{domain}: fetched {count} times, {allowed} at most")
        if world.complaints:
            break
    world.dns.stop()
    print(f"{len(starts)} kills, {world.answers} answers, {len(world.safe)} domains; from start to "
          f"answer {statistics.median(starts):.3f} s, at most {max(starts):.3f} s")
    if world.complaints:
        print("\n".join(world.complaints[:20]))
        print(mtastsd.log()[-3000:])
        print(f"again: --seed {options.seed}")
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to kill")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--start-limit", type=float, default=1.0,
                        help="seconds from a start to the first answer")
    parser.add_argument("--committed", type=float, default=2.0,
                        help="seconds after which an answered policy must not be lost")
    options = parser.parse_args()
    sandbox.enter()
    print(f"seed {options.seed}", flush=True)
    run(options)


if __name__ == "__main__":
    main()
