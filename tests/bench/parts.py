"""What is measured. Each part is a generator of Rows."""

import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Optional

import lab as laboratory

POLICIES = 2000
CONNECTIONS_COLD = 50
PACED_RATE = 2000
BURST = 500
SYSTEM_CALLS = 2.1  # a busy answering thread's for an answer: a read, a write and little to wait
LATENCIES = (("p50 us", "p50_us"), ("p99 us", "p99_us"), ("p99.9 us", "p999_us"))


@dataclass
class Row:
    part: str
    case: str
    figure: str
    ours: float
    reference: Optional[float]  # None: a figure without a counterpart
    ratio: Optional[float]
    limit: Optional[float] = None  # for the ratio; a run that misses one fails
    goal: Optional[float] = None   # for the ratio; only printed
    at_least: bool = False  # the ratio is to be at least that, not at most
    columns: tuple = ("mtastsd", "reference")

    def meets(self, bound):
        return self.ratio >= bound if self.at_least else self.ratio <= bound

    @property
    def missed(self):
        return self.limit is not None and not self.meets(self.limit)


def rounds(count, ours, reference):
    """The results of both, alternating, and which goes first alternates too."""
    left, right = [], []
    for number in range(count):
        for measure, results in ([(ours, left), (reference, right)][::1 - 2 * (number % 2)]):
            results.append(measure())
    return left, right


def compare(part, case, figure, left, right, get, **limit):
    """Medians of both, and the median of the ratios of neighbours in time."""
    ours, reference = [get(each) for each in left], [get(each) for each in right]
    ratio = statistics.median(a / b for a, b in zip(ours, reference))
    return Row(part, case, figure, statistics.median(ours), statistics.median(reference), ratio,
               **limit)


def bounded(part, case, figure, value, bound, **options):
    """A figure that has a bound of its own, in place of a reference."""
    ratio = value / bound if bound else math.inf if value else 0.0
    return Row(part, case, figure, value, bound, ratio, limit=1.0,
               columns=("mtastsd", "bound"), **options)


def plain(part, case, figure, value):
    """A figure without anything beside it."""
    return Row(part, case, figure, value, None, None)


# --- 1: answers from the cache ----------------------------------------------------------------

def first_line(path):
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\n")


def first_reply(target, key):
    return laboratory.daemon.socketmap.ask(target, key)


@dataclass
class Hits:
    """One kind of hit: mtastsd with that in its cache, and an echo server with its reply."""
    name: str
    keys: str
    expect: str
    daemon: laboratory.Mtastsd
    echo: laboratory.Echo
    map: str = "postfix"


def hits(lab, plan):
    cache, enforce_keys, nopolicy_keys = lab.seed(POLICIES, POLICIES)
    daemon = laboratory.Mtastsd(lab, "hits", cache, pinned=True)
    parent_keys = laboratory.write_lines(lab.path("parent.keys"),
                                         (f".x{i:07}.bench.test" for i in range(POLICIES)))
    kinds = []
    for name, keys, expect, mapname in (("enforce", enforce_keys, "OK secure", "postfix"),
                                        ("no policy", nopolicy_keys, "NOTFOUND", "postfix"),
                                        ("parent key", parent_keys, "NOTFOUND", "postfix"),
                                        ("unknown map", enforce_keys, "OK secure", "nobodys")):
        reply = first_reply(daemon.inet, first_line(keys))
        kinds.append(Hits(name, keys, expect, daemon,
                          laboratory.Echo(lab, "echo-" + name.split()[0], reply), mapname))
    for kind in kinds[:2]:
        for transport in ("inet", "unix"):
            for connections in (1, 8, 50, 200, 1000):
                if plan.quick and connections != 50 and \
                        ((kind.name, transport) != ("enforce", "inet") or connections == 8):
                    continue
                yield from closed(lab, plan, kind, transport, connections)
    for kind in kinds[2:]:
        yield from closed(lab, plan, kind, "inet", 50)
    enforce = kinds[0]
    for transport in ("inet", "unix"):
        yield from closed(lab, plan, enforce, transport, 50, choice="zipf")
        yield from closed(lab, plan, enforce, transport, 10, pipeline=16)
    for transport in ("inet", "unix"):
        yield from paced(lab, plan, enforce, transport)
    if plan.syscalls:
        for connections in (1, 50):
            yield from system_calls(lab, enforce, connections)
    daemon.stop()
    for kind in kinds:
        kind.echo.stop()


