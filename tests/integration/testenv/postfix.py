"""A Postfix instance of its own: configuration, queue and data below one directory.

The smtp client runs chrooted, as in Debian's master.cf, so that the sockets of the policy server
are reached the way they are in a stock installation. Mail comes in by SMTP on loopback; what
became of it is read from the log.
"""

import grp
import os
import pwd
import re
import shutil
import smtplib
import socket
from collections import namedtuple

from . import sandbox

SUBMIT_PORT = 10025

_MASTER_CF = f"""\
127.0.0.1:{SUBMIT_PORT} inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 1 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - y - - smtp
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
showq     unix n - n - - showq
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

# What is deferred is tried again every second or two, so that a test need not wait for it.
_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/maillog
maillog_file_prefixes = {directory}
myhostname = client.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
smtp_connect_timeout = 5s
smtp_helo_timeout = 5s
"""

Status = namedtuple("Status", "status dsn relay text")

_STATUS = re.compile(r": to=<(?P<to>[^>]*)>,.* relay=(?P<relay>[^,]*),.* dsn=(?P<dsn>[0-9.]+), "
                     r"status=(?P<status>\w+) \((?P<text>.*)\)$")


class Postfix:
    """extra: text for the end of main.cf, where it overrides what is above."""

    def __init__(self, directory, extra):
        self._postfix = sandbox.program("postfix", "postfix")
        self.directory = directory
        self.queue = os.path.join(directory, "queue")
        self.config = os.path.join(directory, "etc")
        self._maillog = os.path.join(directory, "maillog")
        self._child = None
        owner = pwd.getpwnam("postfix")
        for path in (self.queue, self.config, os.path.join(directory, "data")):
            os.makedirs(path)
        os.chown(os.path.join(directory, "data"), owner.pw_uid, owner.pw_gid)
        sandbox.write(os.path.join(self.config, "master.cf"), _MASTER_CF)
        self.configure(extra)
        self._fill_chroot()

    @staticmethod
    def version():
        """(3, 7, 11) for 3.7.11."""
        postconf = sandbox.program("postconf", "postfix")
        text = sandbox.run([postconf, "-d", "-h", "mail_version"]).stdout
        return tuple(int(part) for part in re.findall(r"\d+", text)[:3])

    def configure(self, extra):
        """Takes effect with the next start."""
        sandbox.write(os.path.join(self.config, "main.cf"),
                      _MAIN_CF.format(directory=self.directory) + extra)

    def make_socket_directory(self, name):
        """A directory in the queue directory that smtp(8) may enter."""
        path = os.path.join(self.queue, name)
        os.makedirs(path)
        os.chown(path, 0, grp.getgrnam("postfix").gr_gid)
        os.chmod(path, 0o750)
        return path

    def start(self):
        self._child = sandbox.Child("postfix", [self._postfix, "-c", self.config, "start-fg"],
                                    os.path.join(self.directory, "start.log"))
        self._child.wait_until(self._accepts, "accepts mail", timeout=20)

    def stop(self):
        if self._child is None:
            return
        child, self._child = self._child, None
        sandbox.run([self._postfix, "-c", self.config, "stop"], check=False)
        try:
            child.process.wait(sandbox.WAIT)
        finally:
            child.kill()

    def postmap(self, key, table):
        """(found, value), asked from the queue directory as Postfix's daemons do."""
        postmap = sandbox.program("postmap", "postfix")
        done = sandbox.run([postmap, "-c", self.config, "-q", key, table], check=False,
                           cwd=self.queue)
        if done.stderr or done.returncode not in (0, 1):
            raise AssertionError(f"postmap -q {key} {table}: {done.returncode} {done.stderr}")
        return done.returncode == 0, done.stdout.rstrip("\n")

    def build_table(self, name, text):
        path = os.path.join(self.config, name)
        sandbox.write(path, text)
        sandbox.run([sandbox.program("postmap", "postfix"), "-c", self.config, path])

    def submit(self, recipient):
        """The queue id of a new message."""
        with smtplib.SMTP("127.0.0.1", SUBMIT_PORT, "sender.test", timeout=sandbox.WAIT) as smtp:
            smtp.ehlo()
            smtp.mail("sender@sender.test")
            smtp.rcpt(recipient)
            code, text = smtp.data(f"Subject: test\r\nTo: {recipient}\r\n\r\nHello.\r\n")
        queued = re.search(rb"queued as (\w+)", text)
        if code != 250 or not queued:
            raise AssertionError(f"Postfix did not take mail to {recipient}: {code} {text}")
        return queued.group(1).decode("ascii")

    def statuses(self, queue_id):
        """Every attempt at a message so far."""
        lines = [line for line in self.maillog().splitlines() if f" {queue_id}: to=<" in line]
        found = [_STATUS.search(line) for line in lines]
        return [Status(match["status"], match["dsn"], match["relay"], match["text"])
                for match in found if match]

    def first_status(self, queue_id):
        """What became of the first attempt."""
        return self._wait(lambda: self.statuses(queue_id), f"a delivery attempt of {queue_id}")[0]

    def wait_sent(self, queue_id, timeout=15):
        """The attempt that delivered a message which was deferred before."""
        return self._wait(lambda: [status for status in self.statuses(queue_id)
                                   if status.status == "sent"],
                          f"the delivery of {queue_id}", timeout)[0]

    def delete(self, queue_id):
        sandbox.run([sandbox.program("postsuper", "postfix"), "-c", self.config, "-d", queue_id],
                    check=False)

    def maillog(self):
        return sandbox.read(self._maillog)

    def _wait(self, condition, what, timeout=sandbox.WAIT):
        try:
            return sandbox.wait_for(condition, what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\nmaillog ends:\n{self.maillog()[-4000:]}") from None

    def _accepts(self):
        try:
            with socket.create_connection(("127.0.0.1", SUBMIT_PORT), timeout=2) as sock:
                sock.settimeout(sandbox.WAIT)
                return sock.recv(100).startswith(b"220")
        except OSError:
            return False

    def _fill_chroot(self):
        """What Debian's start script copies and the resolver needs."""
        inside = os.path.join(self.queue, "etc")
        os.makedirs(inside)
        for name in ("resolv.conf", "hosts", "services", "nsswitch.conf"):
            if os.path.exists("/etc/" + name):
                shutil.copy("/etc/" + name, inside)
