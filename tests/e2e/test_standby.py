#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A broker that stands by takes over; whoever talked to the old leader goes on with the new one, and loses nothing."""
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import test_kill
from rig import Case, PREFIX, free_port, main, until
from wire import Client, Peer

PROBLEM = "Late fees of one household should be capped at 25 euros per calendar month."
LEASE_S = 3.0


def may_rename_the_machine():
    """A leader under another host name is on another machine, for all that a standby can see."""
    return subprocess.run(["unshare", "--uts", "hostname", "elsewhere"], capture_output=True, check=False).returncode == 0


class Relay:
    """A unix socket that leads to another one, until it is cut: then it holds what is sent, as a net that broke."""

    def __init__(self, test, path, target):
        self.path, self.target = path, target
        self.open, self.over = threading.Event(), False
        self.open.set()
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(path))
        self.door.listen()
        threading.Thread(target=self.accept, daemon=True).start()
        test.addCleanup(self.end)

    def accept(self):
        while True:
            try:
                inner = self.door.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.carry, args=(inner,), daemon=True).start()

    def carry(self, inner):
        self.open.wait()
        with inner, socket.socket(socket.AF_UNIX) as outer, contextlib.suppress(OSError):
            outer.connect(str(self.target))
            while not self.over:
                for end in select.select([inner, outer], [], [], 0.2)[0]:
                    data = end.recv(1 << 16)
                    self.open.wait()
                    if not data:
                        return
                    (outer if end is inner else inner).sendall(data)

    def cut(self):
        self.open.clear()

    def mend(self):
        self.open.set()

    def end(self):
        self.over = True
        self.mend()
        self.door.close()


