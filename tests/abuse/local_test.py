#!/usr/bin/env python3
"""What a local user can do to mtastsd and, through it, to others.

    local_test.py --mtastsd PATH --mtastsctl PATH [test...]

Each test is an attack that worked once, with the figure that it had then.
"""

import argparse
import os
import pwd
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import figures
from testenv import sandbox, socketmap, web
from testenv.case import BLACKHOLE, INET, DaemonCase, secure
from testenv.daemon import Mtastsd, run_to_end

OPTIONS = None


def memory_kb(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Connections(DaemonCase):
    def clients(self, count):
        for _ in range(count):
            client = socketmap.Client(INET)
            self.addCleanup(client.close)
            yield client

    def test_half_requests_do_not_lock_postfix_out(self):
        """10,050 connections with one byte each: Postfix was refused until they were closed, which
        took minutes."""
        if raise_descriptor_limit() < 10500:
            self.skipTest("needs 10,500 descriptors")
        self.publish("postfix.test", "mail.postfix.test")
        self.web.apply()
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask("postfix.test"), secure("mail.postfix.test"))
        for client in self.clients(10050):
            client.send(b"1")
        time.sleep(1)  # until all of them are half read
        worst = 0
        for _ in range(100):
            began = time.monotonic()
            self.assertEqual(mtastsd.ask("postfix.test"), secure("mail.postfix.test"))
            worst = max(worst, time.monotonic() - began)
        figures.at_most(self, "10,050 connections with half a request: worst answer",
                        1000 * worst, 1000, "ms")

    def test_replies_that_wait_take_a_bounded_memory(self):
        """30 connections with 255 requests behind a slow one, each with a reply of 39 KB, took
        296 MB."""
        gate = web.Gate(BLACKHOLE, ("127.0.0.1", 443))
        self.addCleanup(gate.close)
        self.publish("slow.test", "mail.slow.test", address=BLACKHOLE)
        hosts = [f"mail-{number:03}-{'x' * 50}.{'y' * 60}.long.test" for number in range(300)]
        self.publish("long.test", *hosts)
        self.web.apply()
        mtastsd = self.daemon()
        self.assertGreater(len(mtastsd.ask("long.test")), 38000)
        before = memory_kb(mtastsd.pid, "VmRSS")
        with open(f"/proc/{mtastsd.pid}/maps", encoding="ascii", errors="replace") as maps:
            shadowed = "libtsan" in maps.read()  # keeps notes on each word of memory
        # Who takes no reply for long is closed, and the last client waits for all others.
        waiting = list(self.clients(8 if shadowed else 30))
        for client in waiting:
            client.send(socketmap.netstring("postfix slow.test")
                        + 255 * socketmap.netstring("postfix long.test"))
        sandbox.wait_for(lambda: gate.connections, "the connection to the policy host")
        mtastsd.ask("long.test")
        time.sleep(0.5)
        taken = memory_kb(mtastsd.pid, "VmHWM") - before
        figures.at_most(self, f"{len(waiting)} connections with replies that wait: memory",
                        taken / 1024, 80 if shadowed else 20, "MiB")
        # Nobody loses a reply by it.
        gate.open()
        for client in waiting:
            self.assertEqual(client.reply(), secure("mail.slow.test"))
            for _ in range(255):
                self.assertGreater(len(client.reply()), 38000)


