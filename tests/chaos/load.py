#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that never stop: they submit, cancel, comment, look, and write down what they mean to say and what they are told.

  load.py --pawl PROGRAM --config CONF --project DIR --log DIR --seed N --rate JOBS-PER-SECOND

Ends on SIGTERM, after what is being said is said. The form of the logs: checker.py.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

PROBLEM = "Late fees of one household should be capped at {} euros per calendar month. Members under {} pay nothing."
OPEN_MOST = 60  # then no more is submitted until some have ended


class Log:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")  # pylint: disable=consider-using-with

    def write(self, **line):
        self.file.write(json.dumps(line | {"at_ms": time.time_ns() // 1000000}) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())


class Client(threading.Thread):
    """One of them; its own random numbers, its own log."""

    def __init__(self, given, name, stop, shared):
        super().__init__(name=name)
        self.given, self.stop, self.shared = given, stop, shared
        self.random = random.Random(f"{given.seed}/{name}")
        self.log = Log(pathlib.Path(given.log, f"client-{name}.jsonl"))
        self.tries = {"submit": 0, "submit refused": 0, "killed": 0}

    def pawl(self, *words, kill_after=None):
        """(exit code, output); a negative code: it was killed."""
        argv = [self.given.pawl, *map(str, words), "--config", self.given.config, "--timeout", "6s"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              start_new_session=True) as child:
            try:
                out, err = child.communicate(timeout=kill_after or 30)
            except subprocess.TimeoutExpired:
                child.kill()
                out, err = child.communicate()
            if child.returncode < 0 and child.returncode != -signal.SIGKILL:
                self.log.write(**{"is": "crash", "op": words[0], "code": child.returncode, "text": err[-2000:]})
            return child.returncode, out

    def run(self):
        while not self.stop.is_set():
            self.once()
            self.stop.wait(self.random.expovariate(1) * self.pause_s())


class Submitter(Client):
    """Each job has a key of its own. What is not acknowledged is said again under its key, or left in doubt for ever."""

    def pause_s(self):
        return (2 * self.given.submitters - 1) / self.given.rate

    def once(self):
        if self.shared["open"] > OPEN_MOST:
            return
        self.tries["submit"] += 1
        key = f"{self.name}-{self.tries['submit']}"
        text = PROBLEM.format(self.random.randrange(20, 90), self.random.randrange(6, 18))
        while not self.stop.is_set():
            job = self.submit(key, text)
            if job:
                self.shared["jobs"].append(job)
                if self.random.random() < 0.05:
                    self.submit(key, text)  # once more, for nothing
                return
            if self.random.random() < 0.4:
                return
            self.stop.wait(self.random.random())

    def submit(self, key, text):
        kill_after = self.random.random() * 0.1 if self.random.random() < 0.1 else None
        self.log.write(**{"is": "intent", "op": "submit", "key": key})
        code, out = self.pawl("submit", text, "-C", self.given.project, "-o", "jsonl", "--key", key, "--rounds", "2", kill_after=kill_after)
        self.tries["killed" if code < 0 else "submit refused"] += code != 0
        for line in out.splitlines():
            if line.startswith("{") and line.endswith("}"):
                said = json.loads(line)
                if "existing" not in said:
                    continue  # refused, and why
                self.log.write(**{"is": "ack", "op": "submit", "key": key, "id": said["id"], "existing": said["existing"]})
                return said["id"]
        return None


class Talker(Submitter):
    """One that stays connected and speaks the protocol itself: it has said SUBMIT when a fault comes, while a pawl that is just
    started has not been welcomed yet. So its jobs can be there without having been acknowledged."""

    def __init__(self, *given):
        super().__init__(*given)
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
        import wire  # pylint: disable=import-outside-toplevel
        import zmq  # pylint: disable=import-outside-toplevel
        self.wire, self.zmq, self.epoch, self.req, self.socket, self.files = wire, zmq, None, 0, None, None
        self.conf = json.loads(pathlib.Path(self.given.config).read_text())
        self.endpoints = self.conf["broker"]["endpoint"].split(",")

    def connect(self):
        """Anew: what the old connection still has is not for us."""
        if self.socket:
            self.socket.close(0)
        self.socket, self.epoch = self.zmq.Context.instance().socket(self.zmq.DEALER), None
        self.socket.curve_serverkey = self.conf["broker"]["public_key"].encode()
        secret = pathlib.Path(self.conf["peer"]["secret_file"]).read_text().split()[-1].encode()
        self.socket.curve_secretkey = secret
        self.socket.curve_publickey = self.zmq.curve_public(secret)
        self.endpoints = self.endpoints[1:] + self.endpoints[:1]  # the next one: this one may stand by
        self.socket.connect(self.endpoints[0])
        self.say("HELLO", "client", f"talker-{self.name}", "chaos", [], 0, [], [])
        self.hear(1.5, "WELCOME")

    def say(self, name, *fields, frames=()):
        self.socket.send_multipart([self.wire.msgpack.packb([1, self.wire.NUMBER[name], 0, *fields]), *frames])

    def hear(self, seconds, *wanted):
        """(name, fields) of the next message of those names, or None."""
        until_s = time.monotonic() + seconds
        while (left := until_s - time.monotonic()) > 0 and not self.stop.is_set():
            if not self.socket.poll(min(left, 0.5) * 1000):
                continue
            header, *_ = self.socket.recv_multipart()
            _, number, epoch, *fields = self.wire.msgpack.unpackb(header, strict_map_key=False)
            name = self.wire.NAME[number]
            if name == "WELCOME":
                self.epoch = epoch
            if name in wanted:
                return name, fields
        return None

    def once(self):
        """The files are those of a job that a pawl has submitted."""
        if self.files:
            super().once()
        elif self.shared["jobs"]:
            code, out = self.pawl("show", self.shared["jobs"][0], "-o", "json")
            self.files = bytes.fromhex(json.loads(out)["workspace"]) if code == 0 else None

    def submit(self, key, text):
        if not self.epoch:
            self.connect()
        if not self.epoch:
            return None
        self.req += 1
        self.log.write(**{"is": "intent", "op": "submit", "key": key})
        self.say("SUBMIT", self.req, key, "", "", 0, {"rounds": 2}, self.files, ["problem"], frames=[self.wire.pack({"text": text})])
        until_s = time.monotonic() + 6
        while (left := until_s - time.monotonic()) > 0 and not self.stop.is_set():
            got = self.hear(left, "SUBMITTED", "REFUSED", "NEED")
            if got and got[0] == "SUBMITTED" and got[1][0] == self.req:
                self.log.write(**{"is": "ack", "op": "submit", "key": key, "id": got[1][1], "existing": got[1][2]})
                return got[1][1]
            if got and got[0] != "SUBMITTED":
                break
        self.tries["submit refused"] += 1
        self.epoch = None  # greet it again
        return None


class Meddler(Client):
    """Cancels, and comments on what has ended."""

    def pause_s(self):
        return 4

    def once(self):
        if not self.shared["jobs"]:
            return
        job = self.random.choice(self.shared["jobs"][-30:])
        if self.random.random() < 0.5:
            self.tell("cancel", job, "--yes")
        else:
            text = f"Say it shorter, {self.random.randrange(10 ** 9)}."
            self.tell("comment", job, text, text=text)

    def tell(self, op, job, *words, **facts):
        self.log.write(**{"is": "intent", "op": op, "id": job}, **facts)
        code, _ = self.pawl(op, job, *words)
        if code == 0:
            self.log.write(**{"is": "ack", "op": op, "id": job}, **facts)


class Observer(Client):
    """Writes down each end that it is shown."""

    def __init__(self, *given):
        super().__init__(*given)
        self.seen = set()

    def pause_s(self):
        return 1

    def once(self):
        code, out = self.pawl("ps", "--state", "ended", "--limit", "200", "-o", "json")
        for row in json.loads(out)["items"] if code == 0 else []:
            if (row["id"], row["run"]) not in self.seen:
                self.seen.add((row["id"], row["run"]))
                verdict = (row.get("best") or {}).get("verdict") or {}
                self.log.write(**{"is": "seen", "id": row["id"], "run": row["run"], "state": row["state"], "ended_ms": row["ended_ms"],
                                  "candidate": verdict.get("candidate", "")})
        code, out = self.pawl("ps", "--state", "open", "--limit", "1000", "-o", "json")
        if code == 0:
            self.shared["open"] = len(json.loads(out)["items"])


def main():
    parser = argparse.ArgumentParser()
    for name in ("pawl", "config", "project", "log", "seed"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rate", type=float, default=2)
    parser.add_argument("--submitters", type=int, default=3)
    given = parser.parse_args()
    stop, shared = threading.Event(), {"jobs": [], "open": 0}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    clients = [Submitter(given, f"s{n}", stop, shared) for n in range(given.submitters)]
    clients += [Talker(given, f"st{n}", stop, shared) for n in range(given.submitters - 1)]
    clients += [Meddler(given, "meddler", stop, shared), Observer(given, "observer", stop, shared)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    sums = {name: sum(c.tries[name] for c in clients) for name in clients[0].tries}
    pathlib.Path(given.log, "load.json").write_text(json.dumps(sums))


if __name__ == "__main__":
    main()