class Standby(Case):
    batch = test_kill.Kill.batch
    ended = test_kill.Kill.ended
    check_all_once = test_kill.Kill.check_all_once

    def setUp(self):
        super().setUp()
        self.ends = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
        self.rig.configure({"broker.endpoint": ",".join(self.ends)})
        self.rig.project()
        self.redis = self.rig.redis()

    def lead(self, at=0, elsewhere=False, **more):
        """A broker at that endpoint, under another host name if it is elsewhere."""
        name = more.pop("name", f"broker-{at}")
        arguments = [PREFIX / "bin/pawl-broker", "--config", self.rig.conf, "--endpoint", self.ends[at], *more.pop("arguments", ())]
        if elsewhere:
            arguments = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh", *arguments]
        process = self.rig.start(name, arguments, **more)
        if "--standby" not in arguments:
            process.wait_text(r"\bready\b.*endpoint=")
        return process

    def stand_by(self, at=1, leads="pid", **more):
        process = self.lead(at, arguments=["--standby"], **more)
        process.wait_text(rf"standing by.*{leads}")
        return process

    def pair(self, **more):
        leader = self.lead(0, **more)
        return leader, self.stand_by(1)

    def took_over(self, standby, since):
        standby.wait_text(r"\bready\b.*endpoint=")
        return time.monotonic() - since

    # ---- the leader is killed

    def check_killed(self, elsewhere):
        self.rig.sim("--slots", "2", "--ttft-ms", "100", "--tokens-per-s", "2000")
        leader, standby = self.pair(elsewhere=elsewhere)
        self.rig.workers()
        jobs = self.batch(4)
        watch = self.rig.start("watch", [PREFIX / "bin/pawl", "watch", jobs[-1], "-o", "jsonl", "--config", self.rig.conf])
        watch.wait_text('"seq"')
        waiting = self.rig.start("submit", [PREFIX / "bin/pawl", "submit", PROBLEM, "-C", self.rig.dir / "library", "--rounds", "1",
                                            "--wait", "-o", "id", "--config", self.rig.conf])
        until(lambda: len(self.rig.jobs()) == 5, "the last job is there")
        until(lambda: any(row["state"] == "running" for row in self.rig.jobs()), "a job runs")
        self.assertLess(self.ended(), 5, "the batch was over before the leader could be killed")
        began = time.monotonic()
        leader.kill()
        seconds = self.took_over(standby, began)
        self.assertLess(seconds, 10 if elsewhere else LEASE_S)
        self.assertIn(waiting.wait(), (0, 1), waiting.text())
        self.assertIn(watch.wait(), (0, 1), watch.text())
        until(lambda: self.ended() == 5, "all jobs have ended", 240)
        self.check_all_once([row["id"] for row in self.rig.jobs()])
        self.check_no_gap(jobs[-1], watch)
        for stage in test_kill.STAGES:
            said = (self.rig.dir / f"log/{stage}.log").read_text()
            self.assertRegex(said, rf"ready.*broker={re.escape(self.ends[1])}")

    def check_no_gap(self, job, watch):
        seen = [e for e in map(json.loads, filter(lambda l: l.startswith("{"), watch.text().splitlines())) if e.get("seq")]
        kept = [json.loads(line)["seq"] for line in self.rig.pawl("logs", job, "-o", "jsonl").out.splitlines()]
        self.assertEqual(kept[kept.index(seen[0]["seq"]):], [e["seq"] for e in seen])

    def test_leader_killed_on_this_machine(self):
        self.check_killed(elsewhere=False)

    def test_leader_killed_on_another_machine(self):
        if not may_rename_the_machine():
            self.skipTest("needs the right to make a UTS namespace")
        self.check_killed(elsewhere=True)

    # ---- the leader is stopped, and wakes up

    def everything_kept(self):
        """Each key of Redis with its bytes, but for the lease, which goes on being extended."""
        names = sorted(n for n in self.rig.redis_cli("--raw", "KEYS", "pawl:*").split() if not n.endswith("}:lock"))
        self.assertGreater(len(names), 5)
        return {n: self.rig.redis_cli("--no-raw", "DUMP", n) for n in names}

    def test_a_stopped_leader_wakes_up_and_neither_writes_nor_speaks(self):
        self.rig.sim()
        leader, standby = self.pair()
        self.rig.workers()
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        client, watcher = Client(self, self.ends[0]), Client(self, self.ends[0])
        stranger = Peer(self, self.ends[0])
        watcher.say("WATCH", 99, "", "", 256)
        leader.child.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            # Said while it sleeps, waiting for it when it wakes up: a question, a change, a greeting, a job.
            client.say("PING", 7)
            client.say("SHOW", 8, job)
            client.say("STATUS", 9)
            client.say("CANCEL", 10, job, "")
            stranger.say("HELLO", "client", "late", "test", [], 0, [], [])
            self.took_over(standby, began)
            self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
            while watcher.receive(0.05):
                pass  # of the time before
            kept = self.everything_kept()
        finally:
            leader.child.send_signal(signal.SIGCONT)
        self.assertEqual(69, leader.wait())
        self.assertRegex(leader.text(), "another broker leads")
        for peer in (client, watcher, stranger):
            self.assertIsNone(peer.receive(0.3), "the old leader said something")
        self.assertEqual(kept, self.everything_kept())
        self.assertTrue(standby.alive())

    # ---- the leader is told to stop

    def test_a_stopping_leader_hands_over_at_once(self):
        leader, standby = self.pair(elsewhere=may_rename_the_machine())
        began = time.monotonic()
        self.assertEqual(0, leader.stop())
        self.assertLess(self.took_over(standby, began), LEASE_S)
        self.rig.pawl("ps")  # the first endpoint is dead

    def test_a_standby_that_is_told_to_stop_ends_at_once(self):
        leader, standby = self.pair()
        began = time.monotonic()
        self.assertEqual(0, standby.stop())
        self.assertLess(time.monotonic() - began, 2)
        self.assertTrue(leader.alive())
        self.redis.kill()
        lonely = self.lead(1, arguments=["--standby"], name="lonely")
        lonely.wait_text("standing by.*redis.sock")
        self.assertEqual(0, lonely.stop())

    # ---- Redis goes and comes back

    def test_one_leads_after_redis_was_restarted(self):
        leader = self.lead(0, arguments=["--standby"])
        leader.wait_text(r"\bready\b.*endpoint=")
        standby = self.stand_by(1)
        before = self.leads()
        self.assertEqual([self.ends[0]], before)
        self.redis.kill()
        standby.wait_text("standing by.*trouble")
        leader.wait_text("redis.sock: ")
        self.redis = self.rig.redis()
        until(lambda: len(self.leads()) == 1, "one leads")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.assertEqual("queued", self.rig.state(job).replace("running", "queued"))
        self.assertEqual(1, len(self.leads()))
        self.assertTrue(leader.alive() and standby.alive())

    def leads(self):
        """The endpoints that answer HELLO."""
        found = []
        for endpoint in self.ends:
            peer = Peer(self, endpoint)
            peer.say("HELLO", "client", "looks", "test", [], 0, [], [])
            got = peer.receive(1)
            if got and got[0] == "WELCOME":
                found.append(endpoint)
            peer.socket.close()
        return found

    def test_a_leader_cut_off_from_redis_is_replaced_and_stands_by(self):
        relay = Relay(self, self.rig.dir / "relay.sock", self.rig.dir / "redis.sock")
        self.rig.sim("--slots", "8", "--ttft-ms", "10", "--tokens-per-s", "2000")
        leader = self.lead(0, arguments=["--standby", "--redis", f"unix://{relay.path}"])
        leader.wait_text(r"\bready\b.*endpoint=")
        standby = self.stand_by(1)
        self.rig.workers()
        jobs = self.batch(2)
        until(lambda: any(row["state"] == "running" for row in self.rig.jobs()), "a job runs")
        began = time.monotonic()
        relay.cut()
        self.assertLess(self.took_over(standby, began), 10)
        until(lambda: self.ended() == 2, "all jobs have ended", 240)
        self.check_all_once(jobs)
        seen = len(leader.text())
        relay.mend()
        leader.wait_text("standing by.*leader=", start=seen)
        standby.kill()
        leader.wait_text(r"\bready\b.*endpoint=", start=seen)
        self.assertIn(self.rig.wait(self.rig.submit(PROBLEM, "--rounds", "1")), ("accepted", "exhausted"))

    # ---- what is refused

    def test_two_brokers_of_one_redis_are_refused(self):
        leader = self.lead(0)
        second = self.rig.broker("--endpoint", self.ends[1], "--wait-store", "100", name="second", ready=False)
        self.assertEqual(69, second.wait())
        self.assertRegex(second.text(), rf"another broker leads .*{re.escape(self.ends[0])}, pid {leader.pid}")
        ipc = f"ipc://{self.rig.dir}/one.sock"
        self.rig.redis(name="other")
        self.rig.broker("--endpoint", ipc, "--redis", f"unix://{self.rig.dir}/other.sock", name="third")
        fourth = self.rig.broker("--endpoint", ipc, "--wait-store", "100", name="fourth", ready=False)
        self.assertEqual(69, fourth.wait())
        self.assertRegex(fourth.text(), "another broker listens there")

    def test_a_broker_refuses_a_list(self):
        broker = self.rig.broker(ready=False)
        self.assertEqual(78, broker.wait())
        self.assertRegex(broker.text(), "listens on one endpoint.*--endpoint")

    def test_a_peer_finds_the_leader_behind_a_stopped_process(self):
        """It accepts connections and answers nothing."""
        first = self.lead(0)
        os.kill(first.pid, signal.SIGSTOP)
        try:
            standby = self.lead(1, arguments=["--standby"])
            standby.wait_text(r"\bready\b.*endpoint=")
            self.rig.pawl("ps", "--timeout", "8s")
        finally:
            os.kill(first.pid, signal.SIGCONT)
        self.assertEqual(69, first.wait())


if __name__ == "__main__":
    main()
