"""The processes of a benchmark: servers, load generators, DNS and HTTPS, all on loopback."""

import copy
import json
import os
import re
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from testenv import daemon, dns, pki, sandbox  # noqa: E402

START_LIMIT = 30  # seconds; nginx reads some dozen certificates
RUN_LIMIT = 300
SEED_LIMIT = 1800  # ten million policies, on a machine that others use too
NAMES_PER_CERTIFICATE = 50


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    return path


def policy_domain(number):
    """One of bench_seed's."""
    return f"p{number:08}.bench.test"


def status_kib(pid, name):
    """A figure of /proc/PID/status that is given in KiB: RssAnon is memory of its own, and RssFile
    what it has mapped of its program, its libraries and the cache file (the page cache)."""
    return int(re.search(rf"^{name}:\s+(\d+) kB$", sandbox.read(f"/proc/{pid}/status"),
                         re.MULTILINE).group(1))


def wake_ups(pid):
    """How often its threads have gone to sleep: each of these sleeps ended, or will."""
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$",
                             sandbox.read(f"/proc/{pid}/task/{task}/status"),
                             re.MULTILINE).group(1))
               for task in os.listdir(f"/proc/{pid}/task"))


def cpu_seconds(pid):
    """CPU time of a process, all its threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def give_way(pid):
    """Lets a process and its children run only when nobody else wants to."""
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    for child in sandbox.read(f"/proc/{pid}/task/{pid}/children").split():
        give_way(int(child))


def go_first(pid):
    """Lets a clock look at its watch in time; takes root, and goes without it."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


class Lab:
    def __init__(self, build, directory, pin):
        self.build = build
        self.directory = directory
        cpus = sorted(os.sched_getaffinity(0))
        # A processor each for the server and for who asks it: where the scheduler puts the two
        # would otherwise decide more than what is measured.
        self.pinned = pin and len(cpus) > 1
        self._server_cpu, self._load_cpu = cpus[-1], cpus[0]
        for name in ("mtastsd", "tests/bench/bench_load", "tests/bench/bench_echo",
                     "tests/bench/bench_seed", "tests/bench/bench_due",
                     "tests/bench/bench_fetch"):
            if not os.access(os.path.join(build, name), os.X_OK):
                sys.exit(f"{build}/{name} is missing: configure with -DMTASTSD_BENCH=ON and build")

    def below(self, name):
        """The same with a directory of its own."""
        other = copy.copy(self)
        other.directory = self.path(name)
        os.makedirs(other.directory, exist_ok=True)
        return other

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def program(self, name):
        return os.path.join(self.build, "tests", "bench", name)

    def on_server_cpu(self, command):
        return ["taskset", "-c", str(self._server_cpu), *command] if self.pinned else command

    def on_load_cpu(self, command):
        return ["taskset", "-c", str(self._load_cpu), *command] if self.pinned else command

    def seed(self, policies, negatives):
        """The directory of a cache that holds them, and the files with their keys."""
        cache = self.path("seeded")
        self.seed_into(cache, "--policies", policies, "--negatives", negatives)
        return (cache,
                write_lines(self.path("enforce.keys"), map(policy_domain, range(policies))),
                write_lines(self.path("nopolicy.keys"),
                            (f"n{i:08}.bench.test" for i in range(negatives))))

    def seed_into(self, cache, *options):
        sandbox.run([self.program("bench_seed"), "--directory", cache, *map(str, options)],
                    timeout=SEED_LIMIT)


class Mtastsd:
    """The daemon, with one answering thread unless told otherwise."""

    def __init__(self, lab, label, cache, settings=None, pinned=False, threads=1, wait=True):
        directory = lab.path(label)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        self.inet = f"inet:127.0.0.1:{free_port()}"
        self.unix = f"unix:{directory}/sock"
        wanted = {"socketmap": {"listen": [self.inet, self.unix], "threads": threads},
                  "cache": {"directory": cache}, "control": {"socket": ""},
                  "dns": {"servers": ["127.0.0.1:1"]}}
        for section, values in (settings or {}).items():
            wanted[section] = {**wanted.get(section, {}), **values}
        self.config = os.path.join(directory, "mtastsd.toml")
        sandbox.write(self.config, daemon.toml(wanted))
        command = [os.path.join(lab.build, "mtastsd"), "--config", self.config]
        self._child = sandbox.Child("mtastsd", lab.on_server_cpu(command) if pinned else command,
                                    os.path.join(directory, "log"))
        self.pid = self._child.pid
        if wait:
            self._child.wait_until(lambda: "event=started" in self._child.log(), "starts",
                                   START_LIMIT)

    def kill(self):
        """As the machine does when its memory is full."""
        self._child.kill()

    def stop(self):
        """The counters that the daemon logs at its end."""
        self._child.stop()
        return {name: int(value) for name, value in
                re.findall(r" (\w+)=(\d+)", self._child.log().rpartition("event=stopped")[2])}


class Echo:
    """The echo server, with one reply for everything."""

    def __init__(self, lab, label, reply, pinned=True):
        path = lab.path(label + ".sock")
        command = [lab.program("bench_echo"), "--reply", reply, "--unix", path]
        self._child = sandbox.Child("bench_echo",
                                    lab.on_server_cpu(command) if pinned else command,
                                    lab.path(label + ".log"))
        self.unix = "unix:" + path
        self._child.wait_until(lambda: self.unix in self._child.log(), "starts")
        self.inet = re.search(r"inet:\S+", self._child.log()).group()
        self.pid = self._child.pid

    def stop(self):
        self._child.stop()


