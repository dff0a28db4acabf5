#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""questions.md of a watched change, and `pawl mcp`: one question through file, command line and MCP; the first answer wins."""
import json
import os
import re
import signal

from rig import Case, PREFIX, main, until
from wire import Recorder, Worker

PROBLEM = "Late fees of one household should be capped at 25 euros per calendar month. Members under 14 pay nothing."
COMPLAINT = "The list of reservations froze 14 times in May."
QUESTION = {"id": "q1", "text": "Which houses?", "otherwise": "all three", "options": ["Gruenau", "all three"]}
PIPELINE = [{"stage": "clerk", "each": "run", "reads": ["problem"], "writes": ["questions"]}, "parse", "analyze", "generate", "review"]


def entries(path):
    """{id: {attribute: value, 'text': …, 'answer': …}} of a questions.md."""
    found = {}
    text = path.read_text() if path.exists() else ""
    for part in re.split(r"(?m)^## Question ", text)[1:]:
        name, body = part.split("\n", 1)
        body, _, answer = body.partition("\n### Answer\n")
        head, _, rest = body.strip().partition("\n\n")
        entry = dict(re.findall(r"(?m)^- (\w+): (.*)$", head))
        entry["text"] = rest.strip()
        entry["answer"] = re.sub(r"(?s)<!--.*?-->", "", re.split(r"(?m)^## ", answer)[0]).strip()
        found[name.strip()] = entry
    return found


def save(path, text):
    """As editors do: a new file, renamed over."""
    new = path.with_name(path.name + "~new")
    new.write_text(text)
    os.replace(new, path)


def answer_below(path, name, answer):
    text = path.read_text()
    at = text.index("## Question " + name)
    end = text.find("\n## ", at)
    end = len(text) if end < 0 else end
    save(path, text[:end].rstrip("\n") + f"\n{answer}\n" + text[end:])


