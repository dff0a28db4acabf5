#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a standby needs until it serves, with many open jobs.

    bench/takeover.py BUILD [JOBS] [RUNS]      default: 100,000 jobs, 3 runs; needs redis-server and, for a leader
                                               on "another machine" (another host name), the right to make UTS namespaces

Prints, for each way to lose a leader, the median of seconds from its end to the standby's `ready`, and to the answer
of a `pawl ps` that was started at the same time and knows both endpoints. BUILD is a build directory.
"""
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"after {PATIENCE_S} s still not: {what}")
        time.sleep(0.005)


class Broker:
    def __init__(self, bench, name, endpoint, *arguments, elsewhere=False):
        self.log = bench.dir / f"{name}.log"
        argv = [bench.build / "bin/pawl-broker", "--config", bench.conf, "--redis", bench.url, "--endpoint", endpoint, *arguments]
        if elsewhere:
            argv = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh", *argv]
        with open(self.log, "wb") as out:
            self.child = subprocess.Popen([str(a) for a in argv], stdout=out, stderr=out)

    def says(self, pattern):
        until(lambda: re.search(pattern, self.log.read_text()), f"{pattern} in {self.log.read_text()}")
        return self

    def end(self, number=signal.SIGTERM):
        self.child.send_signal(number)
        self.child.wait(PATIENCE_S)


class Bench:
    def __init__(self, build, place):
        self.build, self.dir = pathlib.Path(build).resolve(), pathlib.Path(place)
        self.url = f"unix://{self.dir}/redis.sock"
        self.conf = self.dir / "pawl.yaml"
        self.conf.write_text("log:\n  level: info\n")
        self.redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.dir / "redis.sock", "--dir", self.dir, "--save", "",
                                       "--appendonly", "yes", "--appendfsync", "everysec"], stdout=subprocess.DEVNULL)
        until((self.dir / "redis.sock").exists, "redis-server listens")

    def fill(self, jobs):
        subprocess.run([self.build / "bin/bench-restart", self.url, str(jobs)], check=True, stdout=subprocess.DEVNULL)

    def once(self, how, elsewhere):
        """(seconds to ready, seconds to an answer)"""
        ends = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
        leader = Broker(self, "leader", ends[0], elsewhere=elsewhere).says(r"\bready\b")
        standby = Broker(self, "standby", ends[1], "--standby").says("standing by")
        began = time.monotonic()
        leader.child.send_signal(how)
        asked = self.ask(ends)
        standby.says(r"\bready\b")
        ready = time.monotonic() - began
        while asked.wait(PATIENCE_S) != 0:  # it gives up after 10 s
            asked = self.ask(ends)
        answered = time.monotonic() - began
        if how == signal.SIGSTOP:
            leader.child.send_signal(signal.SIGCONT)
        leader.child.wait(PATIENCE_S)
        standby.end()
        return ready, answered

    def ask(self, ends):
        return subprocess.Popen([self.build / "bin/pawl", "ps", "-q", "--limit", "1", "--config", self.conf, "--broker", ",".join(ends)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.redis.terminate()
        self.redis.wait(PATIENCE_S)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    jobs, runs = (int(sys.argv[i]) if len(sys.argv) > i else value for i, value in ((2, 100000), (3, 3)))
    apart = subprocess.run(["unshare", "--uts", "true"], capture_output=True, check=False).returncode == 0
    with tempfile.TemporaryDirectory(prefix="pawl-takeover-") as place:
        bench = Bench(sys.argv[1], place)
        try:
            bench.fill(jobs)
            for how, elsewhere, name in ((signal.SIGKILL, True, "killed on another machine"), (signal.SIGKILL, False, "killed on this machine"),
                                         (signal.SIGSTOP, False, "stopped, lease runs out"), (signal.SIGTERM, False, "told to stop")):
                if elsewhere and not apart:
                    print(f"{name}: skipped, no right to make a UTS namespace")
                    continue
                pairs = [bench.once(how, elsewhere) for _ in range(runs)]
                ready, answered = (statistics.median(column) for column in zip(*pairs))
                print(f"{jobs} jobs, leader {name}: the standby leads after {ready:.2f} s, a client is answered after {answered:.2f} s "
                      f"(medians of {runs}; at most {max(r for r, _ in pairs):.2f} and {max(a for _, a in pairs):.2f})", flush=True)
        finally:
            bench.close()


if __name__ == "__main__":
    os.chdir("/")
    main()
