#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what clients were told against what is there in the end. Shares no code with what makes the faults.

  checker.py read --config CONF [--pawl PROGRAM] --redis SOCKET|HOST:PORT > state.json
  checker.py check --log FILE… --state FILE [--all-accepted]

A client's log is lines of JSON, each on the disk before the client goes on:
  {"is": "intent", "op": "submit", "key": K}           it is going to say it (again)
  {"is": "ack", "op": "submit", "key": K, "id": JOB, "existing": BOOL}
  {"is": "intent" | "ack", "op": "cancel", "id": JOB, "at_ms": T}
  {"is": "intent" | "ack", "op": "comment", "id": JOB, "text": T}
  {"is": "crash", "op": …, "code": N, "text": T}       pawl died of a signal that the client did not send
  {"is": "seen", "id": JOB, "run": N, "state": S, "ended_ms": T, "candidate": HASH}   an ended job, as it was shown
An intent without an ack is in doubt: it may have been done (recovered) or not.

The state has the jobs as `pawl show` tells them, and the events as they lie in Redis. Exit code 0: no promise is broken;
1: one is, each named on a line of its own; 2: what is to be checked cannot be read.
"""
import argparse
import collections
import json
import pathlib
import socket
import subprocess
import sys

ENDED = ("accepted", "exhausted", "failed", "cancelled")
KINDS = {
    "lost-job": "acknowledged, and not there",
    "lost-cancel": "a cancel was acknowledged, and the job went on",
    "lost-comment": "a comment was acknowledged, and is not in the job",
    "duplicated-job": "one key, two jobs",
    "duplicated-result": "two results were committed under one task key",
    "duplicated-step": "a finished call was recorded twice",
    "duplicated-round": "a round is in the ledger twice",
    "duplicated-comment": "a comment is there twice",
    "unexpected-job": "nobody submitted it",
    "unexpected-comment": "nobody said it",
    "not-ended": "it did not come to its end",
    "changed": "it was shown as ended, and is something else now",
    "not-accepted": "it ended in another state than expected",
    "crashed": "a client died of a signal that nobody sent",
    "store": "fsck finds differences",
}


class Unreadable(Exception):
    pass


# ---- reading the final state


class Redis:
    """The few words of Redis's protocol that are needed to read a stream."""

    def __init__(self, where):
        if where.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(where)
        else:
            host, port = where.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(parts))
        return self.answer()

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Unreadable(f"Redis: {rest.decode()}")
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if int(rest) < 0 else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        raise Unreadable(f"Redis said {line!r}")


def read_events(redis):
    """Counts by (kind, task, hash): committed results and recorded steps. Counting here keeps the state small."""
    import msgpack  # not needed to check a state that somebody else has read
    counts = collections.Counter()
    after = "-"
    while page := redis.ask("XRANGE", "pawl:{s0}:e", after, "+", "COUNT", 2000):
        for _, fields in page:
            kind, job, _, _, facts = msgpack.unpackb(fields[1], strict_map_key=False)
            if kind == "task.end" and facts["outcome"] == "committed":
                counts[job, "result", facts["task"]] += 1
            elif kind == "task.step":
                counts[job, "step", f"{facts['task']} {facts['hash']}"] += 1
        after = "(" + page[-1][0].decode()
    return [{"job": job, "kind": kind, "of": of, "times": n} for (job, kind, of), n in counts.items() if n > 1 or kind == "result"]


