#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""questions.md of a watched change, and `pawl mcp`: one question through file, command line and MCP; the first answer wins."""
import json
import os
import re
import signal
import subprocess

from rig import Case, PREFIX, ROOT, main, modules, needs_node, node, until
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


class Mcp:
    """`pawl mcp` in a child, spoken to in lines."""

    def __init__(self, case, *arguments):
        self.case, self.number, self.heard = case, 0, []
        self.err = open(case.rig.dir / "log/mcp.log", "ab")  # searched for reports of sanitizers at the end
        self.child = subprocess.Popen([PREFIX / "bin/pawl", "mcp", "--config", case.rig.conf, *arguments], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=self.err, env=case.rig.env, cwd=case.rig.dir / "library")
        case.addCleanup(self.close)
        self.server = self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "e2e", "version": "1"})
        self.send(method="notifications/initialized")

    def send(self, **message):
        self.child.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.child.stdin.flush()

    def begin(self, method, **params):
        self.number += 1
        self.send(id=self.number, method=method, params=params)
        return self.number

    def end(self, number):
        """The answer to that request; what else was said is in self.heard."""
        while True:
            for message in self.heard:
                if message.get("id") == number and "method" not in message:
                    self.heard.remove(message)
                    return message
            line = self.child.stdout.readline()
            self.case.assertTrue(line, "pawl mcp has ended")
            self.heard.append(json.loads(line))

    def ask(self, method, **params):
        return self.end(self.begin(method, **params))["result"]

    def call(self, tool, **arguments):
        result = self.ask("tools/call", name=tool, arguments=arguments)
        text = result["content"][0]["text"]
        if result["isError"]:
            return text
        self.case.assertEqual(result["structuredContent"], json.loads(text))
        return result["structuredContent"]

    def close(self):
        if self.child.poll() is None:
            self.child.stdin.close()
            self.case.assertEqual(0, self.child.wait(30))
        self.child.stdout.close()
        self.err.close()


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

    def test_two_watches_say_a_comment_once(self):
        job = self.waiting()
        first, path = self.watch(job), self.file(job)
        self.appears(path)
        second = self.watch(job, "second")
        second.wait_text("question q1")
        for n in range(1, 4):
            save(path, path.read_text() + f"\n## Question mine-{n}\n\n- from: user\n- state: open\n\nSay it {n} times.\n")
            until(lambda n=n: entries(path)[f"mine-{n}"].get("ref") == f"{job}/c{n}", "taken")
            if n == 1:
                first.kill_one(signal.SIGKILL)  # the other one takes over
        self.assertEqual([f"Say it {n} times." for n in range(1, 4)], [c["text"] for c in self.rig.show(job)["comments"]])
        self.assertIn("mine-3: taken from questions.md as comment c3", second.text())
        answer_below(path, "q1", "only Gruenau")
        second.wait()
        self.assertTrue(all(e["state"] == "answered" for e in entries(path).values()), entries(path))

    def test_answered_through_mcp_while_the_file_is_watched(self):
        job = self.waiting()
        watch, path = self.watch(job), self.file(job)
        self.appears(path)
        mcp = Mcp(self)
        (question,) = mcp.call("questions")["questions"]
        self.assertEqual((job, "q1", "Which houses?", "all three", ["Gruenau", "all three"]),
                         tuple(question[k] for k in ("job", "question", "text", "default", "options")))
        waiting = mcp.begin("tools/call", name="wait_job", arguments={"job": job[:6]})
        self.assertEqual("waiting", mcp.end(waiting)["result"]["structuredContent"]["state"])
        self.assertEqual({"job": job, "question": "q1", "answered": True}, mcp.call("answer_question", job=job[:6], answer="only Gruenau"))
        entry = self.becomes(path, "answered")
        self.assertEqual(("user (mcp)", "only Gruenau"), (entry["by"], entry["answer"]))
        watch.wait_text(r"answered by user \(mcp\): only Gruenau")
        late = mcp.call("answer_question", job=job, question="q1", answer="no, all")
        self.assertIn("already answered by the user (mcp): only Gruenau", late)
        self.assertIn("already answered by the user (mcp)", self.rig.pawl("answer", job, "no", code=None).err)
        waiting = mcp.begin("tools/call", name="wait_job", arguments={"job": job, "seconds": 50}, _meta={"progressToken": "w"})
        ended = mcp.end(waiting)["result"]["structuredContent"]
        self.assertTrue(ended["over"] and ended["state"] in ("accepted", "exhausted"), ended)
        told = [m["params"] for m in mcp.heard if m.get("method") == "notifications/progress"]
        self.assertEqual(list(range(1, len(told) + 1)), [t["progress"] for t in told])
        shown = mcp.call("show_job", job=job)
        self.assertEqual(("only Gruenau", "mcp"), (shown["answers"][0]["text"], shown["answers"][0]["via"]))
        self.assertTrue(shown["best"]["gates"] and shown["rounds"][0]["kept"], shown)
        self.assertEqual([], mcp.call("questions", job=job)["questions"])
        watch.wait()

    def test_mcp_submits_comments_cancels_and_outlives_the_broker(self):
        self.rig.project()
        self.rig.configure({"pipeline": PIPELINE})
        mcp = Mcp(self)
        self.assertIn("`pawl up` starts a broker", mcp.call("list_jobs"))
        self.rig.redis()
        broker = self.rig.broker()
        until(lambda: isinstance(mcp.call("list_jobs"), dict), "the tools find the broker")
        text = "# Late fees\n\n" + "Fees – capped at 25 €.\n" * 20000  # half a mebibyte in one line
        first = mcp.call("submit_problem", text=text, key="k", label="fees")
        again = mcp.call("submit_problem", text=text, key="k")
        self.assertEqual((first["job"], True, False), (again["job"], again["existing"], first["existing"]))
        self.assertIn("clerk", first["unserved_stages"])
        self.assertEqual(text, self.rig.doc(first["job"], "problem")["text"])
        (row,) = mcp.call("list_jobs", state="open")["jobs"]
        self.assertEqual((first["job"], "queued", "fees"), (row["job"], row["state"], row["label"]))
        self.assertEqual("c1", mcp.call("comment", job=row["job"], text="Per member.")["comment"])
        waiting = mcp.begin("tools/call", name="wait_job", arguments={"job": row["job"], "seconds": 50})
        given_up = mcp.begin("tools/call", name="wait_job", arguments={"job": row["job"], "seconds": 50})
        mcp.send(method="notifications/cancelled", params={"requestId": given_up})
        broker.kill_one(signal.SIGKILL)
        broker = self.rig.broker(name="broker-2")
        until(lambda: isinstance(mcp.call("cancel_job", job=row["job"]), dict), "cancelled")
        self.assertEqual("cancelled", mcp.end(waiting)["result"]["structuredContent"]["state"])
        self.assertNotIn(given_up, [m.get("id") for m in mcp.heard])
        self.assertIn("list_jobs tells which", mcp.call("show_job", job="zzzzzz"))
        self.assertIn("none of all|open", mcp.call("list_jobs", state="odd"))
        self.assertIn("no such change", mcp.call("submit_problem", text="x", change="nope"))
        error = mcp.end(mcp.begin("tools/call", name="nope"))["error"]
        self.assertEqual((-32602, "Unknown tool: nope"), (error["code"], error["message"]))
        self.assertEqual(-32601, mcp.end(mcp.begin("resources/list"))["error"]["code"])
        mcp.child.stdin.write(b"{\n")
        mcp.child.stdin.flush()
        self.assertEqual(-32700, mcp.end(None)["error"]["code"])
        self.assertEqual({}, mcp.ask("ping"))

    @needs_node
    def test_mcp_with_the_client_of_the_sdk(self):
        job = self.waiting()
        said = open(self.rig.dir / "log/sdk.log", "ab")
        sdk = subprocess.Popen([node(), ROOT / "tests/e2e/mcp_client.mjs", modules(), PREFIX / "bin/pawl", "mcp", "-C",
                                self.rig.dir / "library", "--config", self.rig.conf], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=said, env=self.rig.env, text=True)
        self.addCleanup(said.close)
        hello = json.loads(sdk.stdout.readline())
        self.assertEqual("pawl", hello["server"]["name"])
        self.assertEqual(["submit_problem", "list_jobs", "show_job", "wait_job", "questions", "answer_question", "comment", "cancel_job"],
                         [tool["name"] for tool in hello["tools"]])
        for tool in hello["tools"]:
            self.assertFalse(tool["inputSchema"]["additionalProperties"])

        def call(tool, cancel=False, **arguments):
            sdk.stdin.write(json.dumps({"tool": tool, "arguments": arguments, "cancel": cancel}) + "\n")
            sdk.stdin.flush()
            return json.loads(sdk.stdout.readline())
        self.assertEqual("q1", call("questions")["result"]["structuredContent"]["questions"][0]["question"])
        self.assertTrue(call("answer_question", job=job, question="q2", answer="x")["result"]["isError"])
        self.assertFalse(call("answer_question", job=job, question="q1", answer="only Gruenau")["result"]["isError"])
        self.assertIn("already answered by the user (mcp): only Gruenau", call("answer_question", job=job, answer="x")["result"]["content"][0]["text"])
        ended = call("wait_job", job=job, seconds=50)
        self.assertTrue(ended["result"]["structuredContent"]["over"], ended)
        self.assertEqual(-32602, call("nope")["error"]["code"])
        sdk.stdin.close()
        self.assertEqual(0, sdk.wait(30))
        sdk.stdout.close()


if __name__ == "__main__":
    main()
