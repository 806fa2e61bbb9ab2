"""Namespaces, temporary files, child processes and bounded waits.

A test program calls enter() first. It runs itself again in network, mount and process namespaces
of its own: the well-known ports are free, files below /etc can be covered, nothing leaves the
machine, and whatever a test leaves running ends with it.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77  # ctest's SKIP_RETURN_CODE
KEEP = "TESTENV_KEEP"  # set: the files of a run stay for inspection
_INSIDE = "TESTENV_SANDBOX"
_LOOPBACK_UP = ["ip", "link", "set", "lo", "up"]

WAIT = 10.0  # seconds; for what takes milliseconds on an idle machine


class TestEnvironmentError(Exception):
    """The test cannot run here; the text says what to do about it."""


def fatal(message):
    print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr)
    sys.exit(1)


def program(name, package):
    """The path of a program that a test cannot do without."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        raise TestEnvironmentError(f"{name} was not found: install the package {package}")
    return path


def enter():
    """Returns inside the namespaces. Where this process may not make them, as without root or in an
    ordinary container, the program ends with SKIPPED and says why."""
    if os.environ.get(_INSIDE):
        del os.environ[_INSIDE]  # what the test starts is none of our business
        run(_LOOPBACK_UP)
        _have_terminals()
        return
    if os.geteuid() != 0:
        skip("needs root for its own network namespace")
    try:
        unshare = [program("unshare", "util-linux"), "--net", "--mount", "--pid", "--fork",
                   "--kill-child", "--mount-proc", "--"]
        program(_LOOPBACK_UP[0], "iproute2")
    except TestEnvironmentError as error:
        fatal(error)
    probe = subprocess.run(unshare + _LOOPBACK_UP, capture_output=True, text=True)
    if probe.returncode != 0:
        skip("root here may not make network, mount and process namespaces: "
             + probe.stderr.strip())
    os.environ[_INSIDE] = "1"
    os.execv(unshare[0], [*unshare, sys.executable, *sys.argv])


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def _have_terminals():
    """Where /dev has none, as in a bare chroot."""
    try:
        for end in os.openpty():
            os.close(end)
    except OSError:
        run(["mount", "-t", "devpts", "devpts", "/dev/pts"], check=False)


def for_everybody(path, scratch):
    """The path of a program for other users too: what it lies below may be closed to them."""
    directory = os.path.join(scratch, "programs")
    if not os.path.ismount(directory):
        os.makedirs(directory, exist_ok=True)
        run(["mount", "--bind", os.path.dirname(os.path.abspath(path)), directory])
    return os.path.join(directory, os.path.basename(path))


def run(command, timeout=30, check=True, **options):
    """Runs a command to its end; its output is text."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise TestEnvironmentError(f"{' '.join(command)}: exit status {done.returncode}\n"
                                   f"{done.stdout}{done.stderr}")
    return done


def wait_for(condition, what, timeout=WAIT, step=0.02):
    """The first true value of condition(), or a failed test."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(step)


def scratch_directory():
    """A directory in memory for this run. Short: socket paths below it have 107 bytes."""
    path = tempfile.mkdtemp(prefix="mtastsd-", dir="/tmp")
    if os.environ.get(KEEP):
        print(f"files of this run: {path}", file=sys.stderr)
    else:
        run(["mount", "-t", "tmpfs", "-o", "size=256m", "mtastsd-test", path])
        atexit.register(_remove, path)
    os.chmod(path, 0o755)
    return path


def _remove(path):
    subprocess.run(["umount", "--lazy", path], check=False)
    try:
        os.rmdir(path)
    except OSError:
        pass


def cover(path, content, scratch):
    """Puts a file of our own over one of the system's, in this mount namespace only."""
    target = os.path.realpath(path)
    if not os.path.exists(target):
        raise TestEnvironmentError(f"{path} does not exist, so nothing can be mounted over it")
    source = os.path.join(scratch, "cover" + path.replace("/", "_"))
    write(source, content)
    run(["mount", "--bind", source, target])
    return source


def write(path, content):
    """Replaces the file as a whole: a reader sees the old text or the new one."""
    temporary = path + ".new"
    with open(temporary, "w", encoding="utf-8") as out:
        out.write(content)
    os.replace(temporary, path)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Child:
    """A server in the foreground with its output in a file."""

    def __init__(self, name, command, log_path, env=None, cwd=None):
        self.name = name
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env, cwd=cwd)
        atexit.register(self.kill)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return read(self.log_path)

    def wait_until(self, condition, what, timeout=WAIT):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with status {self.process.returncode} "
                                     f"before {what}:\n{self.log()[-4000:]}")
            return condition()
        try:
            return wait_for(ready, f"{self.name}: {what}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\nits log ends:\n{self.log()[-4000:]}") from None

    def stop(self, signum=signal.SIGTERM, timeout=WAIT):
        """Its exit status once the signal has ended it."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout:g} s of signal "
                                 f"{int(signum)}:\n{self.log()[-4000:]}") from None
        atexit.unregister(self.kill)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
