#!/usr/bin/env python3
"""mtastsd where the disk, the descriptors, DNS or policy hosts fail.

    faults_test.py --mtastsd PATH [FaultsTest.test_...]

What holds in each case: a cached policy that is in force is answered, at once; for a domain of
which nothing is known NOTFOUND comes in time; the log says what is wrong, not again and again.
"""

import argparse
import os
import re
import shutil
import struct
import sys
import time
import unittest

from testenv import sandbox, socketmap
from testenv.badweb import BEFORE_TLS, BEHAVIOURS, BadWeb
from testenv.case import INET, OTHER_DNS, DaemonCase, secure
from testenv.daemon import toml
from testenv.dns import ScriptedDns

BAD_WEB = "127.0.0.77"
AT_ONCE = 1.0  # seconds for an answer that is known
FETCH_LIMIT, ANSWER_LIMIT = 2.0, 4.0
SLACK = 2.0  # of a busy machine
PAGE, BRANCH, LEAF = 4096, 0x01, 0x02  # of LMDB's file
DAMAGED_EXIT = 75


class LyingDns(ScriptedDns):
    """Faults that make an answer wrong, by the name that is asked for."""

    lies = {}  # name -> function of the right answer

    def _reply(self, query, transport):
        reply = super()._reply(query, transport)
        for name, lie in self.lies.items():
            label = bytes([len(name)]) + name.encode()
            if reply is not None and label in query:
                return lie(reply, query, transport)
        return reply


def wrong_id(reply, *_):
    return bytes([reply[0] ^ 0xFF]) + reply[1:]


def other_question(reply, query, _):
    return reply.replace(b"\x08_mta-sts", b"\x08_mta-stz")


def garbage(reply, query, _):
    return query[:2] + b"\x81\x80" + b"\xff" * 200


def cut_off(reply, *_):
    return reply[:-5]


def many_records(reply, query, transport):
    """As many records as a message can hold, over TCP."""
    if transport == "udp":
        return reply[:2] + struct.pack("!H", 0x8780) + reply[4:6] + b"\0" * 6 + query[12:]
    record = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 16) + b"\x0fv=STSv1; id=99;"
    end = query.index(b"\0", 12) + 5
    count = (65535 - end) // len(record)
    return (reply[:2] + struct.pack("!HHHHH", 0x8580, 1, count, 0, 0) + query[12:end]
            + record * count)


def alias_loop(reply, query, _):
    end = query.index(b"\0", 12) + 5
    to_itself = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
    return reply[:2] + struct.pack("!HHHHH", 0x8580, 1, 1, 0, 0) + query[12:end] + to_itself


LIES = {"wrong-id": wrong_id, "other-question": other_question, "garbage": garbage,
        "cut-off": cut_off, "many-records": many_records, "alias-loop": alias_loop}