class Dialog(Case):
    def waiting(self):
        """A job that waits for the answer to a question of a stage of ours."""
        self.rig.project()
        self.rig.configure({"pipeline": PIPELINE})
        self.rig.redis()
        self.recorder = Recorder(self, self.rig.sim().url)
        self.rig.configure({"model.url": self.recorder.url + "/v1"})
        self.rig.broker()
        self.rig.workers()
        self.clerk = Worker(self, self.rig.settings["broker.endpoint"], "clerk")
        return self.ask(QUESTION)

    def ask(self, *questions):
        job = self.rig.submit(PROBLEM, "--rounds", "1", "--key", str(len(self.rig.jobs())))
        self.assertEqual("committed", self.clerk.done(self.clerk.task(), {"questions": {"items": list(questions)}}))
        until(lambda: self.rig.state(job) == "waiting", "the job waits")
        return job

    def watch(self, job, name="watch"):
        return self.rig.start(name, [PREFIX / "bin/pawl", "watch", job, "-C", self.rig.dir / "library", "--config", self.rig.conf])

    def file(self, job):
        return self.rig.dir / f"library/openspec/changes/job-{job}/questions.md"

    def appears(self, path, name="q1"):
        return until(lambda: entries(path).get(name), f"{name} in {path.name}")

    def becomes(self, path, state, name="q1"):
        return until(lambda: (e := entries(path).get(name, {})).get("state") == state and e, f"{name} becomes {state}")

    def answer_of(self, job, n=0):
        found = self.rig.show(job)["answers"]
        return (found[n]["text"], found[n]["by"], found[n].get("via")) if len(found) > n else None

    def test_answered_in_the_file(self):
        job = self.waiting()
        watch, path = self.watch(job), self.file(job)
        entry = self.appears(path)
        self.assertEqual(("system", "open", "all three", f"{job}/q1"), tuple(entry[k] for k in ("from", "state", "default", "ref")))
        self.assertTrue(entry["text"].startswith("Which houses?") and "- Gruenau" in entry["text"], entry)
        remarks = "# Mine\n\nRemarks of mine  \n\n" + path.read_text() + "\n## Notes\n\n- from: me\n"
        save(path, remarks)
        answer_below(path, "q1", "only Gruenau,\nand *only* on Mondays")
        entry = self.becomes(path, "answered")
        self.assertEqual("user (file)", entry["by"])
        self.assertEqual(("only Gruenau,\nand *only* on Mondays", "user", "file"), self.answer_of(job))
        self.assertTrue(path.read_text().startswith("# Mine\n\nRemarks of mine  \n\n# Questions\n"))
        self.assertTrue(path.read_text().endswith("\n## Notes\n\n- from: me\n"))
        watch.wait_text(r"answered by user \(file\): only Gruenau")
        watch.wait()
        self.assertIn(self.rig.wait(job), ("accepted", "exhausted"))
        self.assertIn("only Gruenau", "\n".join(e["body"].decode() for e in self.recorder.journal))
        # The change goes into a folder that holds nothing but the dialogue.
        self.assertEqual(1, len(entries(path)))

    def test_answered_elsewhere_and_too_late(self):
        job = self.waiting()
        watch, path = self.watch(job), self.file(job)
        self.appears(path)
        os.kill(watch.pid, signal.SIGSTOP)  # the user writes while another answers
        answer_below(path, "q1", "my late one\n\n```\n# x\n```")
        self.rig.pawl("answer", job, "only Gruenau")
        os.kill(watch.pid, signal.SIGCONT)
        entry = self.becomes(path, "answered")
        self.assertEqual("user (cli)", entry["by"])
        self.assertTrue(entry["answer"].startswith("only Gruenau\n\nToo late, already answered by user (cli)."), entry)
        self.assertIn("> my late one\n>\n> ```\n> # x\n> ```", entry["answer"])
        watch.wait_text(r"already answered by user \(cli\): only Gruenau; the answer in questions.md came too late")
        said = self.rig.pawl("answer", job, "q1", "too late", code=None)
        self.assertNotEqual(0, said.code)
        self.assertIn("already answered by the user (cli): only Gruenau", said.err)
        self.assertEqual(1, len(self.rig.show(job)["answers"]))

    def test_of_two_answers_at_once_one_holds(self):
        job = self.waiting()
        watch, path = self.watch(job), self.file(job)
        self.appears(path)
        answer_below(path, "q1", "from the file")
        said = self.rig.pawl("answer", job, "q1", "from the line", code=None)
        entry = self.becomes(path, "answered")
        text, by, via = self.answer_of(job)
        self.assertEqual(f"{by} ({via})", entry["by"])
        self.assertEqual({"cli": "from the line", "file": "from the file"}[via], text)
        self.assertTrue(entry["answer"].startswith(text))
        self.assertEqual(via == "cli", said.code == 0, said)
        if via == "file":
            self.assertIn("already answered by the user (file): from the file", said.err)
        else:
            self.assertIn("> from the file", entry["answer"])
            watch.wait_text("came too late")
        self.assertEqual(1, len(self.rig.show(job)["answers"]))

    def test_broken_file_default_and_restart(self):
        second = {"id": "q 2", "text": "# Since when?", "otherwise": "today", "deadline_ms": 3000000}
        self.waiting()
        job = self.ask(QUESTION, second)
        watch, path = self.watch(job), self.file(job)
        self.appears(path)
        self.appears(path, "q-2")
        whole = path.read_text()
        save(path, whole.replace("- state: open", "- state: opne", 1))
        watch.wait_text(r"questions\.md: line \d+: `state` has a value that is not known; write open")
        broken = path.read_text()
        watch.stop()
        watch = self.watch(job, "watch-2")  # with the file still broken
        watch.wait_text("`state` has a value that is not known")
        self.assertEqual(broken, path.read_text())
        save(path, whole)
        answer_below(path, "q1", "only Gruenau")
        self.becomes(path, "answered")
        watch.stop()
        settled = path.read_text()
        self.rig.pawl("answer", job, "q 2", "")  # the default, while nobody watches
        watch = self.watch(job, "watch-3")
        entry = self.becomes(path, "default", "q-2")
        self.assertEqual("default (cli)", entry["by"])
        self.assertEqual(2, len(entries(path)))
        self.assertEqual(2, len(self.rig.show(job)["answers"]))
        changed = [line for line in path.read_text().splitlines() if line not in settled.splitlines()]
        self.assertEqual(["- state: default", "- by: default (cli)"], changed)
        watch.wait()

    def test_complaint_answered_beside_its_change_then_a_comment(self):
        """With the name that parse gives; the change is applied beside the dialogue; a new run by a comment in the file."""
        project = self.rig.project()
        self.rig.redis()
        recorder = Recorder(self, self.rig.sim().url)
        self.rig.configure({"model.url": recorder.url + "/v1"})
        self.rig.broker()
        self.rig.workers()
        submit = self.rig.start("submit", [PREFIX / "bin/pawl", "submit", COMPLAINT, "-C", project, "--rounds", "1", "--watch",
                                           "--config", self.rig.conf])
        path = until(lambda: next(iter((project / "openspec/changes").glob("*/questions.md")), None), "questions.md")
        job = self.rig.jobs()[0]["id"]
        self.assertEqual(self.rig.doc(job, "brief")["change_name"], path.parent.name)
        (name,) = entries(path)
        answer_below(path, name, "the list of reservations shows the first 50 entries")
        self.becomes(path, "answered", name)
        submit.wait()
        self.assertIn("50", json.dumps(self.rig.doc(job, "draft")["requirements"]))
        dialogue = path.read_bytes()
        self.rig.pawl("apply", job, "-C", project)
        self.assertEqual(dialogue, path.read_bytes())
        self.assertTrue((path.parent / "proposal.md").exists())
        told = len(recorder.journal)
        save(path, path.read_text() + "\n## Question mine\n\n- from: user\n- state: open\n\nSay it for the Zehnerhof staff too.\n")
        watch = self.rig.start("watch", [PREFIX / "bin/pawl", "watch", job, "--config", self.rig.conf], cwd=project)
        until(lambda: entries(path)["mine"].get("ref") == f"{job}/c1", "the comment has its id")
        watch.wait()
        self.assertEqual(2, self.rig.show(job)["run"])
        self.assertEqual(1, len(self.rig.show(job)["comments"]))
        self.assertIn("Zehnerhof", "\n".join(e["body"].decode() for e in recorder.journal[told:]))
        entry = entries(path)["mine"]
        self.assertEqual("answered", entry["state"])
        self.assertRegex(entry["answer"], r"^run 2, round 1: (kept|discarded)")


if __name__ == "__main__":
    main()
