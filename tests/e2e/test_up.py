#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`pawl up`: one command, everything on this machine, nothing left behind."""
import json
import os
import pathlib
import signal

from rig import Case, PREFIX, main, until

PROBLEM = "Late fees of one household should be capped at 25 euros per calendar month."


def processes_with(text):
    """{pid: command line} of processes whose command line names the text."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and int(path.parent.name) != os.getpid():
            found[int(path.parent.name)] = line
    return found


class Up(Case):
    def setUp(self):
        super().setUp()
        for key in ("broker.endpoint", "redis.url"):
            del self.rig.settings[key]
        self.rig.write_conf()
        self.addCleanup(lambda: self.rig.pawl("down", "--force", code=None))

    def test_detached_then_a_job_then_down(self):
        self.rig.project()
        self.rig.sim()
        self.rig.pawl("up", "--detach")
        running = processes_with(str(self.rig.dir / "state"))
        for name in ("redis-server", "pawl-broker", "pawl-parse", "pawl-analyze", "pawl-generate", "pawl-review"):
            self.assertTrue(any(name in line for line in running.values()), f"{name} in {running}")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        second = self.rig.pawl("up", "--detach", code=69)
        self.assertIn("runs already", second.err)
        self.rig.pawl("down")
        self.assertEqual({}, processes_with(str(self.rig.dir / "state")))
        # What was done is there again.
        self.rig.pawl("up", "--detach")
        self.assertEqual([job], [row["id"] for row in self.rig.jobs()])
        self.rig.pawl("down")

    def test_in_front_ctrl_c_stops_all(self):
        self.rig.sim()
        up = self.rig.start("up", [PREFIX / "bin/pawl", "up", "--config", self.rig.conf])
        up.wait_text("everything runs")
        os.kill(up.pid, signal.SIGINT)
        self.assertIn(up.wait(), (0, 130))
        self.assertEqual({}, processes_with(str(self.rig.dir / "state")))

    def test_killed_supervisor_leaves_nothing_behind(self):
        self.rig.sim()
        up = self.rig.start("up", [PREFIX / "bin/pawl", "up", "--config", self.rig.conf])
        up.wait_text("everything runs")
        up.kill_one()
        until(lambda: not processes_with(str(self.rig.dir / "state")), "its children are gone")

    def test_dead_child_is_started_again(self):
        self.rig.project()
        self.rig.sim()
        self.rig.pawl("up", "--detach")
        for name in ("pawl-generate", "pawl-broker", "redis-server", "pawl-parse"):
            pid = next(p for p, line in processes_with(str(self.rig.dir / "state")).items() if name in line)
            os.kill(pid, signal.SIGKILL)
            until(lambda: any(name in line and p != pid for p, line in processes_with(str(self.rig.dir / "state")).items()),
                  f"{name} is started again")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        self.rig.pawl("down")

    def test_what_kills_three_workers_is_set_aside(self):
        self.rig.project()
        self.rig.sim("--ttft-ms", "100", "--tokens-per-s", "5")
        self.rig.pawl("up", "--detach")
        job = self.rig.submit(PROBLEM)
        seen = set()
        for _ in range(3):
            def holder():
                lease = self.rig.show(job)["lease"] or {}
                found = [p for p, line in processes_with(str(self.rig.dir / "state")).items() if "pawl-generate" in line]
                return lease.get("worker", "").endswith("generate-1") and set(found) - seen and found[0]
            pid = until(holder, "generate has it")
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
            until(lambda: len([f for f in self.rig.show(job)["failures"] if f["fault"] == "lost"]) == len(seen), "it is lost")
        shown = self.rig.show(job)
        self.assertEqual("failed", shown["state"])
        self.assertIn("quarantined", shown["reason"])
        for failure in shown["failures"]:
            self.assertIn("signal 9", failure["text"])
            self.assertIn("it wrote last", failure["text"])
        self.rig.pawl("down")

    def test_down_without_up_says_so(self):
        self.assertTrue(self.rig.pawl("down", code=None).err)

    def test_no_broker_is_said_with_a_way_out(self):
        self.rig.project()
        for words in (["ps"], ["submit", "a problem", "-C", "library"], ["workers"]):
            result = self.rig.pawl(*words, code=69)
            self.assertIn("pawl up", result.err)
        answer = json.loads(self.rig.pawl("ps", "-o", "json", code=69).out)
        self.assertTrue(answer["status"][0]["message"])

    def test_init_then_config(self):
        project = self.rig.project()
        self.rig.pawl("init", cwd=project, conf=False)
        text = (project / "pawl.yaml").read_text()
        self.rig.pawl("config", "check", cwd=project, conf=False)
        self.rig.pawl("init", cwd=project, conf=False, code=73)
        self.assertEqual(text, (project / "pawl.yaml").read_text())

    def test_precedence_and_origin(self):
        self.rig.configure({"loop.rounds": 7})
        self.assertIn("7", self.rig.pawl("config", "show", "loop.rounds").out)
        shown = self.rig.pawl("config", "show", "--origin", "loop.rounds", env={"PAWL_LOOP_ROUNDS": "8"}).out
        self.assertIn("8", shown)
        self.assertIn("PAWL_LOOP_ROUNDS", shown)
        self.assertIn("9", self.rig.pawl("config", "show", "loop.rounds", "--set", "loop.rounds=9", env={"PAWL_LOOP_ROUNDS": "8"}).out)


if __name__ == "__main__":
    main()