class FaultsTest(DaemonCase):
    def ask_known(self, mtastsd, domain):
        """Its policy, at once."""
        began = time.monotonic()
        self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        self.assertLess(time.monotonic() - began, AT_ONCE)

    def small_disk(self, size="2m"):
        path = os.path.join(self.own_directory(), "disk")
        os.makedirs(path)
        sandbox.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", path])
        self.addCleanup(sandbox.run, ["umount", "--lazy", path], check=False)
        return path

    def fill(self, disk):
        with open(os.path.join(disk, "filler"), "wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096) == 4096:
                    pass
            except OSError:
                pass

    def empty(self, disk):
        os.unlink(os.path.join(disk, "filler"))

    def cpu_seconds(self, mtastsd):
        with open(f"/proc/{mtastsd.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def publish_many(self, name, count):
        domains = [f"{name}{number}.test" for number in range(count)]
        certificate = self.authority.issue(*("mta-sts." + domain for domain in domains))
        for domain in domains:
            self.publish(domain, "mail." + domain, certificate=certificate)
        self.web.apply()
        return domains

    # The disk.

    def test_a_ca_file_that_is_missing_and_comes_back(self):
        """The daemon did not start without it, and took up a changed one within an hour."""
        self.publish("kept.test", "mail.kept.test")
        self.publish("new.test", "mail.new.test")
        self.web.apply()
        ca_file = os.path.join(self.own_directory(), "ca.pem")
        shutil.copy(self.authority.cert, ca_file)
        mtastsd = self.daemon(https={"ca_file": ca_file})
        self.assertEqual(mtastsd.ask("kept.test"), secure("mail.kept.test"))
        mtastsd.wait_stored("kept.test")
        os.remove(ca_file)
        mtastsd.reload()
        mtastsd.wait_log(r"event=ca_file_unreadable .*reason=\"cannot read .*ca\.pem")
        mtastsd.stop()
        mtastsd.start()
        self.assertEqual(mtastsd.ask("kept.test"), secure("mail.kept.test"))
        self.assertEqual(mtastsd.ask("new.test"), "NOTFOUND ")
        shutil.copy(self.authority.cert, ca_file)
        self.publish("newer.test", "mail.newer.test")
        self.web.apply()
        self.assertEqual(mtastsd.ask("newer.test"), secure("mail.newer.test"))

    def test_file_system_gets_full_and_has_room_again(self):
        disk = self.small_disk()
        domains = self.publish_many("full", 40)
        mtastsd = self.daemon(cache={"directory": os.path.join(disk, "cache")})
        for domain in domains[:10]:
            mtastsd.ask(domain)
        mtastsd.wait_stored(domains[9])
        self.fill(disk)
        for domain in domains[10:]:
            self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        mtastsd.wait_log('level=error event=commit_failed')
        time.sleep(5)  # it is tried again meanwhile
        for domain in domains:
            self.ask_known(mtastsd, domain)
        self.assertEqual(mtastsd.log().count("event=commit_failed"), 1)
        self.empty(disk)
        mtastsd.wait_log('event=commits_recovered')
        mtastsd.wait_stored(domains[-1])
        mtastsd.kill()
        self.dns.set_fault("_mta-sts." + domains[-1], "TXT", "drop")
        mtastsd.start()
        for domain in domains:
            self.ask_known(mtastsd, domain)
        mtastsd.stop()
        self.assertIn("failed_commits=0", mtastsd.log().rpartition("event=stopped")[2])

    def test_start_on_a_full_file_system(self):
        disk = self.small_disk()
        known, new = self.publish_many("tight", 2)
        mtastsd = self.daemon(cache={"directory": os.path.join(disk, "cache")})
        mtastsd.ask(known)
        mtastsd.wait_stored(known)
        mtastsd.kill()
        self.fill(disk)
        mtastsd.start()
        self.ask_known(mtastsd, known)
        self.assertEqual(mtastsd.ask(new), secure("mail." + new))
        self.ask_known(mtastsd, new)

    def test_start_without_room_for_a_cache(self):
        disk = self.small_disk()
        self.fill(disk)
        [domain] = self.publish_many("nowhere", 1)
        mtastsd = self.daemon(cache={"directory": os.path.join(disk, "cache")})
        mtastsd.wait_log('level=warn event=cache_not_writable')
        for _ in range(3):
            self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        self.assertEqual(self.web.requests(domain), [200])

    def test_read_only_file_system(self):
        disk = self.small_disk()
        known, new = self.publish_many("readonly", 2)
        mtastsd = self.daemon(cache={"directory": os.path.join(disk, "cache")})
        mtastsd.ask(known)
        mtastsd.wait_stored(known)
        mtastsd.stop()
        sandbox.run(["mount", "-o", "remount,ro", disk])
        mtastsd.start()
        mtastsd.wait_log('level=warn event=cache_not_writable')
        self.ask_known(mtastsd, known)
        self.assertEqual(mtastsd.ask(new), secure("mail." + new))
        self.ask_known(mtastsd, new)
        self.assertEqual(self.web.requests(known), [200])

    def test_directory_is_deleted(self):
        known, new = self.publish_many("deleted", 2)
        mtastsd = self.daemon()
        mtastsd.ask(known)
        mtastsd.wait_stored(known)
        sandbox.run(["rm", "-r", mtastsd.settings["cache"]["directory"]])
        self.ask_known(mtastsd, known)
        self.assertEqual(mtastsd.ask(new), secure("mail." + new))
        self.ask_known(mtastsd, new)
        mtastsd.wait_log("level=error event=cache_deleted")
        for domain in (known, new):
            self.ask_known(mtastsd, domain)

    def damage(self, mtastsd, chosen):
        """Noise in place of each page that `chosen` takes by its flags and its used part."""
        path = os.path.join(mtastsd.settings["cache"]["directory"], "data.mdb")
        with open(path, "r+b") as file:
            content = file.read()
            for at in range(2 * PAGE, len(content), PAGE):
                page = content[at:at + PAGE]
                flags, _, used_from = struct.unpack_from("<HHH", page, 10)
                if chosen(flags, page[used_from:]):
                    file.seek(at)
                    file.write(os.urandom(PAGE))

    def damaged_between_two_runs(self, name, chosen, most_fetches):
        domains = self.publish_many(name, 60)
        mtastsd = self.daemon()
        for domain in domains:
            mtastsd.ask(domain)
        mtastsd.wait_stored(domains[-1])
        mtastsd.kill()
        self.damage(mtastsd, chosen)
        mtastsd.start()
        mtastsd.wait_log("level=error event=cache_set_aside")
        for domain in domains:
            self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        fetches = sum(len(self.web.requests(domain)) for domain in domains)
        self.assertLessEqual(fetches, most_fetches, "too little was kept")

    def test_leaf_is_damaged_between_two_runs(self):
        self.damaged_between_two_runs(
            "torn", lambda flags, used: flags & LEAF and b"mail.torn15.test" in used, 100)

    def test_branches_are_damaged_between_two_runs(self):
        self.damaged_between_two_runs("broken", lambda flags, _: flags & BRANCH, 60)

    def cut_short_in_use(self, part):
        """To so many parts of a hundred: it ends, says why, and the next start mends it."""
        domains = self.publish_many(f"cut{part}x", 40)
        mtastsd = self.daemon()
        for domain in domains[:-1]:
            mtastsd.ask(domain)
        mtastsd.wait_stored(domains[-2])
        path = os.path.join(mtastsd.settings["cache"]["directory"], "data.mdb")
        os.truncate(path, os.path.getsize(path) * part // 100)
        for domain in domains:  # the last one is new, and has to be written
            try:
                self.assertIn(mtastsd.ask(domain), (secure("mail." + domain), None))
            except OSError:
                break
        self.assertEqual(mtastsd.wait_end(), DAMAGED_EXIT)
        self.assertRegex(mtastsd.log(), "keeps every record that can still be read")
        mtastsd.start()
        for domain in domains:
            self.assertEqual(mtastsd.ask(domain), secure("mail." + domain))
        mtastsd.wait_log("level=error event=cache_set_aside")
        mtastsd.wait_stored(domains[-1])
        mtastsd.kill()
        mtastsd.start()
        for domain in domains:
            self.ask_known(mtastsd, domain)
        self.assertEqual(mtastsd.log().count("event=cache_set_aside"), 1)

    def test_file_is_emptied_in_use(self):
        self.cut_short_in_use(0)

    def test_file_loses_half_in_use(self):
        self.cut_short_in_use(50)

    def test_file_loses_its_end_in_use(self):
        self.cut_short_in_use(90)

    def test_second_daemon_on_the_same_directory(self):
        mtastsd = self.daemon()
        config = os.path.join(self.own_directory(), "second.toml")
        settings = self.settings(socketmap={"listen": ["inet:127.0.0.1:8462"]})
        sandbox.write(config, toml(settings))
        status, output = self.run_daemon("--config", config)
        self.assertEqual(status, 1)
        self.assertIn("is in use by another mtastsd", output)
        self.assertEqual(mtastsd.ask(".still.test"), "NOTFOUND ")

    # Descriptors.

    def test_descriptors_are_used_up(self):
        known, new = self.publish_many("crowded", 2)
        limited = os.path.join(self.own_directory(), "mtastsd")
        sandbox.write(limited, f'#!/bin/sh\nulimit -n 64\nexec {self.program} "$@"\n')
        os.chmod(limited, 0o755)
        whole, self.program = self.program, limited
        try:
            mtastsd = self.daemon(resolver={"answer_timeout": f"{ANSWER_LIMIT:g}s"})
        finally:
            self.program = whole
        self.assertEqual(mtastsd.ask(known), secure("mail." + known))
        clients = [socketmap.Client(INET) for _ in range(100)]
        for client in clients:
            self.addCleanup(client.close)
        time.sleep(0.5)
        before = self.cpu_seconds(mtastsd)
        time.sleep(3)
        self.assertLess(self.cpu_seconds(mtastsd) - before, 1, "it spins")
        for client in reversed(clients):
            try:
                self.assertIn(client.ask(known), (secure("mail." + known), None))
            except OSError:
                pass  # it had to give way
        began = time.monotonic()
        with socketmap.Client(INET) as client:
            self.assertEqual(client.ask(known), secure("mail." + known))
            reply = client.ask(new)
            self.assertIn(reply, ("NOTFOUND ", secure("mail." + new)))
        self.assertLess(time.monotonic() - began, ANSWER_LIMIT + SLACK)
        for client in clients:
            client.close()
        self.publish(new, "mail." + new, policy_id="2")
        self.web.apply()
        sandbox.wait_for(lambda: mtastsd.ask(new) == secure("mail." + new), "recovery", 30)

    # Policy hosts.

    def test_policy_hosts_that_misbehave(self):
        # Each with an owner of its own: one owner's lines in the log are bounded.
        names = [f"{behaviour}.bad-{behaviour}.test" for behaviour in (*BEHAVIOURS, *BEFORE_TLS)]
        certificate = self.authority.issue(*("mta-sts." + name for name in names))
        bad = BadWeb(BAD_WEB, certificate)
        self.addCleanup(bad.stop)
        dns = ScriptedDns(OTHER_DNS, ttl=1, negative_ttl=1)
        self.addCleanup(dns.stop)
        for name in names:
            self.publish(name, "mail." + name, dns=dns, certificate=certificate)
        self.web.apply()
        limits = {"resolver": {"recheck_min": "1s", "recheck_max": "1s",
                               "answer_timeout": f"{ANSWER_LIMIT:g}s"},
                  "https": {"timeout": f"{FETCH_LIMIT:g}s"}, "dns": {"servers": [OTHER_DNS]}}
        mtastsd = self.daemon(**limits)
        for name in names:
            self.assertEqual(mtastsd.ask(name), secure("mail." + name))
        # The same domains, their hosts gone bad and their ids new.
        for name in names:
            dns.set("mta-sts." + name, "A", BAD_WEB)
            dns.set("_mta-sts." + name, "TXT", "v=STSv1; id=2;")
        time.sleep(1.2)
        for name in names:
            self.ask_known(mtastsd, name)
        for name in names:
            mtastsd.wait_log(f'event=fetch_failed domain={re.escape(name)} .*cached=enforce',
                             FETCH_LIMIT + 10)
            self.ask_known(mtastsd, name)
        slow = [int(took) for took in re.findall(r'event=fetch_failed.* took_ms=(\d+)',
                                                 mtastsd.log())]
        self.assertEqual(len(slow), len(names))
        self.assertLess(max(slow), (FETCH_LIMIT + SLACK) * 1000)
        self.assertNotIn("attacker", mtastsd.log().replace("reason", ""))
        # And nothing cached: as if there were no policy, in time.
        mtastsd.stop()
        sandbox.run(["rm", "-r", mtastsd.settings["cache"]["directory"]])
        mtastsd.start()
        began = time.monotonic()
        clients = [(name, socketmap.Client(INET)) for name in names]
        for name, client in clients:
            self.addCleanup(client.close)
            client.send(socketmap.netstring(f"postfix {name}"))
        for name, client in clients:
            with self.subTest(name):
                self.assertEqual(client.reply(), "NOTFOUND ")
        self.assertLess(time.monotonic() - began, ANSWER_LIMIT + SLACK)

    # DNS.

    def test_dns_that_lies(self):
        dns = LyingDns(OTHER_DNS, ttl=1, negative_ttl=1)
        self.addCleanup(dns.stop)
        names = [f"{lie}.test" for lie in LIES]
        certificate = self.authority.issue(*("mta-sts." + name for name in names))
        for name in names:
            self.publish(name, "mail." + name, dns=dns, certificate=certificate)
        self.web.apply()
        mtastsd = self.daemon(dns={"servers": [OTHER_DNS], "timeout": "1s"},
                              resolver={"recheck_min": "1s", "recheck_max": "1s",
                                        "negative_min": "1s", "negative_max": "1s",
                                        "answer_timeout": f"{ANSWER_LIMIT:g}s"})
        for name in names:
            self.assertEqual(mtastsd.ask(name), secure("mail." + name))
        fetches = {name: self.web.requests(name) for name in names}
        dns.lies = LIES
        before = {name: mtastsd.checks(name) for name in names}
        for name in names:
            def checked(name=name):
                self.ask_known(mtastsd, name)
                return mtastsd.checks(name) > before[name]
            with self.subTest(name):
                sandbox.wait_for(checked, f"a check of {name}", 20)
                self.ask_known(mtastsd, name)
                self.assertEqual(self.web.requests(name), fetches[name])
        mtastsd.stop()
        sandbox.run(["rm", "-r", mtastsd.settings["cache"]["directory"]])
        mtastsd.start()
        for name in names:
            with self.subTest(name + ", nothing known"):
                began = time.monotonic()
                self.assertEqual(mtastsd.ask(name), "NOTFOUND ")
                self.assertLess(time.monotonic() - began, ANSWER_LIMIT + SLACK)
        dns.lies = {}
        for name in names:
            sandbox.wait_for(lambda name=name: mtastsd.ask(name) == secure("mail." + name),
                             f"{name} to be found", 30)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("names", nargs="*", help="FaultsTest.test_...; all by default")
    options = parser.parse_args()
    FaultsTest.program = options.mtastsd
    sandbox.enter()
    unittest.main(argv=sys.argv[:1] + options.names, verbosity=2)


if __name__ == "__main__":
    main()