class Start(DaemonCase):
    """How the process is started, and what it makes of itself."""

    def launch(self, prepare="", descriptors=(), **sections):
        """An mtastsd that has run the Python lines of `prepare` before its main()."""
        mtastsd = Mtastsd(self.program, self.own_directory(), self.settings(**sections))
        code = (f"import os, resource, sys\n{prepare}\n"
                f"os.execv({self.program!r}, [{self.program!r}, '--config', {mtastsd.config!r}])")
        with open(self.log_path(), "ab") as log:
            process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, pass_fds=descriptors)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.terminate()
            self.assertEqual(process.wait(sandbox.WAIT), 0, sandbox.read(self.log_path()))

    def log_path(self):
        return os.path.join(self.own_directory(), "log")

    def wait_log(self, pattern):
        sandbox.wait_for(lambda: re.search(pattern, sandbox.read(self.log_path())), pattern)

    def pass_sockets(self, *sockets):
        """Python lines that do what systemd does, and the descriptors that they need."""
        numbers = [one.fileno() for one in sockets]
        lines = ["import fcntl",
                 f"high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in {numbers}]",
                 "for at, fd in enumerate(high): os.dup2(fd, 3 + at); os.close(fd)",
                 f"os.environ.update(LISTEN_FDS='{len(numbers)}', LISTEN_PID=str(os.getpid()))"]
        return "\n".join(lines), numbers

    def test_a_restart_loses_no_question_when_the_service_manager_has_the_sockets(self):
        """A user could bind the port during a restart, and Postfix was refused meanwhile. Later, clients
        that had just connected were closed unanswered at the stop."""
        path = os.path.join(self.own_directory(), "policy")
        with socket.create_server(("127.0.0.1", 8461), backlog=64) as port, \
                socket.socket(socket.AF_UNIX) as local:
            local.bind(path)
            local.listen(64)
            prepare, numbers = self.pass_sockets(port, local)
            asked, failed, stopping = [], [], threading.Event()

            def ask_again_and_again():
                while not stopping.is_set():
                    for address in (INET, "unix:" + path):
                        try:
                            asked.append(socketmap.ask(address, ".ready.test"))
                        except (BrokenPipeError, ConnectionResetError):
                            asked.append(None)
                        except OSError as error:
                            failed.append(error)

            daemon = self.launch(prepare, numbers, socketmap={"threads": 2})
            clients = [threading.Thread(target=ask_again_and_again) for _ in range(8)]
            for client in clients:
                client.start()
            try:
                for _ in range(5):
                    before = len(asked)
                    sandbox.wait_for(lambda before=before: len(asked) > before + 100, "answers")
                    self.end(daemon)
                    with self.assertRaises(OSError), socket.create_server(("127.0.0.1", 8461)):
                        pass
                    daemon = self.launch(prepare, numbers, socketmap={"threads": 2})
                before = len(asked)
                sandbox.wait_for(lambda: len(asked) > before + 100, "answers again")
            finally:
                stopping.set()
                for client in clients:
                    client.join()
            total = len(asked) + len(failed)
            figures.at_most(self, "five restarts with passed sockets: refused connections",
                            len(failed), 0, f"of {total}")
            # None: closed without an answer.
            figures.at_most(self, "five restarts with passed sockets: unanswered questions",
                            asked.count(None), 0, f"of {total}")
            self.assertEqual(set(asked), {"NOTFOUND "})
            self.assertNotIn("socket_unused", sandbox.read(self.log_path()))

    def test_a_passed_socket_that_is_not_configured_is_reported(self):
        with socket.create_server(("127.0.0.1", 8470)) as port:
            prepare, numbers = self.pass_sockets(port)
            self.launch(prepare, numbers, socketmap={"listen": ["inet:127.0.0.1:8471"]})
            self.wait_log("event=socket_unused socket=inet:127.0.0.1:8470 ")
        self.wait_log("event=started .*listen=inet:127.0.0.1:8471 ")

    def test_listening_everywhere_is_reported(self):
        self.launch(socketmap={"listen": ["inet:0.0.0.0:8461"]})
        self.wait_log("event=listens_everywhere listen=inet:0.0.0.0:8461 ")

    def test_standard_descriptors_that_are_closed_are_opened(self):
        """The cache's file got the number of standard error."""
        process = self.launch("for fd in (0, 1, 2): os.close(fd)")
        sandbox.wait_for(lambda: self.answers(INET), "an answer")
        for number in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{number}"), "/dev/null")

    @staticmethod
    def answers(address):
        try:
            return socketmap.ask(address, ".ready.test") == "NOTFOUND "
        except OSError:
            return False

    def test_idle_clients_leave_descriptors_for_the_resolver(self):
        """With 1,024 descriptors and 1,100 idle clients, nothing could be fetched."""
        raise_descriptor_limit()
        self.publish("new.test", "mail.new.test")
        self.web.apply()
        self.launch("resource.setrlimit(resource.RLIMIT_NOFILE, (512, 1024))")
        sandbox.wait_for(lambda: self.answers(INET), "an answer")
        clients = []
        for _ in range(1100):
            clients.append(socketmap.Client(INET))
            self.addCleanup(clients[-1].close)
        self.assertEqual(socketmap.ask(INET, "new.test"), secure("mail.new.test"))
        figures.note("1,100 idle clients at 1,024 descriptors: a new domain", "found", "found")
        self.wait_log("event=few_descriptors max_connections=424 open_files=1024 ")

    def test_root_becomes_the_configured_user(self):
        self.publish("user.test", "mail.user.test")
        self.publish("later.test", "mail.later.test")
        self.web.apply()
        unix = os.path.join(self.own_directory(), "policy")
        # What an earlier version left behind, as root.
        cache = os.path.join(self.own_directory(), "cache")
        os.makedirs(cache)
        sandbox.write(os.path.join(cache, "mtastsd.lock"), "")
        mtastsd = self.daemon(daemon={"user": "nobody"},
                              socketmap={"listen": [INET, "unix:" + unix]})
        nobody = pwd.getpwnam("nobody")
        self.assertEqual(mtastsd.ask("user.test"), secure("mail.user.test"))
        for thread in os.listdir(f"/proc/{mtastsd.pid}/task"):
            with open(f"/proc/{mtastsd.pid}/task/{thread}/status", encoding="ascii") as file:
                status = dict(line.split(":\t", 1) for line in file.read().splitlines())
            self.assertEqual(status["Uid"].split(), 4 * [str(nobody.pw_uid)])
            self.assertEqual(status["Gid"].split(), 4 * [str(nobody.pw_gid)])
            self.assertEqual(status["Groups"].split(), [])
            self.assertEqual(status["CapPrm"], status["CapBnd"])
            self.assertEqual(int(status["CapPrm"], 16), 0)
            self.assertEqual(status["NoNewPrivs"], "1")
        mtastsd.wait_log("event=confined user=nobody landlock=yes ")
        mtastsd.wait_stored("user.test")
        for name in (cache, *(os.path.join(cache, each) for each in os.listdir(cache)), unix,
                     mtastsd.control):
            self.assertEqual(os.lstat(name).st_uid, nobody.pw_uid, name)
        mtastsd.reload()
        mtastsd.wait_log("event=reloaded ")
        status, output = run_to_end(OPTIONS.mtastsctl, ["status", "--config", mtastsd.config])
        self.assertEqual(status, 0, output)
        self.assertEqual(mtastsd.ask("later.test"), secure("mail.later.test"))
        # The policy is there after a restart, as for one who never was root.
        mtastsd.stop()
        mtastsd.start()
        self.assertEqual(mtastsd.ask("user.test"), secure("mail.user.test"))
        self.assertEqual(self.web.requests("user.test"), [200])

    def test_a_confined_daemon_logs_to_syslog(self):
        if os.path.lexists("/dev/log"):
            self.skipTest("this machine has a syslog")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind("/dev/log")
            self.addCleanup(os.unlink, "/dev/log")
            os.chmod("/dev/log", 0o666)
            log.settimeout(sandbox.WAIT)
            mtastsd = self.daemon(daemon={"user": "nobody"}, log={"target": "syslog"})
            mtastsd.reload()
            said = b""
            while b"event=reloaded " not in said:
                said += log.recv(4096) + b"\n"
            self.assertIn(b"event=confined user=nobody ", said)
            self.assertEqual(mtastsd.log(), "")

    def test_root_becomes_the_owner_of_the_cache(self):
        """Otherwise root followed the links that the owner had put there."""
        cache = os.path.join(self.own_directory(), "cache")
        precious = os.path.join(self.own_directory(), "precious")
        os.makedirs(cache)
        os.chown(cache, 54321, 54321)  # as a dynamic user, without a name
        sandbox.write(precious, "root's")
        os.chmod(precious, 0o600)
        for name in ("lock.mdb", "mtastsd.lock"):
            link = os.path.join(cache, name)
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(precious, link)
            mtastsd = self.daemon()
            mtastsd.wait_log("event=confined user=54321 ")
            mtastsd.wait_log("event=cache_not_writable ")
            mtastsd.stop()
            self.assertEqual(sandbox.read(precious), "root's")
            os.unlink(link)
        mtastsd = self.daemon()
        self.assertEqual(mtastsd.ask(".ready.test"), "NOTFOUND ")
        self.assertEqual(os.lstat(os.path.join(cache, "data.mdb")).st_uid, 54321)

    def test_users_that_do_not_exist(self):
        self.daemon().wait_log("event=runs_as_root user=mtastsd ")
        path = os.path.join(self.own_directory(), "bad.toml")
        sandbox.write(path, '[daemon]\nuser = "no-such-user"\n')
        status, output = self.run_daemon("--config", path)
        self.assertEqual(status, 1)
        self.assertIn('daemon.user: there is no user "no-such-user"', output)

    def test_the_unit_is_confined(self):
        unit = os.path.join(os.path.dirname(OPTIONS.mtastsd), "contrib/systemd/mtastsd.service")
        if not shutil.which("systemd-analyze"):
            self.skipTest("needs systemd-analyze")
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", unit],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60, check=False)
        level = re.search(r"Overall exposure level for mtastsd.service: ([0-9.]+)", done.stdout)
        if level is None:
            self.skipTest("systemd-analyze says nothing: " + done.stdout[-300:])
        figures.at_most(self, "systemd-analyze security: exposure", float(level.group(1)), 1.2, "")


