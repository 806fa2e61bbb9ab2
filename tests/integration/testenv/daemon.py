"""Runs mtastsd in the foreground and checks how it ends."""

import json
import os
import re
import signal
import socket
import subprocess

from . import sandbox, socketmap

# Any of these in the log is a failed test, whatever else happened.
_SANITIZER = re.compile(r"(ERROR|WARNING): (Address|Leak|Thread|Memory)Sanitizer|runtime error:")


def toml(settings):
    """{"section": {"key": value}} as TOML; a value is a string, a number, a list or a bool."""
    def value(item):
        if isinstance(item, bool):
            return "true" if item else "false"
        if isinstance(item, list):
            return "[" + ", ".join(value(each) for each in item) + "]"
        if isinstance(item, dict):
            return "{" + ", ".join(f"{value(k)} = {value(v)}" for k, v in item.items()) + "}"
        if isinstance(item, str):
            return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return str(item)

    lines = []
    for section, pairs in settings.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {value(item)}" for key, item in pairs.items()]
    return "\n".join(lines) + "\n"


class Mtastsd:
    def __init__(self, program, directory, settings):
        os.makedirs(directory, exist_ok=True)
        self._program = program
        self.settings = settings
        self.config = os.path.join(directory, "mtastsd.toml")
        self._log = os.path.join(directory, "mtastsd.log")
        self._child = None
        self.control = None
        self.write_config(settings)

    @property
    def address(self):
        """Where to ask: the first listener."""
        return self.settings["socketmap"]["listen"][0]

    @property
    def pid(self):
        return self._child.pid

    def write_config(self, settings):
        # The default is one for the whole machine.
        control = {"socket": os.path.join(os.path.dirname(self.config), "control.sock")}
        settings = {"control": control, **settings}
        self.control = settings["control"].get("socket")
        sandbox.write(self.config, toml(settings))

    def start(self):
        env = dict(os.environ)
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self._child = sandbox.Child("mtastsd", [self._program, "--config", self.config],
                                    self._log, env)
        for address in self.settings["socketmap"]["listen"]:
            self._child.wait_until(lambda address=address: self._answers(address),
                                   f"answers at {address}")
        return self

    def stop(self, timeout=sandbox.WAIT):
        """SIGTERM; the end must be clean and in time."""
        child, self._child = self._child, None
        if child is None:
            return
        status = child.stop(signal.SIGTERM, timeout)
        self._check_log()
        if status != 0:
            raise AssertionError(f"mtastsd ended with status {status} after SIGTERM:\n"
                                 f"{self.log()[-6000:]}")

    def kill(self):
        child, self._child = self._child, None
        child.stop(signal.SIGKILL)
        self._check_log()

    def wait_end(self, timeout=sandbox.WAIT):
        """It ends by itself: its exit status."""
        child, self._child = self._child, None
        status = child.process.wait(timeout)
        self._check_log()
        return status

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)

    def running(self):
        return self._child is not None and self._child.process.poll() is None

    def log(self):
        return sandbox.read(self._log)

    def wait_log(self, pattern, timeout=sandbox.WAIT):
        return self._child.wait_until(lambda: re.search(pattern, self.log()),
                                      f"logs {pattern!r}", timeout)

    def checks(self, domain):
        """How many lookups of the domain ended without a new policy; log level debug."""
        event = (r"event=(policy_checked|no_policy|record_unusable|fetch_failed"
                 r"|txt_lookup_failed(_again)?)")
        return len(re.findall(rf"{event} domain={re.escape(domain)} ", self.log()))

    def wait_stored(self, domain):
        """Until the commit that has the domain is over: replies do not wait for it."""
        path = os.path.join(self.settings["cache"]["directory"], "data.mdb")

        def stored():
            # LMDB writes what a commit is made of before what makes it count.
            with open(path, "rb") as file:
                return domain.encode("ascii") in file.read() and not self._uncommitted()

        self._child.wait_until(stored, f"has stored {domain}")

    def _uncommitted(self):
        """How many changes wait for their commit, by the control socket; none where it is off."""
        return self.command("status")["value"]["cache"]["pending"] if self.control else 0

    def command(self, command, **fields):
        """What the control socket replies."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(sandbox.WAIT)
            client.connect(self.control)
            client.sendall(json.dumps({"command": command, **fields}).encode() + b"\n")
            with client.makefile() as replies:
                return json.loads(replies.readline())

    def ask(self, key, name="postfix", timeout=sandbox.WAIT):
        return socketmap.ask(self.address, key, name, timeout)

    def _answers(self, address):
        try:
            # A parent key: answered without a lookup.
            return socketmap.ask(address, ".ready.test", timeout=2) == "NOTFOUND "
        except OSError:
            return False

    def _check_log(self):
        text = self.log()
        found = _SANITIZER.search(text)
        if found:
            raise AssertionError(f"sanitizer report:\n{text[found.start():][:6000]}")


def run_to_end(program, arguments, timeout=sandbox.WAIT):
    """For invocations that end by themselves: (status, stdout and stderr together)."""
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if _SANITIZER.search(done.stdout):
        raise AssertionError(f"sanitizer report:\n{done.stdout}")
    return done.returncode, done.stdout
