#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The user is part of the loop: questions and answers, comments, asks, cancel, retry, pause; and a stage of one's own."""
import json
import sys

from rig import Case, ROOT, main, mcp_server, needs_node, until
from wire import Recorder, Worker

PROBLEM = "Late fees of one household should be capped at 25 euros per calendar month. Members under 14 pay nothing."


class Talk(Case):
    def all_recorded(self, *sim_arguments):
        """Everything, with a recorder before the simulated model."""
        self.rig.redis()
        self.recorder = Recorder(self, self.rig.sim(*sim_arguments).url)
        self.rig.configure({"model.url": self.recorder.url + "/v1"})
        self.rig.broker()
        self.rig.workers()

    def said_to_the_model(self, since=0):
        return "\n".join(entry["body"].decode() for entry in self.recorder.journal[since:])

    def test_question_through_the_command_line(self):
        self.rig.project()
        self.rig.configure({"pipeline": [{"stage": "clerk", "each": "run", "reads": ["problem"], "writes": ["questions"]},
                                         "parse", "analyze", "generate", "review"]})
        self.all_recorded()
        clerk = Worker(self, self.rig.settings["broker.endpoint"], "clerk")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        question = {"id": "q1", "text": "Which houses?", "otherwise": "all three", "options": ["Gruenau", "all three"]}
        self.assertEqual("committed", clerk.done(clerk.task(), {"questions": {"items": [question]}}))
        until(lambda: self.rig.state(job) == "waiting", "the job waits")
        self.assertIn("Which houses?", self.rig.pawl("show", job).out)
        self.rig.pawl("answer", job, "only Gruenau")
        self.assertEqual("only Gruenau", self.rig.show(job)["answers"][0]["text"])
        # The stage that asked is done; those after it read the answer.
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        self.assertIn("only Gruenau", self.said_to_the_model())

    def test_a_mere_complaint_makes_the_system_ask_what_is_wanted(self):
        self.rig.project()
        self.all_recorded()
        job = self.rig.submit("The list of reservations froze 14 times in May.", "--rounds", "1")
        until(lambda: self.rig.state(job) == "waiting", "the job waits")
        shown = self.rig.pawl("show", job).out
        self.assertIn("What shall the system do instead?", shown)
        self.assertIn("froze 14 times", shown)
        self.rig.pawl("answer", job, "the list of reservations shows the first 50 entries")
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        self.assertIn("first 50 entries", self.said_to_the_model())
        self.assertIn("50", json.dumps(self.rig.doc(job, "draft")["requirements"]))
        self.rig.pawl("comment", job, "Say it for the staff too.")  # a new run asks no more
        until(lambda: self.rig.show(job)["run"] == 2, "the next run is open")
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))

    def test_default_answer_holds_after_the_deadline(self):
        self.rig.project()
        self.rig.configure({"pipeline": [{"stage": "clerk", "each": "run", "reads": ["problem"], "writes": ["questions"]},
                                         "parse", "analyze", "generate", "review"]})
        self.rig.all()
        clerk = Worker(self, self.rig.settings["broker.endpoint"], "clerk")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        question = {"id": "q1", "text": "Which houses?", "otherwise": "all three", "deadline_ms": 300}
        clerk.done(clerk.task(), {"questions": {"items": [question]}})
        until(lambda: self.rig.show(job)["answers"], "the default holds")
        answer = self.rig.show(job)["answers"][0]
        self.assertEqual(("all three", "default"), (answer["text"], answer["by"]))
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))

    def test_comment_on_an_ended_job_opens_a_run_and_reaches_the_model(self):
        self.rig.project()
        self.all_recorded("--seed", "5")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        first = self.rig.wait(job)
        self.assertIn(first, ("accepted", "exhausted"))
        told = len(self.recorder.journal)
        self.assertNotIn("Zehnerhof", self.said_to_the_model())
        self.rig.pawl("comment", job, "Teachers of the Zehnerhof school are exempt from the cap.")
        until(lambda: self.rig.show(job)["run"] == 2, "the next run is open")
        self.rig.wait(job)
        self.assertEqual(2, self.rig.show(job)["run"])
        self.assertIn("Zehnerhof", self.said_to_the_model(told))
        self.assertIn("Zehnerhof", json.dumps(self.rig.doc(job, "comments")))

    def test_ask_is_answered_streamed_and_kept(self):
        self.rig.project()
        self.rig.all("--seed", "6")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.rig.wait(job)
        said = self.rig.pawl("ask", job, "Why this requirement?").out
        self.assertTrue(said.strip())
        reply = self.rig.doc(job, "reply/a1")
        self.assertEqual("Why this requirement?", reply["question"])
        self.assertTrue(reply["text"].strip())

    @needs_node
    def test_figure_in_a_probed_file_changes_the_requirement_and_the_answer(self):
        project = self.rig.project()
        (project / "docs").mkdir()
        limits = project / "docs/limits.md"
        (self.rig.dir / "mcp.json").write_text(json.dumps({"mcpServers": {"files": mcp_server("filesystem", project / "docs")}}))
        self.rig.configure({"analyze.probes": [{"name": "limits", "server": "files", "tool": "read_text_file",
                                                "arguments": {"path": str(limits)}}]})
        self.rig.all("--seed", "8")
        for figure, other in (("1741", "2963"), ("2963", "1741")):
            limits.write_text(f"The office cancels at most {figure} fees in a year by hand.\n")
            job = self.rig.submit(f"Fees that the office cancels in branch {figure[0]} should be counted.", "--rounds", "2")
            self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
            draft = json.dumps(self.rig.doc(job, "draft")["requirements"])
            self.assertIn(figure, draft)
            self.assertNotIn(other, draft)
            wanted = next(r["name"] for r in json.loads(draft) if figure in json.dumps(r))
            why = self.rig.pawl("show", job, "--why", wanted.lower()).out
            for led_to_it in (f"at most {figure} fees", "files/read_text_file", "should be counted"):
                self.assertIn(led_to_it, why)
            self.assertEqual(wanted, self.rig.pawl("show", job, "--why", wanted, "-o", "json").json["requirement"])
            self.assertIn(figure, self.rig.pawl("ask", job, "How many fees does the office cancel in a year?").out)

    def test_cancel_and_retry(self):
        self.rig.project()
        self.rig.all("--ttft-ms", "100", "--tokens-per-s", "20")
        job = self.rig.submit(PROBLEM)
        self.rig.wait_event(job, "task.start", lambda f: f["stage"] == "generate")
        self.rig.pawl("cancel", job, "--reason", "no longer wanted")
        self.assertEqual("cancelled", self.rig.state(job))
        self.assertEqual(3, self.rig.pawl("watch", job, code=None).code)
        self.rig.pawl("retry", job)
        shown = self.rig.show(job)
        self.assertEqual(2, shown["run"])
        self.rig.pawl("cancel", job)

    def test_pause_and_resume(self):
        self.rig.project()
        self.rig.all(stages=("parse", "analyze", "review"))
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        until(lambda: self.rig.show(job)["stage"] == "generate", "it waits for a generate worker")
        self.rig.pawl("pause", job)
        self.assertEqual("paused", self.rig.state(job))
        self.rig.worker("generate")
        self.assertEqual("paused", self.rig.state(job))
        self.rig.pawl("resume", job)
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))

    def test_unserved_stage_is_said_at_once(self):
        self.rig.project()
        self.rig.all(stages=("parse", "analyze", "review"))
        said = self.rig.pawl("submit", PROBLEM, "-C", "library").err
        self.assertIn("no worker serves generate", said)

    def test_stage_of_ones_own_in_python(self):
        self.rig.project()
        example = ROOT / "schemas/examples"
        self.rig.write_conf((example / "pawl-house.yaml").read_text())
        self.rig.redis()
        sim = self.rig.sim()
        self.rig.write_conf((example / "pawl-house.yaml").read_text())
        self.rig.broker()
        self.rig.workers()
        rules = self.rig.dir / "rules.txt"
        rules.write_text("Every notice SHALL name the Quellgasse desk.\n" + "All figures have units.\n" * 400)
        worker = self.rig.start("house", [sys.executable, example / "worker.py", self.rig.settings["broker.endpoint"], rules])
        self.rig.wait_served(worker)
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        insights = self.rig.doc(job, "insights")["items"]
        self.assertIn("Quellgasse", insights[-1]["excerpt"])
        self.assertTrue(sim.alive())
        # It can be killed like any other.
        worker.kill_one()
        waiting = self.rig.submit(PROBLEM + " Again.", "--rounds", "1")
        until(lambda: self.rig.show(waiting)["stage"] == "house", "the job waits for the stage")
        self.rig.start("house-2", [sys.executable, example / "worker.py", self.rig.settings["broker.endpoint"], rules])
        self.assertIn(self.rig.wait(waiting), ("accepted", "exhausted"))


if __name__ == "__main__":
    main()
