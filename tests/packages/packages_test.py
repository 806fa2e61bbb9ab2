#!/usr/bin/env python3
"""Installs, upgrades, removes and purges the Debian package in a system that runs systemd.

    packages_test.py --packages DIRECTORY --machine ROOT

DIRECTORY has the packages before/mtastsd_*.deb and now/mtastsd_*.deb. ROOT is the root directory of a
minimal system with systemd and Postfix, in whose apt cache is what the package depends on; it is copied.
The steps depend on each other, so this is one program and no collection of tests. Each prints what it saw.
"""

import argparse
import datetime
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

from machine import Machine

STARTED = time.monotonic()
PORT = 8461
UNIX_SOCKET = "/run/mtastsd-policy/socket"
CONFIG = "/etc/mtastsd/mtastsd.toml"
DOMAIN = "known.example"
ANSWER = "OK secure match=mail.known.example servername=hostname"
UNITS = ("mtastsd.service", "mtastsd.socket", "mtastsd-unix.socket")
# Where a system that is used leaves traces, whatever is installed.
BUSY = ("/proc/", "/sys/", "/dev/", "/run/", "/tmp/", "/root/", "/var/cache/", "/var/log/",
        "/var/lib/apt/", "/var/lib/dpkg/", "/var/lib/systemd/", "/var/lib/postfix/", "/var/spool/postfix/",
        "/var/tmp/", "/etc/ld.so.cache", "/usr/share/mime/")


def say(sentence):
    print(f"ok - {time.monotonic() - STARTED:4.0f} s - {sentence}", flush=True)


def need(condition, sentence):
    if not condition:
        raise AssertionError(sentence)


