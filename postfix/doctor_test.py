#!/usr/bin/env python3
"""The lines that mtastsctl doctor prints, applied together, always give a Postfix that works.

Each run takes a Postfix and a mtastsd where all is well, puts one or two faults out of a table into
main.cf, master.cf, mtastsd.toml and the files that they name, does exactly what doctor says, and
asks doctor again, which must find nothing. Then mail is sent: with an enforced policy it arrives
over a verified connection, where the certificate is not the policy's it waits, and without a policy
it arrives.

    doctor_test.py --mtastsd PATH --mtastsctl PATH                  every fault, each with mail
    doctor_test.py --mtastsd PATH --mtastsctl PATH --sample 40      some faults and pairs
    doctor_test.py --mtastsd PATH --mtastsctl PATH --all            all faults and pairs, with mail
    doctor_test.py ... --all --share 1/4                            a quarter of them
    doctor_test.py ... --only "wrong port" "no authorities"         these together
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "integration"))

# pylint: disable=wrong-import-position
from testenv import pki, sandbox, smtp, socketmap, web
from testenv.daemon import Mtastsd
from testenv.dnssec import SignedDns
from testenv.postfix import Postfix

PORT = "inet:127.0.0.1:8461"
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
SAMPLED_MAILS = 8  # of a sample
NOBODY = 65534
OPTIONS = None


class State:
    """What the faults change. Files are undone by undo()."""

    def __init__(self, world):
        self.world = world
        self.main = {
            "smtp_tls_policy_maps": world.table,
            "smtp_tls_CAfile": SYSTEM_CA,
            "smtp_tls_security_level": "may",
            "smtp_tls_loglevel": "1",
        }
        self.options = {"smtp": {}, "relay": {}, "slow": {}}  # of master.cf
        self.chroot = {"smtp": "y", "relay": "n", "slow": "n"}
        self.toml = {section: dict(keys) for section, keys in world.toml.items()}
        self.raw_toml = ""  # for the end of the file
        self.restart = False
        self.undo = contextlib.ExitStack()

    def maps(self, value):
        self.main["smtp_tls_policy_maps"] = value

    def listen(self, *addresses, restart=True):
        self.toml["socketmap"]["listen"] = list(addresses)
        self.restart = restart

    def file(self, name, text):
        path = os.path.join(self.world.postfix.config, name)
        sandbox.write(path, text)
        self.undo.callback(os.unlink, path)
        return path

    def mode(self, path, mode):
        before = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode)
        self.undo.callback(lambda: os.path.exists(path) and os.chmod(path, before))

    def server(self, address, answers=None):
        """Another user's server that speaks the protocol."""
        os.seteuid(NOBODY)
        try:
            other = socketmap.FixedServer(address, answers)
        finally:
            os.seteuid(0)
        self.undo.callback(other.stop)

    def stop_daemon(self):
        self.world.mtastsd.stop()
        self.restart = False

    def main_cf(self):
        return "".join(f"{name} = {value}\n" for name, value in self.main.items()
                       if value is not None)

    def master_cf(self):
        lines = [line for line in self.world.master.splitlines()
                 if not line.startswith("smtp  ")]
        for name, options in self.options.items():
            lines.append(f"{name} unix - - {self.chroot[name]} - - smtp")
            lines += [f"  -o {{ {key} = {value} }}" for key, value in options.items()]
        return "\n".join(lines) + "\n"