def ask_both(lab, plan, kind, transport, **options):
    def run(server):
        return lambda: laboratory.Load(lab, server, getattr(server, transport), kind.keys,
                                       kind.expect, map=kind.map, **options).result()
    return rounds(plan.rounds, run(kind.daemon), run(kind.echo))


def closed(lab, plan, kind, transport, connections, **options):
    case = f"{kind.name}, {transport}, C={connections}"
    case += "".join(f", {name}={value}" for name, value in options.items())
    left, right = ask_both(lab, plan, kind, transport, connections=connections,
                           seconds=plan.seconds, warmup=plan.warmup, **options)
    if "pipeline" in options:  # limits are about one request in flight
        bounds = {}
    else:
        bounds = {"rate": dict(limit=0.6, goal=0.85)}
        if connections in (8, 50):
            bounds["p99_us"] = dict(goal=1.5)
        if connections == 50:
            bounds["cpu_us"] = dict(goal=1.25)
    yield from figures_of_hits(case, left, right, bounds)


def figures_of_hits(case, left, right, bounds, with_rate=True):
    if with_rate:
        yield compare("hits", case, "answers/s", left, right, lambda r: r["rate"], at_least=True,
                      **bounds.get("rate", {}))
    yield compare("hits", case, "CPU s / 100,000", left, right, lambda r: r["cpu_us"] / 10,
                  **bounds.get("cpu_us", {}))
    for figure, key in LATENCIES:
        yield compare("hits", case, figure, left, right, lambda r, key=key: r[key],
                      **bounds.get(key, {}))


def paced(lab, plan, kind, transport):
    case = f"{kind.name}, {transport}, C=50, {PACED_RATE}/s"
    left, right = ask_both(lab, plan, kind, transport, connections=50, rate=PACED_RATE,
                           seconds=plan.paced_seconds, warmup=plan.warmup)
    yield from figures_of_hits(case, left, right,
                               {"cpu_us": dict(goal=1.3), "p99_us": dict(goal=1.5)},
                               with_rate=False)


def system_calls(lab, kind, connections):
    if not shutil.which("strace"):
        print("note: no strace, so no count of system calls", file=sys.stderr)
        return
    counts = []
    for server in (kind.daemon, kind.echo):
        out = lab.path("strace.out")
        tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", out, "-p",
                                   str(server.pid)], stderr=subprocess.DEVNULL)
        laboratory.sandbox.wait_for(lambda: traced(server.pid), "strace to attach")
        result = laboratory.Load(lab, server, server.inet, kind.keys, kind.expect, seconds=1,
                                 warmup=0, connections=connections).result()
        tracer.send_signal(laboratory.daemon.signal.SIGINT)
        tracer.wait(laboratory.RUN_LIMIT)
        total = re.search(r"(\d+)\s+total", laboratory.sandbox.read(out))
        if total is None:
            print("note: strace may not attach here, so no count of system calls",
                  file=sys.stderr)
            return
        counts.append(int(total.group(1)) / result["answers"])
    case = f"{kind.name}, inet, C={connections}, strace"
    yield Row("hits", case, "system calls / answer", counts[0], counts[1], counts[0] / counts[1])
    if connections > 1:
        yield bounded("hits", f"{case}, against a bound", "system calls / answer", counts[0],
                      SYSTEM_CALLS)


def traced(pid):
    """Whether every thread has a tracer."""
    for task in os.listdir(f"/proc/{pid}/task"):
        text = laboratory.sandbox.read(f"/proc/{pid}/task/{task}/status")
        if re.search(r"^TracerPid:\s+0$", text, re.MULTILINE):
            return False
    return True


# --- 2: domains that are new ------------------------------------------------------------------

def cold(lab, plan):
    internet = laboratory.Internet(lab, plan.cold_domains)
    left, right = rounds(plan.cold_rounds, lambda: resolve_all(lab, internet),
                         lambda: bare_fetch(lab, internet))
    case = f"{plan.cold_domains} domains, {CONNECTIONS_COLD} at once"
    yield compare("cold", case, "CPU ms / policy", left, right, lambda r: r["cpu_ms"], limit=1.3,
                  goal=1.15)
    yield compare("cold", case, "policies/s", left, right, lambda r: r["rate"], limit=0.7,
                  goal=0.85, at_least=True)
    yield Row("cold", case, "p50 ms", statistics.median(r["p50_ms"] for r in left), None, None)
    yield Row("cold", case, "p99 ms", statistics.median(r["p99_ms"] for r in left), None, None)
    internet.stop()


