#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A process is killed at every failpoint, once each; then all jobs end, and what was acknowledged is there.

The failpoints are those of common/failpoint.def, and four for each message of schemas/messages.def: before and after it is
said, before and after it is handled. Whoever passes one is started with it and must die of SIGKILL there: a failpoint that is
never passed fails the test. Several worlds run beside each other, each with its own Redis, broker, workers and client's log.

PAWL_FAILPOINTS_ONLY=REGEX in the environment tries those only; PAWL_FAILPOINTS_LANES=N in so many worlds.
"""
import hashlib
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
from rig import BUILD, PATIENCE_S, PREFIX, ROOT, STAGES, Rig, free_port, until  # noqa: E402

CHECKER = pathlib.Path(__file__).with_name("checker.py")
PROBLEM = "Late fees of one household should be capped at {} euros per calendar month."
COMPLAINT = "The list of reservations froze {} times in May."
# Who says it, of those that the broker does not say; who hears it, of those that it says. The others: clients.
SAID_BY_WORKERS = {"HELLO", "BYE", "READY", "BEAT", "STEP", "DONE", "FAIL", "RELEASE", "TOKENS", "CALL"}
HEARD_BY_WORKERS = {"WELCOME", "TASK", "STEPPED", "TAKEN", "DROP", "LISTEN", "CALLED"}
OTHER_WORLDS = ("replicated", "cluster")  # with another Redis
OF_ANY_STAGE = {"HELLO", "READY", "BEAT", "DONE", "WELCOME", "TASK", "TAKEN"}


def failpoints():
    """[(name, program, message or None)]"""
    text = (ROOT / "common/failpoint.def").read_text()
    points = [(name, program, None) for name, program in re.findall(r"^AT\((\w+), (\w+)\)", text, re.M)]
    # A broker's first commit names its pipeline; later ones are a job's.
    points += [(f"{name}:{n}", program, None) for name, program, _ in points if "_commit_" in name for n in (2, 4, 7, 11)]
    for name, side in re.findall(r"^MSG\((\w+), \d+, (\w+),", (ROOT / "schemas/messages.def").read_text(), re.M):
        says = "broker" if side == "BROKER" else "worker" if name in SAID_BY_WORKERS else "client"
        hears = "broker" if side == "PEER" else "worker" if name in HEARD_BY_WORKERS else "client"
        for when in ("before", "after"):
            points.append((f"send_{name}_{when}", says, name))
            points.append((f"recv_{name}_{when}", hears, name))
    return points


class Died(Exception):
    """The process that was to die has."""


class World:
    """One pawl with everything, and a client that writes down what it intends and what is acknowledged."""

    def __init__(self, test, number, kind="broker"):
        self.number, self.count = number, itertools.count()
        self.rig = Rig(test)
        self.rig.project()
        server = {"command": "/usr/bin/python3", "args": [str(ROOT / "tests/e2e/bad_mcp.py"), "good"]}
        (self.rig.dir / "mcp.json").write_text(json.dumps({"mcpServers": {"facts": server}}))
        self.rig.configure({"analyze.probes": [{"name": "facts", "server": "facts", "tool": "facts"}],
                            "redis.durability": "always", "retain.events": 10000000, "worker.drain": "0s"})
        {"broker": self.one_redis, "replicated": self.replicated_redis, "cluster": self.cluster}[kind]()
        self.llm = self.rig.sim("--slots", "8")
        self.log = self.rig.dir / "client.log"
        self.broker, self.workers = None, {}
        self.target = self.point = None  # who is to die where; no target: the next pawl that is run

    # ---- Redis; the one that counts is at redis.sock, too

    def one_redis(self):
        self.rig.redis("--appendfsync", "always")

    def replicated_redis(self):
        """A primary, a replica, and a sentinel that has nothing to do: the failovers are those of chaos.py and test_redis.py."""
        port, other, watch = free_port(), free_port(), free_port()
        self.rig.redis("--appendfsync", "always", "--port", port)
        self.rig.redis("--port", other, "--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay", "0", name="replica")
        until(lambda: "state=online" in self.rig.redis_cli("INFO", "replication"), "the replica follows")
        conf = self.rig.dir / "sentinel.conf"
        conf.write_text(f"port {watch}\nbind 127.0.0.1\ndir {self.rig.dir}\nsentinel monitor jobs 127.0.0.1 {port} 1\n"
                        "sentinel down-after-milliseconds jobs 600000\n")
        sentinel = self.rig.start("sentinel", ["redis-server", conf, "--sentinel"])
        sentinel.wait_text("monitor master jobs")
        self.rig.configure({"redis.url": f"redis+sentinel://127.0.0.1:{watch}/jobs", "redis.replicas": 1})

    def cluster(self):
        """Of one node."""
        port = free_port()
        self.rig.redis("--appendfsync", "always", "--port", port, "--cluster-enabled", "yes", "--cluster-port", free_port())
        self.rig.redis_cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        until(lambda: "cluster_state:ok" in self.rig.redis_cli("CLUSTER", "INFO"), "the cluster is whole")
        self.rig.configure({"redis.url": f"redis://127.0.0.1:{port}"})

    # ---- processes

    def start(self, name, program, point, *arguments):
        process = self.rig.start(f"{name}-{next(self.count)}", [PREFIX / f"bin/pawl-{program}", "--config", self.rig.conf, *arguments],
                                 env={"PAWL_FAILPOINT": point} if point else {})
        process.struck = process.armed = bool(point)
        return process

    def start_broker(self, point=None):
        if self.broker and self.broker.alive():
            self.broker.kill()
        self.broker = self.start("broker", "broker", point)
        return self.broker

    def start_worker(self, stage, point=None):
        if stage in self.workers and self.workers[stage].alive():
            self.workers[stage].kill_one()
        self.workers[stage] = self.start(stage, stage, point)
        return self.workers[stage]

    def whole(self):
        """Everybody runs, without a failpoint."""
        if not self.broker or self.broker.armed or not self.broker.alive():
            self.start_broker().wait_text(r"\bready\b.*endpoint=")
        for stage in STAGES:
            worker = self.workers.get(stage)
            if not worker or worker.armed or not worker.alive():
                self.start_worker(stage)

    def look(self):
        """What is waited for in a loop ends with the target's death."""
        if self.target and not self.target.alive():
            raise Died

    def until(self, condition, seconds):
        """False: it did not come."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.look()
            if condition():
                return True
            time.sleep(0.01)
        return False

    # ---- the client

    def note(self, what, op, **facts):
        with open(self.log, "a", encoding="utf-8") as out:
            out.write(json.dumps({"is": what, "op": op, **facts, "at_ms": time.time_ns() // 1000000}) + "\n")
            out.flush()
            os.fsync(out.fileno())

    def pawl(self, *argv, seconds=5.0, act=True, heard=None):
        """(exit code or None, output) of pawl. act: with the failpoint, when it is a client's. heard: gets the output, also
        of a pawl that died in the middle."""
        point = self.point if act and self.point and not self.target else None
        child = subprocess.Popen([str(PREFIX / "bin/pawl"), *map(str, argv), "--config", str(self.rig.conf), "--timeout", "20s"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                 env=self.rig.env | ({"PAWL_FAILPOINT": point} if point else {}), cwd=self.rig.dir)
        until_s = time.monotonic() + seconds
        while child.poll() is None and (not self.target or self.target.alive()) and time.monotonic() < until_s:
            try:
                child.wait(0.01)
            except subprocess.TimeoutExpired:
                pass
        if self.target and not self.target.alive():
            self.wait_briefly(child)  # what was said with its last breath may be on its way
        code = child.poll()
        if code is None:
            child.kill()
        out = child.communicate()[0]
        if heard:
            heard(out)
        if point and code == -signal.SIGKILL:
            raise Died
        self.look()
        return code, out

    @staticmethod
    def wait_briefly(child):
        try:
            child.wait(0.1)
        except subprocess.TimeoutExpired:
            pass

    def items(self, *argv):
        code, out = self.pawl(*argv, "-o", "json", act=False)
        return json.loads(out)["items"] if code == 0 else []

    def submit(self, text=PROBLEM, act=True):
        """Returns the job's id, if it was told."""
        key = f"{self.number}-{next(self.count)}"
        self.note("intent", "submit", key=key)
        ids = []
        self.pawl("submit", text.format(next(self.count)), "-C", self.rig.dir / "library", "-o", "jsonl", "--key", key,
                  "--rounds", "1", act=act, heard=lambda out: self.submitted(out, {"": key}, ids))
        return ids[0] if ids else None

    def submit_files(self):
        """With a tree of files that the broker does not know."""
        (self.rig.dir / "library/openspec/project.md").write_text(f"# Library\n\nEdition {self.number}-{next(self.count)}.\n")
        return self.submit()

    def submit_many(self):
        key, keys = f"{self.number}-{next(self.count)}", {}
        folder = self.rig.dir / f"many-{key}"
        folder.mkdir()
        for name in ("a.md", "b.md"):
            text = PROBLEM.format(next(self.count))
            (folder / name).write_text(text)
            keys[name] = f"{key}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
            self.note("intent", "submit", key=keys[name])
        self.pawl("submit", folder, "-C", self.rig.dir / "library", "-o", "jsonl", "--key", key, "--rounds", "1",
                  heard=lambda out: self.submitted(out, keys, []))

    def submitted(self, out, keys, ids):
        for line in out.splitlines():
            if line.startswith("{") and line.endswith("}"):
                said = json.loads(line)
                if "existing" in said:
                    ids.append(said["id"])
                    self.note("ack", "submit", key=keys[pathlib.Path(said["source"]).name], id=said["id"], existing=said["existing"])

    def a_job(self, state):
        """One in that state; made when there is none."""
        for _ in range(50):
            for row in self.items("ps", "--state", state, "--limit", "5"):
                return row["id"]
            job = self.submit(COMPLAINT if state == "waiting" else PROBLEM, act=False)
            if job:
                self.until(lambda: job in [r["id"] for r in self.items("ps", "--state", state)], 2)  # pylint: disable=cell-var-from-loop
        raise AssertionError(f"no job becomes {state}")

    def tell(self, op, job, *words, **facts):
        self.note("intent", op, id=job, **facts)
        code, _ = self.pawl(op, job, *words)
        if code == 0:
            self.note("ack", op, id=job, **facts)

    # ---- what leads to each message

    def fault(self, kind):
        urllib.request.urlopen(f"{self.llm.url}/sim/fault/{kind}", timeout=10).read()

    def dead_soon(self, seconds=1.0):
        self.until(lambda: False, seconds)

    def do_work(self):
        self.submit()
        self.dead_soon()

    def do_look(self):
        for words in (["ps"], ["show", self.a_job("ended")], ["get", self.a_job("ended"), "--doc", "problem"], ["workers"], ["doctor"],
                      ["show", "zzzzzzzzzzzz"]):
            self.pawl(*words, "-o", "json")

    def do_watch(self):
        job = self.submit(act=False) or self.a_job("all")
        self.pawl("watch", job)
        self.pawl("watch", self.a_job("waiting"), seconds=4)  # long enough for a PING

    def do_answer(self):
        self.pawl("answer", self.a_job("waiting"), "The first 50 are shown.")

    def do_comment(self):
        text = f"Say it shorter, {next(self.count)}."
        self.tell("comment", self.a_job("ended"), text, text=text)

    def do_ask(self):
        self.pawl("ask", self.a_job("ended"), f"How many facts are there, {next(self.count)}?")

    def do_retry(self):
        self.tell("retry", self.a_job("ended"))

    def do_pause(self):
        self.pawl("pause", self.a_job("waiting"))

    def at_the_model(self):
        """A job whose model does not answer: something is there to be dropped or given back."""
        self.fault("hang")
        job = self.submit(act=False)
        if not job:
            return None

        def asked():
            code, out = self.pawl("show", job, "-o", "json", act=False)
            return code == 0 and json.loads(out)["stage"] == "generate" and json.loads(out)["state"] == "running"
        return job if self.until(asked, 5) else None

    def do_cancel(self):
        job = self.at_the_model()
        if job:
            self.tell("cancel", job, "--yes")
            self.dead_soon(0.5)

    def do_fail(self):
        self.fault("500")
        self.submit()
        self.dead_soon(2)

    def do_stop(self):
        """SIGTERM to a worker in the middle of a task."""
        self.at_the_model()
        worker = self.workers["generate"]
        os.kill(worker.pid, signal.SIGTERM)
        until(lambda: not worker.alive(), "a worker ends", 10)
        self.look()
        self.start_worker("generate")

    def do_end(self):
        self.target.wait_text(r"\bready\b.*endpoint=")
        os.kill(self.target.pid, signal.SIGTERM)
        self.dead_soon(5)

    def do_suspend(self):
        """For longer than the leader's lease lasts."""
        self.target.wait_text(r"\bready\b.*endpoint=")
        os.kill(self.target.pid, signal.SIGSTOP)
        try:
            until(lambda: not self.rig.redis_cli("EXISTS", "pawl:{s0}:lock").startswith("1"), "the lease has run out", 20)
        finally:
            os.kill(self.target.pid, signal.SIGCONT)
        self.dead_soon(3)

    def stimulus(self, name, message):
        if not message:
            return {"store_resign": self.do_end, "store_confirm": self.do_suspend}.get(name.rsplit("_", 1)[0], self.do_work)
        table = {self.do_look: "LIST PAGE SHOW JOB REFUSED GET DOC WORKERS STATUS ANSWERED", self.do_watch: "WATCH EVENT UNWATCH PING PONG",
                 self.do_answer: "ANSWER", self.do_comment: "COMMENT OKAY", self.do_ask: "ASK CALL CALLED", self.do_cancel: "CANCEL DROP",
                 self.do_retry: "RETRY", self.do_pause: "PAUSE", self.submit_files: "NEED PUT",
                 self.submit_many: "SUBMIT_ALL SUBMITTED_ALL", self.do_fail: "FAIL", self.do_stop: "BYE RELEASE"}
        return next((do for do, names in table.items() if message in names.split()), self.do_work)

    # ---- one failpoint

    def kill_at(self, name, program, message):
        """True: whoever passes it died there, of SIGKILL. Then everybody runs again, and all jobs end."""
        self.point = name
        if program == "standby":
            self.target = self.start("standby", "broker", name, "--standby")
        elif program == "broker" or program in OTHER_WORLDS:
            self.broker.kill()
            if name.startswith("store_library"):
                self.rig.redis_cli("FUNCTION", "FLUSH", "SYNC")
            self.target = self.start_broker(name)
        elif program == "worker":
            self.target = self.start_worker(STAGES[self.number % 4] if message in OF_ANY_STAGE else "generate", name)
        do, until_s, died = self.stimulus(name, message), time.monotonic() + PATIENCE_S / 3, False
        while not died and time.monotonic() < until_s:
            try:
                do()
                if program == "worker" and not self.target.armed:
                    self.target = self.start_worker("generate", name)
            except Died:
                died = not self.target or self.target.child.returncode == -signal.SIGKILL
                break
        self.target = self.point = None
        self.fault("none")
        if do in (self.do_cancel, self.do_stop):
            self.start_worker("generate")  # who waits for a model that hangs would go on waiting
        self.whole()
        return died

    def settle(self):
        """All jobs come to their end."""
        self.target = self.point = None

        def ended():
            for row in self.items("ps", "--state", "open", "--limit", "1000"):
                if row["state"] == "waiting":
                    self.pawl("answer", row["id"], "The first 50 are shown.")
                self.pawl("resume", row["id"])
            code, out = self.pawl("ps", "--state", "open", "-o", "json")
            return code == 0 and not json.loads(out)["items"]
        if not self.until(ended, PATIENCE_S):
            rows = self.items("ps", "--state", "open")
            raise AssertionError("\n".join([f"after {PATIENCE_S:.0f} s these jobs have not ended:",
                                            *(self.pawl("show", row["id"], "-o", "json")[1] for row in rows[:3])]) + self.rig.logs(40))

    def check(self):
        state = self.rig.dir / "state.json"
        with open(state, "w", encoding="utf-8") as out:
            subprocess.run([sys.executable, str(CHECKER), "read", "--pawl", str(PREFIX / "bin/pawl"), "--config", str(self.rig.conf),
                            "--redis", str(self.rig.dir / "redis.sock")], stdout=out, check=True, timeout=120, env=self.rig.env)
        done = subprocess.run([sys.executable, str(CHECKER), "check", "--log", str(self.log), "--state", str(state), "--all-accepted"],
                              capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr


class Failpoints(unittest.TestCase):
    def run_lane(self, number, points):
        try:
            world = self.worlds[number]
            world.whole()
            world.submit()  # one without any trouble
            for name, program, message in points:
                began = time.monotonic()
                died = world.kill_at(name, program, message)
                if not died:
                    self.trouble.append(f"{name}: {program} did not die there")
                self.took.append((time.monotonic() - began, name))
                world.settle()
            code, said = world.check()
            print(f"world {number}: {len(points)} failpoints; {said.strip()}", flush=True)
            if code:
                self.trouble.append(said)
        except Exception as err:  # pylint: disable=broad-except
            self.trouble.append(f"world {number}, at {self.took[-1:]}: {type(err).__name__}: {err}")
            raise

    maxDiff = None

    def test_all(self):
        if b"PAWL_FAILPOINT" not in (PREFIX / "bin/pawl-broker").read_bytes():
            self.fail("this build has no failpoints: configure with -DPAWL_FAILPOINTS=ON")
        only = os.environ.get("PAWL_FAILPOINTS_ONLY", "")
        points = [point for point in failpoints() if re.search(only, point[0])]
        lanes = min(int(os.environ.get("PAWL_FAILPOINTS_LANES", "4")), len(points))
        self.trouble, self.took = [], []
        others = [point for point in points if point[1] not in OTHER_WORLDS]
        shares = [(kind, [point for point in points if point[1] == kind]) for kind in OTHER_WORLDS]
        shares = [share for share in shares + [("broker", others[n::lanes]) for n in range(lanes)] if share[1]]
        self.worlds = [World(self, number, kind) for number, (kind, _) in enumerate(shares)]
        threads = [threading.Thread(target=self.run_lane, args=(n, own)) for n, (_, own) in enumerate(shares)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        slow = ", ".join(f"{name} {seconds:.1f} s" for seconds, name in sorted(self.took, reverse=True)[:8])
        print(f"{len(self.took)} of {len(points)} failpoints; the slowest: {slow}; {BUILD}")
        self.assertEqual([], self.trouble)
        self.assertEqual(len(points), len(self.took))


if __name__ == "__main__":
    unittest.main(verbosity=2)