class Files(DaemonCase):
    """Links that the daemon's user plants in the cache directory, for root to follow."""

    def test_root_follows_no_links_of_the_daemons_user(self):
        """mtastsctl cache list, run by root, emptied or overwrote root's files."""
        self.publish("planted.test", "mail.planted.test")
        self.web.apply()
        mtastsd = self.daemon(daemon={"user": "nobody"})
        self.assertEqual(mtastsd.ask("planted.test"), secure("mail.planted.test"))
        mtastsd.wait_stored("planted.test")
        mtastsd.stop()
        cache = mtastsd.settings["cache"]["directory"]
        precious = os.path.join(self.own_directory(), "precious")
        export = os.path.join(self.own_directory(), "export")
        sandbox.write(export, "")
        os.chmod(self.own_directory(), 0o711)  # the link's target can be named by anybody

        def run(*arguments):
            return run_to_end(OPTIONS.mtastsctl, [*arguments, "--config", mtastsd.config])

        for name in ("lock.mdb", "mtastsd.lock"):
            for command in (["cache", "list"], ["cache", "stats"], ["cache", "export"],
                            ["cache", "show", "planted.test"], ["cache", "import", export],
                            ["cache", "forget", "--yes", "other.test"],
                            ["check", "planted.test"]):
                with self.subTest(f"{name}: {' '.join(command)}"):
                    sandbox.write(precious, "root's")
                    os.chmod(precious, 0o600)
                    path = os.path.join(cache, name)
                    if os.path.lexists(path):
                        os.unlink(path)
                    os.symlink(precious, path)
                    run(*command)
                    self.assertEqual(sandbox.read(precious), "root's")
                    self.assertEqual(os.stat(precious).st_uid, 0)
                    os.unlink(path)
                    # A file that is not there yet.
                    os.unlink(precious)
                    os.symlink(precious, path)
                    run(*command)
                    self.assertFalse(os.path.lexists(precious))
                    os.unlink(path)
        figures.note("links planted for root: files overwritten, made or given away", "0", "0")
        # Without links, root still reads and changes the cache of a daemon that is down.
        status, output = run("cache", "list")
        self.assertEqual(status, 0, output)
        self.assertIn("planted.test", output)
        status, output = run("cache", "forget", "--yes", "planted.test")
        self.assertEqual(status, 0, output)
        nobody = pwd.getpwnam("nobody").pw_uid
        for name in os.listdir(cache):
            self.assertEqual(os.lstat(os.path.join(cache, name)).st_uid, nobody, name)
        status, output = run("cache", "stats")
        self.assertEqual(status, 0, output)

    def test_a_directory_that_only_root_reaches(self):
        """As systemd has it for a dynamic user."""
        private = os.path.join(self.own_directory(), "private")
        os.makedirs(private)
        os.chmod(private, 0o755)
        self.publish("private.test", "mail.private.test")
        self.web.apply()
        mtastsd = self.daemon(daemon={"user": "nobody"},
                              cache={"directory": os.path.join(private, "cache")})
        self.assertEqual(mtastsd.ask("private.test"), secure("mail.private.test"))
        mtastsd.wait_stored("private.test")
        mtastsd.stop()
        os.chmod(private, 0o700)
        for verb in ("list", "stats"):
            status, output = run_to_end(OPTIONS.mtastsctl,
                                        ["cache", verb, "--config", mtastsd.config])
            self.assertEqual(status, 0, output)
        self.assertIn("private/cache", output)

    def test_a_directory_that_others_can_write_to_is_refused(self):
        mtastsd = self.daemon(daemon={"user": "nobody"})
        mtastsd.stop()
        os.chmod(mtastsd.settings["cache"]["directory"], 0o777)
        status, output = run_to_end(OPTIONS.mtastsctl,
                                    ["cache", "list", "--config", mtastsd.config])
        self.assertEqual(status, 2, output)
        self.assertIn("chmod go-w", output)


def main():
    global OPTIONS  # the test classes are made by unittest, not by us
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mtastsd", required=True, help="the program to test")
    parser.add_argument("--mtastsctl", required=True, help="the operator's tool")
    parser.add_argument("names", nargs="*", help="Connections.test_...; all by default")
    OPTIONS = parser.parse_args()
    DaemonCase.program = OPTIONS.mtastsd
    sandbox.enter()
    figures.main(OPTIONS.names)


if __name__ == "__main__":
    main()
