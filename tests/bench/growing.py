"""What becomes of the figures when the cache grows, when connections come and go, and at rest."""

import json
import os
import re
import shutil
import statistics
import subprocess
import time

import lab as laboratory
from parts import LATENCIES, Hits, bounded, compare, first_reply, plain, rounds

SMALL = 10_000
STARTS = 3
POLL = 0.0005  # seconds
FIRST_ANSWER_MS = 100
PRIVATE_KIB = 40 * 1024
START_KIB = 15 * 1024
WAKE_UPS = 2  # a second
FILE_BYTES = 600  # of a policy with two MX patterns
REFRESH_ROOM = 128  # half of the places for fetches, as the refresher asks for
IDLE_SECONDS = 10
HELD = {"inet": 10_000, "unix": 5_000}  # one user may have half of max_connections on unix sockets
MAPPING_SECONDS = 4
GREEDY_PIPELINE = 1000
GREEDY_SECONDS = 1.0


# --- 5: a cache that grows ---------------------------------------------------------------------

class Cache:
    """So many policies on disk, and what a daemon needs to use them."""

    def __init__(self, lab, policies):
        self.lab = lab.below(f"grown-{policies}")
        self.policies = policies
        self.directory = self.lab.path("cache")
        # In the order of chance where that takes seconds: it leaves pages as full as in life.
        shuffled = ["--shuffled"] if policies <= 1_000_000 else []
        begin = time.monotonic()
        self.lab.seed_into(self.directory, "--policies", policies, "--hosts", 1, *shuffled)
        self.seed_seconds = time.monotonic() - begin
        self.shuffled = bool(shuffled)

    def daemon(self, **options):
        settings = {"cache": {"max_size": "16GiB"}}
        return laboratory.Mtastsd(self.lab, "daemon", self.directory, settings, pinned=True,
                                  **options)

    def file_bytes(self):
        return os.stat(os.path.join(self.directory, "data.mdb")).st_blocks * 512

    def start_ms(self):
        """From the start of the process to its first answer, about a policy of the cache."""
        begin = time.monotonic()
        daemon = self.daemon(wait=False)
        # The sockets are open before the cache is: whoever connects early waits for the answer.
        reply = None
        while reply is None:
            try:
                reply = first_reply(daemon.unix, laboratory.policy_domain(self.policies // 2))
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() - begin < laboratory.START_LIMIT, "no socket to ask at"
                time.sleep(POLL)
        took = 1000 * (time.monotonic() - begin)
        assert reply.startswith("OK secure"), reply
        return took, 1000 * laboratory.cpu_seconds(daemon.pid), daemon


def growing(lab, plan):
    small = Cache(lab, SMALL)
    yield from on_disk(lab, small)
    for policies in plan.sizes:
        large = Cache(lab, policies)
        yield from on_disk(lab, large)
        yield from rates(plan, small, large)
        shutil.rmtree(large.lab.directory)
    shutil.rmtree(small.lab.directory)


def on_disk(lab, cache):
    """Size, start, memory, the scheduler's look, and the operator's commands."""
    case = f"{cache.policies:,} policies"
    order = "in the order of chance" if cache.shuffled else "in the order of names"
    size = cache.file_bytes() / cache.policies
    if cache.policies > SMALL:
        yield bounded("growing", f"{case}, stored {order}", "file bytes / policy", size, FILE_BYTES)
    else:  # half of a small file is what the last commits have freed
        yield plain("growing", f"{case}, stored {order}", "file bytes / policy", size)
    yield from starts(cache, case)
    done = laboratory.sandbox.run([lab.program("bench_due"), "--directory", cache.directory,
                                   "--max", str(REFRESH_ROOM)], timeout=laboratory.RUN_LIMIT)
    look = json.loads(done.stdout)
    for name, what in (("none", "nothing due"), ("all", "everything due")):
        yield plain("growing", f"{case}, the refresher's look", f"{what}, ms", look[name + "_ms"])
    yield from operators_commands(lab, cache, case)


def starts(cache, case):
    """With the file in the page cache. How loaded the machine is shows in the first figure, and
    hardly in the second."""
    for end, how in (("stop", "after a stop"), ("kill", "after a kill")):
        times, spent = [], []
        for _ in range(STARTS):
            took, cpu, daemon = cache.start_ms()
            getattr(daemon, end)()
            if end == "kill":  # what counts is the start after one
                took, cpu, daemon = cache.start_ms()
                daemon.stop()
            times.append(took)
            spent.append(cpu)
        yield bounded("growing", f"{case}, start {how}", "first answer, ms",
                      statistics.median(times), FIRST_ANSWER_MS)
        yield plain("growing", f"{case}, start {how}", "CPU until then, ms",
                    statistics.median(spent))


def operators_commands(lab, cache, case):
    """mtastsctl beside a daemon, where it knows the verbs."""
    program = os.path.join(lab.build, "mtastsctl")
    daemon = cache.daemon()
    known = subprocess.run([program, "cache", "--help"], capture_output=True, text=True,
                           check=False).stdout
    for verb in (["cache", "list"], ["cache", "export"]):
        if not re.search(rf"^\s+{verb[1]}\b", known, re.MULTILINE):
            continue
        begin = time.monotonic()
        with open(os.devnull, "wb") as nowhere:
            done = subprocess.run([program, *verb, "--config", daemon.config], stdout=nowhere,
                                  stderr=subprocess.PIPE, check=False, timeout=laboratory.RUN_LIMIT)
        if done.returncode == 0:
            yield plain("growing", f"{case}, mtastsctl {' '.join(verb)}", "s",
                        time.monotonic() - begin)
        else:
            print(f"note: mtastsctl {' '.join(verb)}: {done.stderr.decode()[-300:]}")
    daemon.stop()


def rates(plan, small, large):
    """Hits of the larger cache beside those of the smaller one."""
    daemons = {cache: cache.daemon() for cache in (large, small)}
    case = f"{large.policies:,} policies beside {small.policies:,}"
    for choice, bound in (("uniform", 0.7), ("zipf", 0.85)):
        def run(cache, choice=choice, **options):
            wanted = {"connections": 50, "seconds": plan.seconds, "warmup": plan.warmup, **options}
            return lambda: laboratory.Load(cache.lab, daemons[cache], daemons[cache].inet,
                                           cache.policies, "OK secure", choice=choice,
                                           **wanted).result()
        # The first touch of a page has it mapped: that is the start's cost, not the hit's.
        run(large, connections=10, pipeline=64, seconds=MAPPING_SECONDS)()
        left, right = rounds(plan.rounds, run(large), run(small))
        columns = dict(columns=("large", "small"))
        yield compare("growing", f"{case}, {choice} keys", "answers/s", left, right,
                      lambda r: r["rate"], at_least=True, limit=bound, **columns)
        yield compare("growing", f"{case}, {choice} keys", "CPU s / 100,000", left, right,
                      lambda r: r["cpu_us"] / 10, **columns)
        for figure, key in LATENCIES:
            yield compare("growing", f"{case}, {choice} keys", figure, left, right,
                          lambda r, key=key: r[key], **columns)
    pid = daemons[large].pid
    yield bounded("growing", f"{large.policies:,} policies, after these hits", "own memory, MiB",
                  laboratory.status_kib(pid, "RssAnon") / 1024, PRIVATE_KIB / 1024)
    for daemon in daemons.values():
        daemon.stop()


# --- 6: connections ----------------------------------------------------------------------------

def connecting(lab, plan):
    cache, keys, _ = lab.seed(SMALL, 0)
    daemon = laboratory.Mtastsd(lab, "connecting", cache, pinned=True,
                                settings={"socketmap": {"max_connections": 2 * HELD["inet"]}})
    reply = first_reply(daemon.inet, laboratory.policy_domain(1))
    echo = laboratory.Echo(lab, "echo", reply)
    kind = Hits("enforce", keys, "OK secure", daemon, echo)
    for transport in ("inet", "unix"):
        yield from once_and_go(lab, plan, kind, transport)
        yield from held(lab, kind, transport)
        yield from beside_a_greedy_one(lab, plan, kind, transport)
    daemon.stop()
    echo.stop()


def load_of(lab, kind, server, transport, **options):
    return laboratory.Load(lab, server, getattr(server, transport), kind.keys, kind.expect,
                           **options)


def once_and_go(lab, plan, kind, transport):
    """Each request has a connection of its own, as from a client that asks once."""
    def run(server):
        return lambda: load_of(lab, kind, server, transport, connections=20, reconnect=True,
                               seconds=plan.seconds, warmup=plan.warmup).result()
    left, right = rounds(plan.rounds, run(kind.daemon), run(kind.echo))
    case = f"connect, ask once, go; {transport}, 20 at once"
    yield compare("connecting", case, "connections/s", left, right, lambda r: r["rate"],
                  at_least=True, limit=0.6, goal=0.85)
    yield compare("connecting", case, "CPU s / 100,000", left, right, lambda r: r["cpu_us"] / 10,
                  goal=1.25)
    yield compare("connecting", case, "p99 us", left, right, lambda r: r["p99_us"])


def held(lab, kind, transport):
    """All connections are there, and each one asks."""
    before = laboratory.status_kib(kind.daemon.pid, "RssAnon")
    load = load_of(lab, kind, kind.daemon, transport, connections=HELD[transport], seconds=3, warmup=1)
    result = load.result()
    case = f"{HELD[transport]:,} connections held open, {transport}"
    yield plain("connecting", case, "answers/s", result["rate"])
    yield bounded("connecting", case, "connections unanswered", result["silent"], 0)
    yield plain("connecting", case, "p99 us", result["p99_us"])
    after = laboratory.status_kib(kind.daemon.pid, "RssAnon")
    yield plain("connecting", case, "own memory grew, KiB", after - before)


def beside_a_greedy_one(lab, plan, kind, transport):
    """One connection pipelines without end; fifty others ask as Postfix does."""
    def run(server, seconds=GREEDY_SECONDS):
        def measure():
            greedy = load_of(lab, kind, server, transport, connections=1,
                             pipeline=GREEDY_PIPELINE, seconds=laboratory.RUN_LIMIT).measuring()
            result = load_of(lab, kind, server, transport, connections=50, seconds=seconds,
                             warmup=plan.warmup).result()
            greedy.end()
            return result
        return measure
    left, right = rounds(max(3, plan.rounds // 3), run(kind.daemon), run(kind.echo))
    case = f"50 connections beside one that pipelines {GREEDY_PIPELINE:,} requests, {transport}"
    yield compare("connecting", case, "answers/s", left, right, lambda r: r["rate"], at_least=True)
    for figure, key in LATENCIES:
        yield compare("connecting", case, figure, left, right, lambda r, key=key: r[key])
    yield bounded("connecting", case + ", once more", "connections unanswered",
                  run(kind.daemon, 3 * GREEDY_SECONDS)()["silent"], 0)


# --- two answering threads ---------------------------------------------------------------------

def threads(lab, plan):
    """Two load generators, and one or two answering threads, wherever the scheduler puts them."""
    cache, keys, _ = lab.seed(SMALL, 0)
    daemons = [laboratory.Mtastsd(lab, f"threads-{count}", cache_of(lab, cache, count),
                                  threads=count) for count in (2, 1)]

    def run(daemon):
        def measure():
            loads = [laboratory.Load(lab, daemon, daemon.inet, keys, "OK secure", pinned=False,
                                     connections=25, seconds=plan.seconds, warmup=plan.warmup)
                     for _ in range(2)]
            results = [load.result() for load in loads]
            rate = sum(result["rate"] for result in results)
            # Both saw the same process.
            return {"rate": rate, "cpu_us": statistics.mean(
                result["cpu_seconds"] / result["seconds"] for result in results) * 1e6 / rate}
        return measure
    left, right = rounds(plan.rounds, run(daemons[0]), run(daemons[1]))
    case = "two answering threads beside one, two load generators, 50 connections"
    columns = dict(columns=("two", "one"))
    # The threads show what they are worth where each of the four has a processor.
    enough = len(os.sched_getaffinity(0)) >= 4
    yield compare("threads", case, "answers/s", left, right, lambda r: r["rate"], at_least=True,
                  goal=1.6 if enough else None, **columns)
    yield compare("threads", case, "CPU s / 100,000", left, right, lambda r: r["cpu_us"] / 10,
                  limit=None if enough else 1.25, **columns)
    for daemon in daemons:
        daemon.stop()


def cache_of(lab, seeded, number):
    """Each daemon has its own: one opens a directory at a time."""
    copy = lab.path(f"threads-cache-{number}")
    shutil.copytree(seeded, copy)
    return copy


# --- at rest -----------------------------------------------------------------------------------

def rest(lab, _plan):
    daemon = laboratory.Mtastsd(lab, "rest", lab.path("rest-cache"))
    yield bounded("rest", "a daemon with an empty cache", "memory at the start, MiB",
                  laboratory.status_kib(daemon.pid, "VmRSS") / 1024, START_KIB / 1024)
    before = laboratory.wake_ups(daemon.pid)
    time.sleep(IDLE_SECONDS)
    yield bounded("rest", "a daemon with an empty cache", "wake-ups / s",
                  (laboratory.wake_ups(daemon.pid) - before) / IDLE_SECONDS, WAKE_UPS)
    daemon.stop()


# --- 7: one operation at a time ----------------------------------------------------------------

def micro(lab, plan):
    """The time of each operation; instructions.py has their instructions."""
    program = lab.program("bench_micro")
    if not os.access(program, os.X_OK):
        print("note: no bench_micro (libbenchmark-dev), so no times of single operations")
        return
    done = laboratory.sandbox.run(
        lab.on_server_cpu([program, "--benchmark_format=json", "--benchmark_min_time=0.1",
                           f"--benchmark_repetitions={plan.rounds}"]),
        timeout=laboratory.RUN_LIMIT)
    for each in json.loads(done.stdout)["benchmarks"]:
        if each.get("aggregate_name") == "median":
            yield plain("micro", "CPU time of one", each["run_name"] + ", ns", each["cpu_time"])