def faults(world):
    """{name: function}. Those whose name ends in "(a hint)" need not be HIGH or MEDIUM."""
    table, unix, name = world.table, world.unix_table, world.map
    port, queue, socket = "socketmap:" + PORT, world.postfix.queue, world.socket
    gone = os.path.join(world.postfix.config, "gone")
    other = "postfix" if world.modern else "postfixWithTLSRPT"

    def maps(value):
        return lambda s: s.maps(value)

    def main(**values):
        return lambda s: s.main.update(values)

    def option(service, **values):
        return lambda s: s.options[service].update(values)

    def both(*steps):
        return lambda s: [step(s) for step in steps]

    def toml(section, restart=True, **values):
        def change(s):
            s.toml.setdefault(section, {}).update(values)
            s.restart = s.restart or restart
        return change

    def raw(text):
        def change(s):
            s.raw_toml += text
        return change

    return {
        # smtp_tls_policy_maps
        "no maps": main(smtp_tls_policy_maps=None),
        "empty maps": maps(""),
        "sockmap": maps(f"sockmap:{PORT}:{name}"),
        "no kind of socket": maps(f"socketmap:127.0.0.1:8461:{name}"),
        "no name": maps(port),
        "tcp socket": maps(f"socketmap:tcp:127.0.0.1:8461:{name}"),
        "wrong port": maps(f"socketmap:inet:127.0.0.1:8642:{name}"),
        "port out of range": maps(f"socketmap:inet:127.0.0.1:84610:{name}"),
        "port name": maps(f"socketmap:inet:127.0.0.1:mtasts:{name}"),
        "wrong address": maps(f"socketmap:inet:127.0.0.7:8461:{name}"),
        "no such host": maps(f"socketmap:inet:nosuch.invalid:8461:{name}"),
        "localhost (a hint)": maps(f"socketmap:inet:localhost:8461:{name}"),
        "absolute path": maps(f"socketmap:unix:{socket}:{name}"),
        "no such socket": maps(f"socketmap:unix:run/gone.sock:{name}"),
        "private socket": maps(f"socketmap:unix:private/sts:{name}"),
        "file for a socket": lambda s: s.maps(f"socketmap:unix:{s.file('plain', '')}:{name}"),
        "static in front": maps(f"static:may, {table}"),
        "static none in front": maps(f"static:none {table}"),
        "static of no level": maps(f"{table} static:always"),
        "table without source": maps(f"hash:{gone} {table}"),
        "last table without source": maps(f"{table} hash:{gone}"),
        "table not built": lambda s: s.maps(f"hash:{s.file('built', 'x.test may')}, {table}"),
        "unknown type": maps(f"haash:{gone} {table}"),
        "type of another package": maps(f"{table} mysql:{gone}"),
        "no regexp file": maps(f"regexp:{gone} {table}"),
        "regexp for all": lambda s: s.maps(f"regexp:{s.file('all', '/./ may')} {table}"),
        "regexp of no level": lambda s: s.maps(f"{table} regexp:{s.file('all', '/./ yes')}"),
        "no text file": maps(f"texthash:{gone} {table}"),
        "fail table": maps(f"fail:nothing {table}"),
        "dead tcp table": maps(f"{table} tcp:127.0.0.1:9"),
        "union": maps(f"unionmap:{{{table}, inline:{{x.test=may}}}}"),
        "random": maps(f"randmap:{{{table}}}"),
        "pipe": maps(f"pipemap:{{inline:{{x.test=y.test}}, {table}}}"),
        "pipe of one (a hint)": maps(f"pipemap:{{{table}}}"),
        "twice": maps(f"{table} socketmap:{PORT}:QUERY"),
        "dead server in front": maps(f"socketmap:inet:127.0.0.1:9999:x {table}"),
        "unknown map": maps(f"{port}:sts"),
        "map of another version": maps(f"{port}:{other}"),
        "proxymap refuses": main(smtp_tls_policy_maps="proxy:" + table,
                                 proxy_read_maps="$alias_maps"),
        "server of another": both(lambda s: s.server("inet:127.0.0.1:8642"),
                                  maps(f"socketmap:inet:127.0.0.1:8642:{name}")),
        "server that knows all": both(
            lambda s: s.server("inet:127.0.0.1:8643", {".mtastsctl-doctor.invalid": "OK none"}),
            maps(f"socketmap:inet:127.0.0.1:8643:{name}")),
        # TLS and DNS
        "level none": main(smtp_tls_security_level="none"),
        "no level": main(smtp_tls_security_level=None),
        "unknown level": main(smtp_tls_security_level="always"),
        "fingerprint of nothing": main(smtp_tls_security_level="fingerprint"),
        "dane without dnssec": main(smtp_tls_security_level="dane"),
        "dane and a map without": main(smtp_tls_security_level="dane",
                                       smtp_dns_support_level="dnssec"),
        "dane map without dnssec": maps(f"{port}:{world.dane_map}"),
        "dane ignoring errors": main(smtp_tls_security_level="dane", ignore_mx_lookup_error="yes",
                                     smtp_dns_support_level="dnssec"),
        "no dns": main(smtp_dns_support_level="disabled"),
        "no dns by its old name": main(disable_dns_lookups="yes"),
        "no authorities": main(smtp_tls_CAfile=None),
        "default authorities only": main(smtp_tls_CAfile=None, tls_append_default_CA="yes"),
        "no such authorities": main(smtp_tls_CAfile=gone),
        "authorities that are none": main(smtp_tls_CAfile="/etc/passwd"),
        "authorities outside": main(smtp_tls_CAfile=None, smtp_tls_CApath="/etc/ssl/certs"),
        "trust anchors": main(smtp_tls_trust_anchor_file=SYSTEM_CA),
        "missing trust anchors": main(smtp_tls_trust_anchor_file=gone, smtp_tls_CAfile=None),
        "silent log (a hint)": main(smtp_tls_loglevel="0"),
        "sites (a hint)": main(smtp_tls_per_site="hash:" + gone),
        "protocols that nobody has": main(smtp_tls_mandatory_protocols="!TLSv1.2 !TLSv1.3"),
        "protocols that do not exist": main(smtp_tls_mandatory_protocols="TLSv12"),
        "opportunistic protocols": main(smtp_tls_protocols="TLSv1.5"),
        "all ciphers excluded": main(smtp_tls_exclude_ciphers="ALL"),
        "usual ciphers excluded": main(smtp_tls_mandatory_exclude_ciphers="ECDHE, aRSA"),
        "grade of nothing": main(smtp_tls_mandatory_ciphers="null"),
        "opportunistic grade": main(smtp_tls_ciphers="best"),
        "empty cipher list": main(tls_medium_cipherlist="eNULL"),
        "no such transport": main(default_transport="smpt"),
        # master.cf
        "smtp without maps": option("smtp", smtp_tls_policy_maps=""),
        "relay without maps": option("relay", smtp_tls_policy_maps=""),
        "transport without maps": both(option("slow", smtp_tls_policy_maps=""),
                                       main(default_transport="slow")),
        "transport with a wrong port": both(
            option("slow", smtp_tls_policy_maps=f"socketmap:inet:127.0.0.1:1:{name}"),
            main(default_transport="slow")),
        "transport with a missing table": option("smtp", smtp_tls_policy_maps="hash:" + gone),
        "proxied transport": option("slow", smtp_tls_policy_maps="proxy:" + table),
        "relay without TLS": option("relay", smtp_tls_security_level="none"),
        "transport at an unknown level": option("smtp", smtp_tls_security_level="yes"),
        "transport without authorities": option("smtp", smtp_tls_CAfile=""),
        "transport with dane": option("relay", smtp_tls_security_level="dane"),
        "transport without protocols": option("smtp", smtp_tls_mandatory_protocols="<=TLSv1.1"),
        "transport without ciphers": option("slow", smtp_tls_exclude_ciphers="ALL"),
        "transport without dns": option("smtp", smtp_dns_support_level="disabled"),
        # mtastsd.toml
        "new port, not restarted": lambda s: s.listen("inet:127.0.0.1:8999", restart=False),
        "new port, restarted": lambda s: s.listen("inet:127.0.0.1:8999"),
        "socket outside of the chroot": lambda s: s.listen(f"unix:{world.outside}/policy.sock"),
        "socket outside, asked for": both(
            lambda s: s.listen(f"unix:{world.outside}/policy.sock"),
            maps(f"socketmap:unix:{world.outside}/policy.sock:{name}")),
        "private listener": both(lambda s: s.listen(f"unix:{queue}/private/sts"),
                                 maps(f"socketmap:unix:private/sts:{name}")),
        "address of another host": lambda s: s.listen("inet:192.0.2.200:8461"),
        "port of another server": both(lambda s: s.server("inet:127.0.0.1:8777"),
                                       lambda s: s.listen("inet:127.0.0.1:8777")),
        "no directory for the socket": both(
            lambda s: s.listen(f"unix:{queue}/run/new/policy.sock", restart=False),
            maps(f"socketmap:unix:run/new/policy.sock:{name}")),
        "socket of mode 0600": both(maps(unix), toml("socketmap", socket_mode="0600")),
        "socket of another group": both(maps(unix), toml("socketmap", socket_group="daemon")),
        "closed directory": both(maps(unix), lambda s: s.mode(world.sockets, 0o700)),
        "closed directories": both(maps(unix), lambda s: s.mode(world.sockets, 0o700),
                                   lambda s: s.mode(queue + "/run", 0o700)),
        "few connections": toml("socketmap", max_connections=10),
        "unknown key": raw("[resolver]\nanswer_timout = \"5s\"\n"),
        "bad value": raw("[resolver]\nanswer_timeout = \"5\"\n"),
        "unknown section": raw("[dnss]\n"),
        "map for a newer Postfix": both(toml(f"maps.{name}", postfix_version="3.10"),
                                        maps(table)) if not world.modern
                                   else toml(f"maps.{name}", postfix_version="3.9"),
        "map for an old Postfix": toml(f"maps.{name}", postfix_version="3.3"),
        "daemon stopped": lambda s: s.stop_daemon(),
    }