def read_jobs(pawl):
    def ask(*words):
        done = subprocess.run([*pawl, *words, "-o", "json"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise Unreadable(f"pawl {' '.join(words)}: {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    jobs, cursor = [], []
    while True:
        page = ask("ps", "--state", "all", "--limit", "1000", *cursor)
        for row in page["items"]:
            jobs.append(ask("show", row["id"]))
        if not page.get("next"):
            return jobs
        cursor = ["--cursor", page["next"]]


def read_state(given):
    pawl = [given.pawl, "--config", given.config]
    kept = ("id", "key", "project", "state", "reason", "run", "ended_ms", "best", "ledger", "comments", "failures")
    jobs = [{name: job.get(name) for name in kept} for job in read_jobs(pawl)]
    return {"jobs": jobs, "events": read_events(Redis(given.redis))}


# ---- checking


def candidate(job):
    return ((job.get("best") or {}).get("verdict") or {}).get("candidate", "")


class Check:
    def __init__(self, log, state, all_accepted=False):
        self.found = []
        self.counts = collections.Counter()
        self.all_accepted = all_accepted
        self.jobs = {}
        for job in state["jobs"]:
            if job["id"] in self.jobs:
                self.say("duplicated-job", f"{job['id']} is listed twice")
            self.jobs[job["id"]] = job
        self.intents = [line for line in log if line["is"] == "intent"]
        self.acks = [line for line in log if line["is"] == "ack"]
        self.seen = [line for line in log if line["is"] == "seen"]
        for line in log:
            if line["is"] == "crash":
                self.say("crashed", f"pawl {line['op']}: signal {-line['code']}: {line['text']}")
        self.submitted()
        self.cancelled()
        self.commented()
        self.ended()
        self.not_changed()
        self.once(state["events"])
        if state.get("fsck", {}).get("code"):
            self.say("store", state["fsck"]["text"])

    def say(self, kind, text):
        assert kind in KINDS
        self.found.append((kind, text))

    @staticmethod
    def of(lines, op):
        return [line for line in lines if line["op"] == op]

    def submitted(self):
        intended = {line["key"] for line in self.of(self.intents, "submit")}
        by_key = collections.defaultdict(list)
        for job in self.jobs.values():
            by_key[job["key"]].append(job["id"])
        told = collections.defaultdict(set)
        made = collections.Counter()
        for ack in self.of(self.acks, "submit"):
            told[ack["key"]].add(ack["id"])
            made[ack["key"]] += not ack["existing"]
        for key, ids in told.items():
            for job in sorted(ids):
                if job not in self.jobs:
                    self.say("lost-job", f"{job}, submitted under the key {key}")
                elif self.jobs[job]["key"] != key:
                    self.say("lost-job", f"{job}, submitted under the key {key}, has the key {self.jobs[job]['key']}")
            if len(ids) > 1:
                self.say("duplicated-job", f"the key {key} was acknowledged as {', '.join(sorted(ids))}")
            if made[key] > 1:
                self.say("duplicated-job", f"the key {key} was acknowledged as new {made[key]} times")
        for key, ids in by_key.items():
            if len(ids) > 1:
                self.say("duplicated-job", f"the key {key} has the jobs {', '.join(sorted(ids))}")
            if key not in intended:
                self.say("unexpected-job", f"{', '.join(sorted(ids))} under the key {key}")
        self.counts["intended"] = len(intended)
        self.counts["acknowledged"] = len(told)
        self.counts["recovered"] = sum(1 for key in by_key if key in intended and key not in told)
        self.counts["jobs"] = len(self.jobs)

    def cancelled(self):
        """A cancel of a job that has ended is acknowledged, too, and changes nothing."""
        reopened = {line["id"] for line in self.intents if line["op"] in ("comment", "retry")}
        acknowledged = {line["id"]: line["at_ms"] for line in reversed(self.of(self.acks, "cancel"))}
        for name, at_ms in sorted(acknowledged.items()):
            job = self.jobs.get(name)
            if not job:
                self.say("lost-job", f"{name}, cancelled")
            elif job["state"] != "cancelled" and name not in reopened and not 0 < (job["ended_ms"] or 0) <= at_ms:
                self.say("lost-cancel", f"{name} is {job['state']}, ended {(job['ended_ms'] or 0) - at_ms} ms later")
        self.counts["cancels"] = len(acknowledged)

    def commented(self):
        intended = collections.Counter((line["id"], line["text"]) for line in self.of(self.intents, "comment"))
        acknowledged = {(line["id"], line["text"]) for line in self.of(self.acks, "comment")}
        there = collections.Counter((job["id"], comment["text"]) for job in self.jobs.values() for comment in job["comments"] or [])
        for job, text in sorted(acknowledged):
            if (job, text) not in there:
                self.say("lost-comment", f"{job}: {text}")
        for (job, text), times in sorted(there.items()):
            if (job, text) not in intended:
                self.say("unexpected-comment", f"{job}: {text}")
            elif times > intended[job, text]:
                self.say("duplicated-comment", f"{job}: {text}: said {intended[job, text]} times, there {times} times")
        self.counts["comments"] = len(acknowledged)

    def ended(self):
        cancels = {line["id"] for line in self.of(self.intents, "cancel")}
        for job in self.jobs.values():
            self.counts[job["state"]] += 1
            wanted = ("accepted", "exhausted") + (("cancelled",) if job["id"] in cancels else ())
            if job["state"] not in ENDED:
                self.say("not-ended", f"{job['id']} is {job['state']}: {job['reason']}")
            elif job["state"] == "cancelled" and job["id"] not in cancels:
                self.say("not-accepted", f"{job['id']} is cancelled, and nobody cancelled it")
            elif self.all_accepted and job["state"] not in wanted:
                self.say("not-accepted", f"{job['id']} is {job['state']}: {job['reason']}")

    def not_changed(self):
        for line in self.seen:
            job = self.jobs.get(line["id"])
            if not job:
                self.say("lost-job", f"{line['id']}, shown as {line['state']}")
                continue
            now = (job["state"], job["ended_ms"], candidate(job))
            then = (line["state"], line["ended_ms"], line["candidate"])
            if job["run"] < line["run"] or (job["run"] == line["run"] and now != then):
                self.say("changed", f"{line['id']} was {then} in run {line['run']}, is {now} in run {job['run']}")
            elif job["run"] > line["run"] and not any(i["id"] == line["id"] for i in self.intents if i["op"] in ("comment", "retry")):
                self.say("changed", f"{line['id']} has the run {job['run']}, which nobody asked for")
        self.counts["seen ended"] = len({line["id"] for line in self.seen})

    def once(self, events):
        for event in events:
            if event["times"] > 1:
                self.say(f"duplicated-{event['kind']}", f"{event['of']}: {event['times']} times")
            self.counts["results"] += event["kind"] == "result"
        for job in self.jobs.values():
            rounds = collections.Counter((entry["run"], entry["round"]) for entry in job["ledger"] or [])
            for (run, number), times in rounds.items():
                if times > 1:
                    self.say("duplicated-round", f"{job['id']}/{run}/{number}: {times} times")


def read_log(paths):
    """Whole lines; the last one of a client that was killed may be half."""
    log = []
    for path in paths:
        lines = pathlib.Path(path).read_text().split("\n")
        for number, line in enumerate(lines, 1):
            try:
                if line:
                    log.append(json.loads(line))
            except ValueError:
                if number != len(lines):  # what follows a half line was written by somebody who had lost one
                    raise Unreadable(f"{path}:{number}: not a line of a log: {line[:80]}") from None
    if not any(line["is"] == "ack" for line in log):
        raise Unreadable("no acknowledgement in the logs: this would prove nothing")
    return log


def report(check):
    tally = collections.Counter(kind for kind, _ in check.found)
    return {"ok": not check.found, "counts": dict(check.counts), "found": [{"kind": k, "text": t} for k, t in check.found],
            "lost": sum(n for kind, n in tally.items() if kind.startswith("lost")),
            "duplicated": sum(n for kind, n in tally.items() if kind.startswith("duplicated")),
            "unexpected": sum(n for kind, n in tally.items() if kind.startswith("unexpected")),
            "recovered": check.counts["recovered"],
            "failed": [f"{job['id']}: {job['reason']}" for job in check.jobs.values() if job["state"] == "failed"]}


def main():
    parser = argparse.ArgumentParser(description="Holds clients' logs against the final state.")
    words = parser.add_subparsers(dest="what", required=True)
    read = words.add_parser("read")
    read.add_argument("--config", required=True)
    read.add_argument("--pawl", default="pawl")
    read.add_argument("--redis", required=True)
    check = words.add_parser("check")
    check.add_argument("--log", nargs="+", required=True)
    check.add_argument("--state", required=True)
    check.add_argument("--all-accepted", action="store_true", help="a job that failed is a violation, too")
    check.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        if given.what == "read":
            json.dump(read_state(given), sys.stdout)
            return 0
        done = Check(read_log(given.log), json.loads(pathlib.Path(given.state).read_text()), given.all_accepted)
    except (Unreadable, OSError, KeyError, ValueError, subprocess.SubprocessError) as err:
        print(f"checker.py: {type(err).__name__}: {err}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(report(done)))
    else:
        for kind, text in done.found:
            print(f"{kind}: {text} ({KINDS[kind]})")
        print(", ".join(f"{n} {name}" for name, n in sorted(done.counts.items())), "-", "broken" if done.found else "all held")
    return 1 if done.found else 0


if __name__ == "__main__":
    sys.exit(main())
