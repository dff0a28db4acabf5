#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Any process may be killed at any instant: nothing acknowledged is lost, nothing is done twice, no call is paid twice."""
import collections
import json
import signal

from rig import Case, ENDED, PATIENCE_S, PREFIX, STAGES, main, until
from wire import Recorder

PROBLEM = "Late fees of one household should be capped at 25 euros per calendar month. Members under 14 pay nothing."


class Kill(Case):
    def batch(self, n):
        """n jobs from one directory of problem statements."""
        folder = self.rig.dir / "problems"
        folder.mkdir()
        for i in range(n):
            (folder / f"{i:02}.md").write_text(f"# Case {i}\n\nLate fees of household {i} should be capped at {20 + i} euros a month.\n")
        out = self.rig.pawl("submit", folder, "-C", self.rig.dir / "library", "-o", "id", "--rounds", "2").out.split()
        self.assertEqual(n, len(set(out)))
        return out

    def ended(self):
        return sum(1 for row in self.rig.jobs("ended"))

    def check_all_once(self, jobs):
        """All ended, each with one record, no task committed twice."""
        rows = {row["id"]: row for row in self.rig.jobs()}
        self.assertEqual(set(jobs), set(rows))
        for job in jobs:
            self.assertIn(rows[job]["state"], ("accepted", "exhausted"), self.rig.pawl("show", job, code=None).out)
            shown = self.rig.show(job)
            rounds = [(e["run"], e["round"]) for e in shown["ledger"]]
            self.assertEqual(sorted(set(rounds)), rounds, "a round is in the ledger once")
            events = [json.loads(line) for line in self.rig.pawl("logs", job, "-o", "jsonl").out.splitlines()]
            done = collections.Counter(e["facts"]["task"] for e in events
                                       if e["kind"] == "task.end" and e["facts"]["outcome"] == "committed")
            self.assertEqual([], [task for task, times in done.items() if times > 1])

    def test_each_kind_of_process_killed_during_a_batch_of_50(self):
        self.rig.project()
        self.rig.settings["redis.durability"] = "always"
        redis = self.rig.redis("--appendfsync", "always")
        sim = self.rig.sim("--slots", "8", "--ttft-ms", "3", "--tokens-per-s", "4000")
        broker = self.rig.broker()
        workers = dict(zip(STAGES, self.rig.workers()))
        jobs = self.batch(50)
        for step, kind in enumerate((*STAGES, "broker", "redis", "generate", "broker")):
            until(lambda: self.ended() >= step * 4, f"{step * 4} jobs have ended")
            self.assertLess(self.ended(), 50, f"the batch was over before {kind} could be killed")
            if kind == "redis":
                redis.kill()
                redis = self.rig.redis("--appendfsync", "always")
            elif kind == "broker":
                broker.kill()
                broker = self.rig.broker(name=f"broker-{step}")
            else:
                workers[kind].kill_one()
                workers[kind] = self.rig.worker(kind, name=f"{kind}-{step}", ready=False)
        until(lambda: self.ended() == 50, "all 50 jobs have ended", 240)
        self.check_all_once(jobs)
        self.assertTrue(sim.alive())

    def test_generation_goes_on_elsewhere_after_its_last_acknowledged_step(self):
        self.rig.project()
        self.rig.redis()
        sim = self.rig.sim("--seed", "7")
        recorder = Recorder(self, sim.url)
        self.rig.configure({"model.url": recorder.url + "/v1", "review.judge": False})
        self.rig.broker()
        self.rig.workers("parse", "analyze", "review")
        recorder.hold_from(4)
        first = self.rig.worker("generate", "--name", "first")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        until(lambda: recorder.holding.is_set(), "the fourth call is on its way")
        # Three calls have been answered; wait until the broker has their records, then kill in the middle of the fourth.
        until(lambda: len(recorder.count("done")) >= 3 and self.steps(job) >= 3, "three step records")
        first.kill_one()
        second = self.rig.worker("generate", "--name", "second")
        recorder.release()
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        self.assertTrue(second.alive())
        done = collections.Counter(recorder.count("done"))
        self.assertGreater(len(done), 3)
        self.assertEqual([], [h for h, times in done.items() if times > 1], "a finished call was asked again")
        shown = self.rig.show(job)
        self.assertEqual({"lost"}, {f["fault"] for f in shown["failures"]}, shown["failures"])

    def steps(self, job):
        lines = self.rig.pawl("logs", job, "-o", "jsonl", code=None).out.splitlines()
        return sum(1 for line in lines if json.loads(line).get("kind") == "task.step")

    def test_watch_has_no_gap_over_a_broker_that_was_killed(self):
        self.rig.project()
        self.rig.all("--ttft-ms", "40", "--tokens-per-s", "300")
        job = self.rig.submit(PROBLEM, "--rounds", "2")
        watch = self.rig.start("watch", [PREFIX / "bin/pawl", "watch", job, "-o", "jsonl", "--config", self.rig.conf])
        watch.wait_text('"task.step"')
        self.rig.the_broker.kill()
        self.rig.broker(name="broker-2")
        self.assertIn(watch.wait(PATIENCE_S * 2), (0, 1))
        seen = [e for e in map(json.loads, filter(lambda l: l.startswith("{"), watch.text().splitlines())) if e.get("seq")]
        self.assertEqual([], [e for e in seen if e["kind"] == "reset"])
        kept = [json.loads(line) for line in self.rig.pawl("logs", job, "-o", "jsonl").out.splitlines()]
        first = [e["seq"] for e in kept].index(seen[0]["seq"])
        self.assertEqual([e["seq"] for e in kept][first:], [e["seq"] for e in seen])

    def test_hung_worker_loses_its_task_although_its_connection_lives(self):
        self.rig.project()
        self.rig.configure({"pipeline": ["parse", "analyze", {"stage": "generate", "silence": "2s"}, "review"]})
        self.rig.all("--ttft-ms", "200", stages=("parse", "analyze", "review"))
        first = self.rig.worker("generate", "--name", "first")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.rig.wait_event(job, "task.start", lambda f: f["stage"] == "generate")
        first.child.send_signal(signal.SIGSTOP)
        try:
            self.rig.worker("generate", "--name", "second")
            self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        finally:
            first.child.send_signal(signal.SIGCONT)
        until(lambda: self.state_once(job), "the late worker changes nothing")

    def state_once(self, job):
        return self.rig.state(job) in ENDED

    def test_drained_worker_gives_its_task_back_uncharged(self):
        self.rig.project()
        self.rig.set(worker__drain="0s")
        self.rig.all("--ttft-ms", "100", "--tokens-per-s", "50", stages=("parse", "analyze", "review"))
        first = self.rig.worker("generate", "--name", "first")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.rig.wait_event(job, "task.step")
        self.assertEqual(0, first.stop())
        self.rig.worker("generate", "--name", "second")
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        self.assertEqual([], self.rig.show(job).get("failures", []))


if __name__ == "__main__":
    main()