class World:
    def __init__(self, directory):
        self.directory = directory
        version = Postfix.version()
        self.modern = version >= (3, 10)
        self.map = "postfixWithTLSRPT" if self.modern else "postfix"
        self.dane_map = "daneWithTLSRPT" if self.modern else "dane"
        self.table = f"socketmap:{PORT}:{self.map}"
        self.unix_table = f"socketmap:unix:run/mtastsd/policy.sock:{self.map}"
        self.authority = pki.Authority(os.path.join(directory, "pki"))
        sandbox.cover("/etc/resolv.conf", "nameserver 127.0.0.1\n", directory)
        sandbox.cover("/etc/hosts", "127.0.0.1 localhost\n", directory)
        sandbox.cover(SYSTEM_CA, sandbox.read(self.authority.cert), directory)
        self.dns = SignedDns(os.path.join(directory, "dns"))
        self.web = web.PolicyServer(os.path.join(directory, "web"), self.authority)
        self.postfix = Postfix(os.path.join(directory, "postfix"), "")
        self.master = sandbox.read(os.path.join(self.postfix.config, "master.cf"))
        self.sockets = self.postfix.make_socket_directory("run/mtastsd")
        self.socket = os.path.join(self.sockets, "policy.sock")
        self.outside = os.path.join(directory, "outside")
        os.mkdir(self.outside)
        self.toml = {
            "socketmap": {"listen": [PORT, "unix:" + self.socket], "socket_mode": "0660",
                          "socket_group": "postfix"},
            "https": {"allow_local_addresses": True},
            "cache": {"directory": os.path.join(directory, "cache")},
        }
        self.mtastsd = Mtastsd(OPTIONS.mtastsd, os.path.join(directory, "mtastsd"), self.toml)
        self.sinks = []
        self.changed = False  # of mtastsd, since it was started as it should be

    def start(self):
        issue = self.authority.issue
        for domain, certificate in (("good.test", issue("mail.good.test", "good.test")),
                                    ("wrong.test", issue("mail.elsewhere.test")),
                                    ("plain.test", issue("mail.plain.test", "plain.test"))):
            host, address = "mail." + domain, f"127.0.1.{len(self.sinks) + 11}"
            self.sinks.append(smtp.SmtpSink(address, host, certificate))
            self.dns.set(host, "A", address)
            self.dns.set(domain, "MX", "10 " + host)
            self.dns.set(domain, "A", address)
            if domain != "plain.test":
                self.dns.set("_mta-sts." + domain, "TXT", "v=STSv1; id=1;")
                self.dns.set("mta-sts." + domain, "A", "127.0.0.1")
                self.web.publish(domain, web.policy_text(host))
        self.dns.apply()
        self.web.apply()
        self.mtastsd.start()
        self.write(State(self))
        self.postfix.start()

    def stop(self):
        self.postfix.stop()
        if self.mtastsd.running():
            self.mtastsd.stop()
        self.web.stop()
        self.dns.stop()
        for sink in self.sinks:
            sink.stop()

    def write(self, state):
        self.postfix.configure(state.main_cf())
        sandbox.write(os.path.join(self.postfix.config, "master.cf"), state.master_cf())
        self.mtastsd.settings = state.toml
        self.mtastsd.write_config(state.toml)
        if state.raw_toml:
            sandbox.write(self.mtastsd.config, sandbox.read(self.mtastsd.config) + state.raw_toml)

    def restart_daemon(self):
        """As systemd does: it may fail, which the second look at it finds out."""
        if self.mtastsd.running():
            self.mtastsd.stop()
        self.changed = True
        listen = re.search(r"^listen = (\[.*\])", sandbox.read(self.mtastsd.config), re.M)
        self.mtastsd.settings = {"socketmap": {"listen": json.loads(listen[1])}}
        with contextlib.suppress(AssertionError):
            self.mtastsd.start()

    def put_right(self):
        self.write(State(self))
        os.chmod(self.postfix.queue + "/run", 0o755)
        shutil.rmtree(self.postfix.queue + "/run/new", ignore_errors=True)
        os.chmod(self.sockets, 0o750)
        if self.changed or not self.mtastsd.running():
            if self.mtastsd.running():
                self.mtastsd.stop()
            self.mtastsd.settings = self.toml
            self.mtastsd.start()
            self.changed = False

    def doctor(self):
        done = subprocess.run([OPTIONS.mtastsctl, "doctor", "--json", "--postfix-config",
                               self.postfix.config, "--config", self.mtastsd.config],
                              capture_output=True, text=True, timeout=60)
        if done.stderr:
            raise AssertionError("doctor: " + done.stderr)
        return done.returncode, json.loads(done.stdout)

    # What a reader does who does what doctor says.

    def apply(self, changes):
        for change in changes:
            file, line = change["file"], change["line"]
            if file == "command":
                self.run_command(line)
            elif file.startswith("mtastsd.toml ["):
                self.set_key(file.partition("[")[2].rstrip("]"), line)
            elif file == "main.cf":
                sandbox.run(["postconf", "-c", self.postfix.config, "-e", line])
            elif file.startswith("master.cf, below "):
                self.set_option(file.partition("below ")[2], line)
            elif file == "master.cf":
                path = os.path.join(self.postfix.config, file)
                sandbox.write(path, sandbox.read(path) + line + "\n")
            else:
                raise AssertionError(f"where is {file}?")

    def run_command(self, line):
        if line in ("service mtastsd restart", "systemctl restart mtastsd"):
            self.restart_daemon()
        elif not line.endswith(" reload"):
            sandbox.run(["/bin/sh", "-c", line])

    def set_key(self, section, line):
        key = line.partition(" = ")[0]
        lines = sandbox.read(self.mtastsd.config).splitlines()
        header = f"[{section}]"
        if header not in lines:
            lines += [header]
        start = lines.index(header) + 1
        end = next((i for i in range(start, len(lines)) if lines[i].startswith("[")), len(lines))
        body = [old for old in lines[start:end] if old.partition(" = ")[0] != key]
        sandbox.write(self.mtastsd.config, "\n".join(lines[:start] + [line] + body + lines[end:])
                      + "\n")
        self.changed = True

    def set_option(self, service, line):
        path = os.path.join(self.postfix.config, "master.cf")
        name, key = service.partition("/")[0], line.split()[2]
        lines, inside = [], False
        for old in sandbox.read(path).splitlines():
            if not old.startswith(" "):
                inside = old.split()[:2] == [name, "unix"]
            elif inside and old.split()[2] == key:
                continue
            lines.append(old)
            if inside and not old.startswith(" "):
                lines.append("  " + line)
        sandbox.write(path, "\n".join(lines) + "\n")

    # Mail.

    def deliver(self):
        sandbox.run(["postfix", "-c", self.postfix.config, "reload"])
        ids = {}
        for domain in ("good.test", "plain.test", "wrong.test"):
            ids[domain] = sandbox.wait_for(lambda domain=domain: self.submit(domain), "smtpd")
        for domain, queue_id in ids.items():
            status = self.postfix.first_status(queue_id)
            want = "deferred" if domain == "wrong.test" else "sent"
            if status.status != want:
                raise AssertionError(f"mail to {domain}: {status}\n{self.postfix.maillog()[-3000:]}")
        self.postfix.delete(ids["wrong.test"])

    def submit(self, domain):
        try:
            return self.postfix.submit("user@" + domain)
        except OSError:  # it is being reloaded
            return None