def files_of(machine):
    """The files of the machine outside of BUSY, with a digest of each small one."""
    root = os.path.realpath(machine.root)
    found = {}
    for directory, names, files in os.walk(root):
        inside = directory[len(root):] + "/"
        names[:] = [name for name in names if not f"{inside}{name}/".startswith(BUSY)]
        for name in names:
            found[f"{inside}{name}/"] = ""
        for name in files:
            path = inside + name
            if path.startswith(BUSY) or path.endswith("-"):  # passwd- is the passwd of before
                continue
            full = root + path
            if os.path.islink(full):
                found[path] = os.readlink(full)
            elif os.path.isfile(full) and os.path.getsize(full) < 1 << 16:
                with open(full, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()
            else:
                found[path] = ""
    return found


def differences(before, after):
    return sorted(f"{'new' if name not in before else 'gone' if name not in after else 'changed'} {name}"
                  for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def is_active(machine, unit):
    return machine.run("systemctl", "is-active", unit, check=False).strip() == "active"


def wait_for_event(machine, event):
    deadline = time.monotonic() + 30
    while f"event={event} " not in machine.run("journalctl", "-u", "mtastsd", "--no-pager"):
        need(time.monotonic() < deadline, f"no event={event} in the journal:\n"
             + machine.run("journalctl", "--no-pager", "-n", "30"))
        time.sleep(0.5)


class Load:
    """Asks all the time while the body of the "with" runs."""

    def __init__(self, machine):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")
        self._process = machine.in_its_network(
            sys.executable, script, "127.0.0.1", str(PORT), DOMAIN, ANSWER,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.counts = {}

    def __enter__(self):
        time.sleep(1)
        return self

    def __exit__(self, *_):
        time.sleep(1)
        self.counts = json.loads(self._process.communicate("")[0])

    def check(self, what):
        # A server that stops closes connections that are idle, and a question can meet that.
        bad = {result: count for result, count in self.counts.items()
               if result not in ("new answered", "kept answered", "kept closed and asked again")}
        need(not bad, f"{what}: {self.counts}")
        say(f"{what}: all {self.counts['new answered']} questions on new connections were answered at "
            f"once, and all {self.counts['kept answered']} on kept ones; "
            f"{self.counts.get('kept closed and asked again', 0)} of these were asked again")


def ask(machine, where):
    return machine.run("mtastsctl", "query", "--server", where, DOMAIN, check=False).strip()


def import_policy(machine):
    now = datetime.datetime.now(datetime.timezone.utc)
    text = "version: STSv1\nmode: enforce\nmx: mail.known.example\nmax_age: 604800\n"
    with open(machine.path("/root/policy"), "w", encoding="utf-8") as file:
        json.dump({"domain": DOMAIN, "policy": {"id": "1", "text": text,
                                                "fetched_at": now.strftime("%Y-%m-%dT%H:%M:%SZ")}}, file)
        file.write("\n")
    machine.run("mtastsctl", "cache", "import", "/root/policy")


def check_watchdog(machine):
    """A daemon that hangs is started anew."""
    drop_in = machine.path("/etc/systemd/system/mtastsd.service.d")
    os.mkdir(drop_in)
    with open(os.path.join(drop_in, "test.conf"), "w", encoding="utf-8") as file:
        file.write("[Service]\nWatchdogSec=3\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "mtastsd")
    running = machine.run("systemctl", "show", "-P", "MainPID", "mtastsd").strip()
    time.sleep(7)
    need(running == machine.run("systemctl", "show", "-P", "MainPID", "mtastsd").strip(),
         "a daemon that is well was started anew")
    machine.run("sh", "-c", f"kill -STOP {running}")
    need(ask(machine, f"inet:127.0.0.1:{PORT}") == ANSWER, "nobody answers after the watchdog")
    need(running != machine.run("systemctl", "show", "-P", "MainPID", "mtastsd").strip(), "not started anew")
    shutil.rmtree(drop_in)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "mtastsd")
    say("the watchdog starts a daemon that hangs anew, and leaves one that is well alone")


def check_instance(machine):
    config = machine.path("/etc/mtastsd/second.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write('[socketmap]\nlisten = ["inet:127.0.0.1:8462"]\n'
                   '[control]\nsocket = "/run/mtastsd-second/control.sock"\n')
    machine.run("systemctl", "start", "mtastsd@second")
    need(ask(machine, "inet:127.0.0.1:8462") == "NOTFOUND", "the second daemon has the cache of the first")
    machine.run("mtastsctl", "status", "--json", "--config", "/etc/mtastsd/second.toml")
    machine.run("systemctl", "restart", "mtastsd")
    need(is_active(machine, "mtastsd@second"), "a restart of the first daemon stops the second")
    machine.run("systemctl", "stop", "mtastsd@second")
    os.remove(config)
    say("mtastsd@second is a daemon of its own")


def install(machine, package):
    """What apt says. There is no network: apt has all it needs."""
    return machine.run("apt-get", "install", "-q", "-y", "--no-install-recommends", package)


def run_steps(machine):
    clean = files_of(machine)
    postfix = {name: digest for name, digest in clean.items() if name.startswith("/etc/postfix/")}

    said = install(machine, "/root/before.deb")
    for unit in UNITS:
        need(is_active(machine, unit), f"{unit} is not active after the installation:\n"
             + machine.run("systemctl", "status", unit, check=False))
    need("smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix" in said,
         "the package does not say what to do:\n" + said)
    say("installed, started, and said what to do")
    now = files_of(machine)
    need(postfix == {name: now[name] for name in now if name.startswith("/etc/postfix/")},
         "the package touched Postfix")
    say("the files of Postfix are as before")

    import_policy(machine)
    for where in (f"inet:127.0.0.1:{PORT}", f"unix:{UNIX_SOCKET}"):
        need(ask(machine, where) == ANSWER, f"{where} answers {ask(machine, where)!r}")
    say("answers at the port and at the unix socket")

    with open(machine.path(CONFIG), "a", encoding="utf-8") as file:
        file.write("# A line of the administrator.\n")
    first = machine.run("systemctl", "show", "-P", "MainPID", "mtastsd")
    with Load(machine) as load:
        install(machine, "/root/now.deb")
    load.check("upgrade")
    need(first != machine.run("systemctl", "show", "-P", "MainPID", "mtastsd"), "not restarted")
    with open(machine.path(CONFIG), encoding="utf-8") as file:
        need("# A line of the administrator.\n" in file.read(), "the configuration is lost")
    say("the upgrade restarted the daemon and kept the configuration and the cache")

    complaints = machine.run("systemd-analyze", "--man=no", "verify", "mtastsd.service",
                             "mtastsd@other.service", "mtastsd.socket", "mtastsd-unix.socket",
                             "postfix.service", check=False)
    need("cycle" not in complaints and "mtastsd" not in complaints, complaints)
    say("systemd finds no mistake in the units, and no cycle with Postfix")

    machine.run("systemctl", "reload", "mtastsd")
    wait_for_event(machine, "reloaded")
    with open(machine.path(CONFIG), "a", encoding="utf-8") as file:
        file.write("[dns]\ntimeout = 5\n")
    try:
        complaints = machine.run("systemctl", "reload", "mtastsd", check=False)
        need("failed" in complaints, "a reload with a mistake says nothing: " + complaints)
    finally:
        with open(machine.path(CONFIG), "r+", encoding="utf-8") as file:
            text = file.read()
            file.seek(0)
            file.truncate()
            file.write(text.removesuffix("[dns]\ntimeout = 5\n"))
    machine.run("systemctl", "reload", "mtastsd")
    say("systemctl reload reaches the daemon, and fails for a configuration with a mistake")

    check_watchdog(machine)
    check_instance(machine)

    with Load(machine) as load:
        for _ in range(5):
            machine.run("systemctl", "restart", "mtastsd")
    load.check("five restarts")

    machine.run("apt-get", "remove", "-q", "-y", "mtastsd")
    for unit in UNITS:
        need(not is_active(machine, unit), f"{unit} is active after the removal")
    need(os.path.exists(machine.path(CONFIG)), "the removal took the configuration")
    install(machine, "/root/now.deb")
    need(ask(machine, f"inet:127.0.0.1:{PORT}") == ANSWER, "the removal took the cache")
    say("removed and installed again, with the configuration and the cache of before")

    # What the package depends on goes too, also where others recommend or suggest it.
    machine.run("apt-get", "purge", "-q", "-y", "--autoremove", "-o", "APT::AutoRemove::RecommendsImportant=false",
                "-o", "APT::AutoRemove::SuggestsImportant=false", "mtastsd")
    left = differences(clean, files_of(machine))
    need(not left, f"{len(left)} files left behind by the purge, such as " + "; ".join(left[:50]))
    need(not glob.glob(machine.path("/run/mtastsd*")), "left in /run by the purge")
    need("mtastsd" not in machine.run("systemctl", "list-unit-files"), "the units are left")
    say("purged, and nothing is left")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", required=True)
    parser.add_argument("--machine", required=True)
    options = parser.parse_args()
    machine = Machine(options.machine)
    try:
        for version in ("before", "now"):
            (package,) = glob.glob(os.path.join(options.packages, version, "mtastsd_*.deb"))
            shutil.copy(package, machine.path(f"/root/{version}.deb"))
        say(f"systemd is up: {machine.run('systemctl', '--version').splitlines()[0]}")
        run_steps(machine)
    finally:
        machine.close()


if __name__ == "__main__":
    main()
