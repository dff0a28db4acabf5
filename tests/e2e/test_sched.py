#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who is served when: shares, limits, rates, later starts, pauses, `pawl why`, many jobs at once."""
import json
import time
import unittest

from rig import Case, main, until


class Sched(Case):
    def start(self, **schedule):
        self.project = self.rig.project()
        if schedule:
            self.rig.configure({"schedule": schedule})
        self.rig.redis()
        return self.rig.broker()

    def submit(self, *more, text="Fees of a household are capped."):
        return self.rig.pawl("submit", text, "-C", self.project, "-o", "id", *more).out.strip()

    def why(self, job):
        return json.loads(self.rig.pawl("why", job, "-o", "json").out)

    def code(self, job):
        return self.why(job)["code"]

    def test_why_and_pause(self):
        broker = self.start(stages={"parse": {"limit": 1}}, projects={"*": {"limit": 5}})
        job = self.submit()
        self.assertEqual("no-worker", self.code(job))
        self.assertIn("no worker of stage parse", self.rig.pawl("why", job).out)
        self.assertIn("no worker of stage parse", self.rig.pawl("show", job).out)
        self.rig.pawl("pause", "--project", "default")
        self.assertEqual("project-paused", self.code(job))
        self.rig.pawl("resume", "--project", "default")
        self.rig.pawl("pause", "--stage", "analyze")
        self.assertIn("analyze", self.rig.pawl("pause").out)
        broker.kill()
        self.rig.broker(name="second")
        self.rig.worker("parse")
        until(lambda: self.code(job) == "stage-paused", "parse is done, analyze is paused")
        self.rig.pawl("resume", "--stage", "analyze")
        self.assertEqual("no-worker", self.code(job))
        self.assertEqual("", self.rig.pawl("pause").out)
        self.rig.pawl("pause", "--stage", "pars", code=None)
        self.assertEqual(64, self.rig.pawl("resume", code=None).code)
        self.assertEqual(64, self.rig.pawl("pause", job, "--stage", "parse", code=None).code)

    def test_store_away(self):
        self.start()
        job = self.submit()
        self.rig.processes[0].kill()  # redis
        until(lambda: "store" in self.rig.pawl("why", job, "-o", "id", "--timeout", "10s", code=None).out, "the store is away")

    def test_later(self):
        self.start()
        self.rig.worker("parse")
        now, later = self.submit(), self.submit("--in", "3s")
        self.assertEqual("start", self.code(later))
        self.assertEqual("delayed", self.rig.state(later))
        until(lambda: self.rig.show(now)["stage"] == "analyze", "the other one is parsed")
        self.assertGreater(self.why(later)["until_ms"], time.time() * 1000)
        until(lambda: self.rig.show(later)["stage"] == "analyze", "it is parsed, later")
        self.assertEqual(64, self.rig.pawl("submit", "Fees are capped.", "-C", self.project, "--at", "yesterday", code=None).code)
        self.assertEqual(64, self.rig.pawl("submit", "Fees are capped.", "-C", self.project, "--at", "2001-01-01", code=None).code)

    def test_shares(self):
        """Forty jobs of one project do not delay the only one of another; urgent goes first."""
        self.start(stages={"parse": {"tasks_per_minute": 240}})
        many = [self.submit("--project", "many") for _ in range(40)]
        self.rig.worker("parse")
        one, urgent = self.submit("--project", "one"), self.submit("--project", "many", "--class", "urgent")
        position = self.why(one)["n"]
        self.assertLessEqual(position, 3)
        until(lambda: self.rig.show(one)["stage"] == self.rig.show(urgent)["stage"] == "analyze", "both are parsed")
        left = [job for job in many if self.code(job) == "rate"]
        self.assertGreater(len(left), 10)
        self.assertIn("position", self.rig.pawl("why", left[-1]).out)

    def test_many_at_once(self):
        self.start()
        jobs = [self.submit("--project", p, "--label", f"batch {p}") for p in ("a", "a", "a", "b")]
        refused = self.rig.pawl("cancel", "--project", "a", code=None)
        self.assertEqual(64, refused.code)
        self.assertIn("3 jobs match", refused.err)
        self.assertEqual(64, self.rig.pawl("cancel", jobs[0], "--project", "a", code=None).code)
        done = json.loads(self.rig.pawl("cancel", "--project", "a", "--state", "queued", "--yes", "-o", "json").out)
        self.assertEqual((3, 3, 0), (done["matched"], done["done"], done["failed"]))
        self.assertEqual(["cancelled"] * 3 + ["queued"], [self.rig.state(j) for j in jobs])
        self.rig.pawl("retry", "--state", "cancelled", "--label", "batch a", "--limit", "2", "--yes")
        self.assertEqual(["cancelled", "queued", "queued", "queued"], sorted(self.rig.state(j) for j in jobs))
        self.assertEqual(0, self.rig.pawl("retry", "--project", "nobody", "--yes").code)

    def test_wrong_schedule(self):
        for schedule, text in (({"stages": {"parse": {"limits": 1}}}, "unknown key"),
                               ({"projects": {"a": {"weight": 0}}}, "1 to 1000"),
                               ({"projects": {"a": {"class": "soon"}}}, "urgent, normal or background"),
                               ({"queues": {}}, "known: projects, stages")):
            self.rig.configure({"schedule": schedule})
            broker = self.rig.broker(ready=False, name=f"wrong-{text[:4]}")
            self.assertEqual(78, broker.wait())
            self.assertIn(text, broker.text())


if __name__ == "__main__":
    main()