def resolve_all(lab, internet):
    """A daemon with an empty cache is asked for every domain once."""
    shutil.rmtree(lab.path("cold"), ignore_errors=True)
    daemon = laboratory.Mtastsd(lab, "cold", lab.path("cold", "cache"), internet.settings())
    ask_once(lab, daemon, internet.warm_file)
    before = laboratory.cpu_seconds(daemon.pid)
    result = ask_once(lab, daemon, internet.domain_file)
    time.sleep(0.5)  # the last commit is part of the work
    spent = laboratory.cpu_seconds(daemon.pid) - before
    daemon.stop()
    return {"cpu_ms": 1000 * spent / len(internet.domains), "rate": result["rate"],
            "p50_ms": result["p50_us"] / 1000, "p99_ms": result["p99_us"] / 1000}


def ask_once(lab, daemon, keys, gives_way=False):
    return laboratory.Load(lab, daemon, daemon.inet, keys, "OK secure", pinned=False, once=True,
                           gives_way=gives_way, connections=CONNECTIONS_COLD).result()


def bare_fetch(lab, internet):
    done = laboratory.sandbox.run(
        [lab.program("bench_fetch"), "--ca-file", internet.ca_file, "--port",
         str(internet.https_port), "--concurrency", str(CONNECTIONS_COLD), "--warm",
         internet.warm_file, "--domains", internet.domain_file], timeout=laboratory.RUN_LIMIT)
    result = laboratory.json.loads(done.stdout)
    return {"cpu_ms": 1000 * result["cpu_seconds"] / result["fetches"],
            "rate": result["fetches"] / result["seconds"]}


# --- 3: hits while new domains are looked up --------------------------------------------------

def both(lab, plan):
    internet = laboratory.Internet(lab.below("burst"), BURST)
    cache, keys, _ = lab.below("burst").seed(POLICIES, 0)
    internet.give_way()
    echo = laboratory.Echo(lab, "both-echo", "OK secure" + "." * 80, pinned=False)
    figures = [both_once(lab, plan, internet, cache, keys, echo)
               for _ in range(plan.both_rounds)]
    echo.stop()
    case = f"{PACED_RATE}/s on 10 connections beside a burst of {BURST} domains"
    for name, server, bounds in (("mtastsd", "daemon", {"p99_us": dict(limit=3.0, goal=2.0)}),
                                 ("echo server, same burst", "echo", {})):
        busy = [each[server, "busy"] for each in figures]
        idle = [each[server, "idle"] for each in figures]
        for figure, key in LATENCIES:
            yield compare("both", f"{case}: {name}", figure, busy, idle,
                          lambda r, key=key: r[key], columns=("burst", "idle"),
                          **bounds.get(key, {}))
        yield compare("both", f"{case}: {name}", "(load itself late, p99)", busy, idle,
                      lambda r: r["late_p99_us"], columns=("burst", "idle"))
        if server == "daemon":
            yield Row("both", f"{case}: {name}", "hits that waited, %",
                      100 * statistics.median(each["diverted"] for each in busy), None, None)
    for figure, key in LATENCIES:
        yield compare("both", f"{case}: both beside it", figure,
                      [each["daemon", "busy"] for each in figures],
                      [each["echo", "busy"] for each in figures], lambda r, key=key: r[key])
    internet.stop()


def both_once(lab, plan, internet, seeded, keys, echo):
    """Each server's hits alone and beside the same burst of lookups in mtastsd."""
    results = {}
    for which in ("daemon", "echo"):
        shutil.rmtree(lab.path("both"), ignore_errors=True)
        cache = lab.path("both-cache")
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(seeded, cache)
        daemon = laboratory.Mtastsd(lab, "both", cache, internet.settings())
        server = daemon if which == "daemon" else echo
        ask_once(lab, daemon, internet.warm_file)

        def hit_load(seconds):
            return laboratory.Load(lab, server, server.inet, keys, "OK secure", pinned=False,
                                   goes_first=True, connections=10, rate=PACED_RATE, seconds=seconds,
                                   warmup=plan.warmup).measuring()

        results[which, "idle"] = hit_load(plan.idle_seconds).result()
        load = hit_load(laboratory.RUN_LIMIT)
        ask_once(lab, daemon, internet.domain_file, gives_way=True)
        results[which, "busy"] = load.end()
        # Beyond the new domains: hits that had to wait for the resolver.
        waited = daemon.stop()["waited"] - BURST - internet.WARM
        results[which, "busy"]["diverted"] = waited / results[which, "busy"]["answers"]
    return results
