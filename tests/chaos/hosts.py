# SPDX-License-Identifier: Apache-2.0
"""Several hosts on one machine: network namespaces, each with a veth into one bridge. The link down is a partition.

Without the privilege for it (`Alone`) all is one host, and links and disks cannot fail.
"""
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

CLONE_NEWNET = 0x40000000
PREFIX = "pchaos"
DISK_BYTES = 1 << 30  # most that Redis's disk may hold


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True, timeout=30).stdout


def sweep():
    """Namespaces of a run that was killed: those whose process is gone."""
    for name in re.findall(rf"^{PREFIX}(\d+)-(\w+)", ip("netns", "list", check=False), re.M):
        if not os.path.exists(f"/proc/{name[0]}"):
            remove(f"{PREFIX}{name[0]}-{name[1]}")


def remove(space):
    for pid in ip("netns", "pids", space, check=False).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except OSError:
            continue
    ip("netns", "del", space, check=False)


class Net:
    """Hosts by name, at 10.77.0.N of a network of their own that nobody else sees."""
    links = True

    def __init__(self, names):
        sweep()
        self.base = f"{PREFIX}{os.getpid()}"
        self.hosts = {name: n + 1 for n, name in enumerate(names)}
        self.disk = None
        try:
            self.space("switch")
            ip("-n", f"{self.base}-switch", "link", "add", "br0", "type", "bridge")
            ip("-n", f"{self.base}-switch", "link", "set", "br0", "up")
            for name, number in self.hosts.items():
                self.space(name)
                ip("link", "add", "eth0", "netns", f"{self.base}-{name}", "type", "veth",
                   "peer", "name", f"p{number}", "netns", f"{self.base}-switch")
                ip("-n", f"{self.base}-switch", "link", "set", f"p{number}", "master", "br0", "up")
                ip("-n", f"{self.base}-{name}", "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
                ip("-n", f"{self.base}-{name}", "link", "set", "eth0", "up")
        except BaseException:
            self.close()
            raise

    def space(self, name):
        ip("netns", "add", f"{self.base}-{name}")
        ip("-n", f"{self.base}-{name}", "link", "set", "lo", "up")

    def address(self, name):
        return f"10.77.0.{self.hosts[name]}"

    def command(self, name):
        """What to put before a command so that it runs on that host; the process itself, not a child of another."""
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]  # a broker tells machines apart by their names
        return ["ip", "netns", "exec", f"{self.base}-{name}", *named]

    def link(self, name, up):
        ip("-n", f"{self.base}-switch", "link", "set", f"p{self.hosts[name]}", "up" if up else "down")

    def call(self, name, function):
        """function() in a thread whose sockets are those of the host."""
        result = []

        def run():
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self.base}-{name}", "rb") as space:
                if libc.setns(space.fileno(), CLONE_NEWNET):
                    result.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                result.append(function())
            except Exception as err:  # pylint: disable=broad-except
                result.append(err)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def mount_disk(self, path):
        """A disk of its own for Redis, so that it can be full. None: it cannot be."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "pawl-chaos", str(path)], check=True, timeout=30)
        self.disk = pathlib.Path(path)

    def fill_disk(self, full):
        """No byte more than it holds now, which may be more a moment later."""
        for _ in range(50):
            stat = os.statvfs(self.disk)
            size = (stat.f_blocks - stat.f_bfree) * stat.f_frsize if full else DISK_BYTES
            done = subprocess.run(["mount", "-o", f"remount,size={size}", str(self.disk)], capture_output=True, text=True, timeout=30,
                                  check=False)
            if done.returncode == 0:
                return
        raise OSError(done.stderr)

    def close(self):
        for name in [*self.hosts, "switch"]:
            remove(f"{self.base}-{name}")
        if self.disk:
            subprocess.run(["umount", "-l", str(self.disk)], check=False, timeout=30)
            self.disk = None


class Alone:
    """All hosts are this one."""
    links, disk = False, None

    @staticmethod
    def address(_):
        return "127.0.0.1"

    @staticmethod
    def command(_):
        return []

    @staticmethod
    def call(_, function):
        return function()

    def close(self):
        pass


def make(names):
    """(hosts, why links and disks cannot fail)"""
    if os.geteuid() != 0:
        return Alone(), "not root"
    if not shutil.which("ip"):
        return Alone(), "no ip(8)"
    try:
        return Net(names), ""
    except (subprocess.CalledProcessError, OSError) as err:
        return Alone(), f"no network namespaces: {(getattr(err, 'stderr', '') or str(err)).strip()}"