class Load:
    """One run of the load generator. `measuring()` returns when its measured span begins."""

    def __init__(self, lab, server, target, keys, expect, pinned=True, gives_way=False,
                 goes_first=False, **options):
        # A file with keys, or how many of bench_seed's policies.
        which = ["--names", str(keys)] if isinstance(keys, int) else ["--keys", keys]
        command = [lab.program("bench_load"), "--target", target, *which,
                   "--expect", expect, "--pid", str(server.pid)]
        for name, value in options.items():
            command += ["--" + name] if value is True else ["--" + name, str(value)]
        self._process = subprocess.Popen(lab.on_load_cpu(command) if pinned else command,
                                         stdout=subprocess.PIPE, text=True)
        if gives_way:
            give_way(self._process.pid)
        if goes_first:
            go_first(self._process.pid)

    def measuring(self):
        if self._process.stdout.readline() != "measuring\n":
            sys.exit(f"bench_load ended with status {self._process.wait(RUN_LIMIT)}")
        return self

    def end(self):
        self._process.terminate()
        return self.result()

    def result(self):
        out, _ = self._process.communicate(timeout=RUN_LIMIT)
        if self._process.returncode != 0:
            sys.exit(f"bench_load ended with status {self._process.returncode}")
        figures = json.loads(out.splitlines()[-1])
        if figures["wrong"] or figures["unanswered"] or not figures["answers"]:
            sys.exit(f"bench_load: wrong or missing answers: {figures}")
        return figures


class UnlimitedNsd(dns.Nsd):
    """nsd drops answers above 200 a second to one client unless told otherwise."""

    @property
    def pid(self):
        return self._child.pid

    def _write_config(self):
        super()._write_config()
        text = sandbox.read(self._config)
        sandbox.write(self._config, text.replace("server:\n", "server:\n    rrl-ratelimit: 0\n", 1))


class Internet:
    """`count` domains with a policy, in nsd and nginx, and some more to warm up with."""

    WARM = 50

    def __init__(self, lab, count):
        self._lab = lab
        self.domains = [f"d{i}.bench.test" for i in range(count)]
        self.warm = [f"w{i}.bench.test" for i in range(self.WARM)]
        self.domain_file = write_lines(lab.path("cold.keys"), self.domains)
        self.warm_file = write_lines(lab.path("warm.keys"), self.warm)
        self.https_port = free_port()
        self._authority = pki.Authority(lab.path("pki"))
        self.ca_file = self._bundle()
        self._nsd = UnlimitedNsd(lab.path("nsd"), port=free_port(), ttl=3600)
        for domain in self.domains + self.warm:
            self._nsd.set("_mta-sts." + domain, "TXT", "v=STSv1; id=20240101T000000")
            self._nsd.set("mta-sts." + domain, "A", "127.0.0.1")
        self._nsd.apply()
        self._start_nginx()

    def settings(self):
        """What makes the daemon look there."""
        return {"dns": {"servers": [f"127.0.0.1:{self._nsd.port}"]},
                "https": {"port": self.https_port, "allow_local_addresses": True,
                          "ca_file": self.ca_file}}

    def give_way(self):
        """In life these are other machines: here they shall not take processors from ours."""
        give_way(self._nginx.pid)
        give_way(self._nsd.pid)

    def stop(self):
        self._nginx.stop()
        self._nsd.stop()

    def _bundle(self):
        """The system's authorities and ours: a bundle of the usual size has to be searched."""
        path = self._lab.path("ca-bundle.pem")
        bundle = sandbox.read("/etc/ssl/certs/ca-certificates.crt")
        if not bundle:
            print("note: no system CA bundle, so the one used holds a single certificate",
                  file=sys.stderr)
        sandbox.write(path, bundle + sandbox.read(self._authority.cert))
        return path

    def _server_block(self, hosts):
        certificate = self._authority.issue(*hosts, cn="bench.test")
        return f"""
    server {{
        listen 127.0.0.1:{self.https_port} ssl backlog=1024;
        server_name {" ".join(hosts)};
        ssl_certificate {certificate.cert};
        ssl_certificate_key {certificate.key};
        location = /.well-known/mta-sts.txt {{
            default_type text/plain;
            return 200 "version: STSv1\\r\\nmode: enforce\\r\\nmx: mx1.$host\\r\\nmx: *.$host\\r\\nmax_age: 604800\\r\\n";
        }}
    }}"""

    def _start_nginx(self):
        names = ["mta-sts." + domain for domain in self.domains + self.warm]
        blocks = "".join(self._server_block(names[at:at + NAMES_PER_CERTIFICATE])
                         for at in range(0, len(names), NAMES_PER_CERTIFICATE))
        # Socket options belong to the first listener of an address.
        first, *rest = blocks.split(" backlog=1024")
        blocks = first + " backlog=1024" + "".join(rest)
        inside = self._lab.path("nginx")
        os.makedirs(inside)
        temporary = "".join(f"    {name}_temp_path {inside}/tmp;\n"
                            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = os.path.join(inside, "nginx.conf")
        sandbox.write(config, f"""\
daemon off;
worker_processes 1;
pid {inside}/pid;
error_log {inside}/error.log;
events {{ worker_connections 4096; }}
http {{
{temporary}\
    access_log off;
    server_names_hash_bucket_size 128;
    server_names_hash_max_size 8192;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;{blocks}
}}
""")
        self._nginx = sandbox.Child(
            "nginx", [sandbox.program("nginx", "nginx-light"), "-c", config, "-e",
                      os.path.join(inside, "error.log")], os.path.join(inside, "log"))
        self._nginx.wait_until(self._accepts, "accepts connections", START_LIMIT)

    def _accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.https_port), timeout=1).close()
            return True
        except OSError:
            return False
