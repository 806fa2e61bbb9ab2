"""A system with a systemd of its own, in namespaces of its own: processes, mounts, network, cgroups.

It has its own /tmp, /run and /dev, which systemd empties at its start, and no network but the loopback
device. It ends with the program that started it, and the copy of its root directory is deleted.
"""

import os
import shutil
import subprocess
import tempfile
import time

WAIT = 90  # seconds, for systemd on a busy machine
PATIENCE = 600  # seconds, for one command

# What it is started with, in a shell of the new namespaces. "$1" is its root directory, "$2" a directory
# outside of it.
BOOT = r"""
set -e
mount -t cgroup2 cgroup2 "$2"
mkdir -p "$2/mtastsd-packages-$3"
echo $$ > "$2/mtastsd-packages-$3/cgroup.procs"
exec unshare --cgroup sh -ec '
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount -t sysfs -o ro sysfs "$1/sys"
  mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
  for place in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs "$1/$place"; done
  chmod 1777 "$1/tmp"
  mkdir "$1/dev/pts" "$1/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
  ln -s pts/ptmx "$1/dev/ptmx"
  for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    set -- "$1" "$2" $device
    mknod -m 666 "$1/dev/$3" c $4 $5
  done
  ip link set lo up
  umount "$2"
  exec chroot "$1" /usr/bin/env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --show-status=0 --log-target=console > "$1/run/systemd.log" 2>&1 < /dev/null
' sh "$1" "$2"
"""

# Its processes are gone a moment after the first one.
REMOVE_CGROUP = r"""
mount -t cgroup2 cgroup2 "$1"
for try in 1 2 3 4 5 6 7 8 9 10; do
  find "$1/mtastsd-packages-$2" -depth -type d -exec rmdir {} ";" 2> /dev/null
  [ -d "$1/mtastsd-packages-$2" ] || exit 0
  sleep 1
done
"""


class Machine:
    def __init__(self, root):
        self._scratch = tempfile.mkdtemp(prefix="mtastsd-machine.")
        self.root = os.path.join(self._scratch, "root")
        outside = os.path.join(self._scratch, "cgroup")
        os.mkdir(outside)
        subprocess.run(["cp", "-a", "--reflink=auto", root, self.root], check=True)
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
             "--uts", "--ipc", "--net", "sh", "-c", BOOT, "sh", self.root, outside,
             str(os.getpid())])
        self._outside = outside
        self.pid = self._find_first_process()
        self._wait_until_up()

    def _find_first_process(self):
        """The process that is number 1 inside."""
        path = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            with open(path, encoding="ascii") as file:
                children = file.read().split()
            if children:
                return int(children[0])
            time.sleep(0.05)
        raise TimeoutError("the machine does not start")

    def _wait_until_up(self):
        deadline = time.monotonic() + WAIT
        state = ""
        while time.monotonic() < deadline and self._process.poll() is None:
            state = self.run("systemctl", "is-system-running", check=False).strip()
            if state in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise TimeoutError(f"the machine is not up: {state}")

    def run(self, *command, check=True):
        """Runs a command inside, and returns what it prints."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--net", "--uts", "--ipc",
             "--cgroup", "--root", "--wd", "/usr/bin/env", "-i", "HOME=/root", "LANG=C.UTF-8",
             "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=PATIENCE, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def in_its_network(self, *command, **options):
        """A process of this system in the network of the machine."""
        return subprocess.Popen(["nsenter", "--target", str(self.pid), "--net", *command], **options)

    def path(self, name):
        """A file of the machine, mounts included."""
        return f"/proc/{self.pid}/root{name}"

    def close(self):
        self._process.kill()
        self._process.wait()
        subprocess.run(["unshare", "--mount", "sh", "-c", REMOVE_CGROUP, "sh", self._outside,
                        str(os.getpid())], check=False)
        shutil.rmtree(self._scratch, ignore_errors=True)
