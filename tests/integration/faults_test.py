#!/usr/bin/env python3
"""mtastsd where the disk or the descriptors fail. What DNS and policy hosts do is in tests/abuse.

    faults_test.py --mtastsd PATH [FaultsTest.test_...]

What holds in each case: a cached policy that is in force is answered, at once; for a domain of
which nothing is known NOTFOUND comes in time; the log says what is wrong, not again and again.
"""

import argparse
import os
import shutil
import struct
import sys
import time
import unittest

from testenv import sandbox, socketmap
from testenv.case import INET, DaemonCase, secure
from testenv.daemon import toml

AT_ONCE = 1.0  # seconds for an answer that is known
ANSWER_LIMIT = 4.0
SLACK = 2.0  # of a busy machine
PAGE, BRANCH, LEAF = 4096, 0x01, 0x02  # of LMDB's file
DAMAGED_EXIT = 75


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