def wrong(report):
    return sorted({finding["code"] for finding in report["findings"]
                   if finding["severity"] in ("HIGH", "MEDIUM", "UNKNOWN")})


def describe(report):
    return "\n".join(f"    {one['severity']} {one['code']}: {one['meaning']}"
                     for one in report["findings"] if one["severity"] not in ("OK", "INFO"))


def try_faults(world, table, names, mail):
    """Nothing, or what went wrong."""
    world.put_right()
    state = State(world)
    with state.undo:
        for name in names:
            table[name](state)
        world.write(state)
        if state.toml != world.toml or state.raw_toml:
            world.changed = True
        if state.restart:
            world.restart_daemon()
        _, before = world.doctor()
        if not wrong(before) and not all(name.endswith("(a hint)") for name in names):
            return "doctor finds nothing"
        try:
            world.apply(before["changes"])
        except sandbox.TestEnvironmentError as error:
            return f"a command fails: {error}"
        status, after = world.doctor()
        lines = "\n".join(f"    {one['file']}: {one['line']}" for one in before["changes"])
        if status != 0:
            return f"afterwards:\n{describe(after)}\n  before:\n{describe(before)}\n  done:\n{lines}"
        if mail:
            try:
                world.deliver()
            except AssertionError as error:
                return f"{error}\n  done:\n{lines}"
    return None


