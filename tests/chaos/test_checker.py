#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The checker finds each thing that it is there to find: fabricated histories, one violation each."""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECKER = pathlib.Path(__file__).with_name("checker.py")


def job(name, **more):
    best = {"run": 1, "round": 1, "verdict": {"candidate": f"c-{name}"}}
    return {"id": f"job-{name}", "key": name, "project": "default", "state": "accepted", "reason": "", "run": 1, "ended_ms": 5,
            "best": best, "ledger": [{"run": 1, "round": 1}], "comments": [], "failures": []} | more


def intent(op, **more):
    return {"is": "intent", "op": op} | more


def ack(op, **more):
    return {"is": "ack", "op": op} | more


class Checker(unittest.TestCase):
    def setUp(self):
        """A history in which nothing is wrong."""
        self.log = [intent("submit", key="a"), ack("submit", key="a", id="job-a", existing=False),
                    intent("submit", key="b"), ack("submit", key="b", id="job-b", existing=False),
                    intent("submit", key="b"), ack("submit", key="b", id="job-b", existing=True),
                    intent("submit", key="c"), intent("submit", key="d"),
                    intent("cancel", id="job-b"), ack("cancel", id="job-b", at_ms=6),
                    intent("comment", id="job-a", text="more"), ack("comment", id="job-a", text="more"),
                    {"is": "seen", "id": "job-a", "run": 1, "state": "accepted", "ended_ms": 3, "candidate": "c-0"},
                    {"is": "seen", "id": "job-b", "run": 1, "state": "cancelled", "ended_ms": 5, "candidate": "c-b"}]
        self.state = {"jobs": [job("a", run=2, comments=[{"text": "more"}]), job("b", state="cancelled"), job("c")],
                      "events": [{"job": "job-a", "kind": "result", "of": "job-a/1/1/parse/0", "times": 1}],
                      "fsck": {"code": 0, "text": ""}}

    def run_checker(self, *more, torn=""):
        with tempfile.TemporaryDirectory() as folder:
            log, state = pathlib.Path(folder, "log"), pathlib.Path(folder, "state")
            log.write_text("".join(json.dumps(line) + "\n" for line in self.log) + torn)
            state.write_text(json.dumps(self.state))
            return subprocess.run([sys.executable, str(CHECKER), "check", "--log", str(log), "--state", str(state), "--json", *more],
                                  capture_output=True, text=True, check=False)

    def found(self, *more):
        done = self.run_checker(*more)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual(done.returncode == 0, said["ok"])
        return [entry["kind"] for entry in said["found"]]

    def job(self, name):
        return next(j for j in self.state["jobs"] if j["key"] == name)

    def test_nothing_wrong(self):
        self.assertEqual([], self.found())
        said = json.loads(self.run_checker().stdout)
        self.assertEqual(1, said["recovered"], "c was not acknowledged and is there; d is not, and need not be")
        self.assertEqual((4, 2, 3), tuple(said["counts"][n] for n in ("intended", "acknowledged", "jobs")))

    def test_lost_job(self):
        self.state["jobs"].remove(self.job("b"))
        self.assertIn("lost-job", self.found())

    def test_job_of_another_key(self):
        self.job("c")["key"] = "d"
        self.log.append(ack("submit", key="c", id="job-c", existing=False))
        self.assertEqual(["lost-job"], self.found())

    def test_lost_cancel(self):
        self.log = [line for line in self.log if line["is"] != "seen"]
        self.job("b").update(state="exhausted", ended_ms=7)
        self.assertEqual(["lost-cancel"], self.found())

    def test_cancel_of_what_has_ended(self):
        self.log = [line for line in self.log if line["is"] != "seen"]
        self.job("b").update(state="exhausted", ended_ms=6)
        self.assertEqual([], self.found())

    def test_lost_comment(self):
        self.job("a")["comments"] = []
        self.assertEqual(["lost-comment"], self.found())

    def test_two_jobs_of_one_key(self):
        self.state["jobs"].append(job("a2", key="a"))
        self.assertEqual(["duplicated-job"], self.found())

    def test_one_key_acknowledged_as_two_jobs(self):
        self.log += [ack("submit", key="a", id="job-a2", existing=True)]
        self.state["jobs"].append(job("a2", key="a"))
        self.assertEqual({"duplicated-job"}, set(self.found()))

    def test_made_twice(self):
        self.log += [ack("submit", key="a", id="job-a", existing=False)]
        self.assertEqual(["duplicated-job"], self.found())

    def test_listed_twice(self):
        self.state["jobs"].append(copy.deepcopy(self.job("a")))
        self.assertEqual(["duplicated-job"], self.found())

    def test_two_results(self):
        self.state["events"][0]["times"] = 2
        self.assertEqual(["duplicated-result"], self.found())

    def test_step_twice(self):
        self.state["events"].append({"job": "job-a", "kind": "step", "of": "job-a/1/1/generate/0 ff", "times": 2})
        self.assertEqual(["duplicated-step"], self.found())

    def test_round_twice(self):
        self.job("c")["ledger"] *= 2
        self.assertEqual(["duplicated-round"], self.found())

    def test_comment_twice(self):
        self.job("a")["comments"] *= 2
        self.assertEqual(["duplicated-comment"], self.found())

    def test_unexpected_job(self):
        self.state["jobs"].append(job("z"))
        self.assertEqual(["unexpected-job"], self.found())

    def test_unexpected_comment(self):
        self.job("c")["comments"] = [{"text": "who said that?"}]
        self.assertEqual(["unexpected-comment"], self.found())

    def test_not_ended(self):
        self.job("c")["state"] = "running"
        self.assertEqual(["not-ended"], self.found())

    def test_cancelled_by_nobody(self):
        self.job("c")["state"] = "cancelled"
        self.assertEqual(["not-accepted"], self.found())

    def test_failed_is_an_end_unless_all_must_be_accepted(self):
        self.job("c")["state"] = "failed"
        self.assertEqual([], self.found())
        self.assertEqual(["not-accepted"], self.found("--all-accepted"))

    def test_changed_after_the_end(self):
        for name, value in (("state", "accepted"), ("ended_ms", 6), ("best", None)):
            with self.subTest(name):
                self.setUp()
                self.job("b")[name] = value
                self.assertIn("changed", self.found())

    def test_run_that_nobody_asked_for(self):
        self.job("b")["run"] = 2
        self.assertEqual(["changed"], self.found())

    def test_run_that_went_back(self):
        self.log.append({"is": "seen", "id": "job-a", "run": 3, "state": "accepted", "ended_ms": 9, "candidate": "c-a"})
        self.assertEqual(["changed"], self.found())

    def test_shown_and_gone(self):
        self.log.append({"is": "seen", "id": "job-x", "run": 1, "state": "accepted", "ended_ms": 9, "candidate": ""})
        self.assertEqual(["lost-job"], self.found())

    def test_store_differs(self):
        self.state["fsck"] = {"code": 1, "text": "missing-entry x:all"}
        self.assertEqual(["store"], self.found())

    def test_crashed_client(self):
        self.log.append({"is": "crash", "op": "ps", "code": -11, "text": ""})
        self.assertEqual(["crashed"], self.found())

    def test_half_a_last_line_is_a_killed_client(self):
        self.assertEqual(0, self.run_checker(torn='{"is": "ack", "op": "sub').returncode)
        self.assertEqual(2, self.run_checker(torn='{"is": "ack", "op": "sub\n{"is": "intent", "op": "submit", "key": "e"}\n').returncode)

    def test_logs_that_prove_nothing(self):
        self.log = [line for line in self.log if line["is"] == "intent"]
        self.assertEqual(2, self.run_checker().returncode)


if __name__ == "__main__":
    unittest.main(verbosity=2)