def plan(table):
    """[(names, with mail)]"""
    names = list(table)
    if OPTIONS.only:
        return [(tuple(OPTIONS.only), True)]
    singles = [(name,) for name in names]
    pairs = list(itertools.combinations(names, 2))
    chooser = random.Random(OPTIONS.seed)
    if OPTIONS.all:
        index, of = (int(part) for part in OPTIONS.share.split("/"))
        return [(one, True) for one in (singles + pairs)[index - 1::of]]
    if not OPTIONS.sample:
        return [(one, True) for one in singles]
    half = OPTIONS.sample // 2
    chosen = chooser.sample(singles, half) + chooser.sample(pairs, OPTIONS.sample - half)
    mailed = set(chooser.sample(range(len(chosen)), min(SAMPLED_MAILS, len(chosen))))
    return [(one, i in mailed) for i, one in enumerate(chosen)]


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True)
    parser.add_argument("--mtastsctl", required=True)
    parser.add_argument("--sample", type=int, help="so many runs, half of them with two faults")
    parser.add_argument("--all", action="store_true", help="all faults and pairs, each with mail")
    parser.add_argument("--share", default="1/1", help="I/N: the I-th of N parts of --all")
    parser.add_argument("--seed", type=int, default=1, help="for the sample")
    parser.add_argument("--verbose", action="store_true", help="print each run and its time")
    parser.add_argument("--only", nargs="*", help="the faults of one run")
    OPTIONS = parser.parse_args()
    sandbox.enter()
    world = World(sandbox.scratch_directory())
    table = faults(world)
    began, failed, mails = time.monotonic(), 0, 0
    runs = plan(table)
    try:
        world.start()
        for names, mail in runs:
            start = time.monotonic()
            trouble = try_faults(world, table, names, mail)
            mails += mail
            if OPTIONS.verbose:
                print(f"{time.monotonic() - start:5.1f} s  {' + '.join(names)}", flush=True)
            if trouble:
                failed += 1
                print(f"FAIL  {' + '.join(names)}: {trouble}", flush=True)
    finally:
        world.stop()
    print(f"{len(table)} faults, {len(runs)} runs, {mails} with mail, {failed} failed "
          f"({time.monotonic() - began:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
