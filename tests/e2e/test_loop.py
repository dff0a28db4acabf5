#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From a problem statement to a change that the real openspec CLI accepts, with real MCP servers."""
import json
import pathlib
import re
import unittest

from rig import Case, ROOT, main, mcp_server, needs_node, node, until

PROBLEM = (ROOT / "bench/samples/library/problem.md").read_text()
PLAIN = "Late fees of one household should be capped at 25 euros per calendar month. Members under 14 must pay no late fees."
EASY = {"PAWL_LOOP_TARGET_MEASURES": "0", "PAWL_LOOP_TARGET_JUDGE": "0"}
HARD = {"PAWL_LOOP_TARGET_MEASURES": "1000", "PAWL_LOOP_TARGET_JUDGE": "1000"}


class Loop(Case):
    def probes(self, project):
        """Three servers that nobody here wrote, one probe each."""
        (project / "docs").mkdir()
        (project / "docs/limits.md").write_text("Receipts by mail go out between 06:00 and 22:00.\n")
        memory = self.rig.dir / "memory.jsonl"
        memory.write_text(json.dumps({"type": "entity", "name": "book drop", "entityType": "place",
                                      "observations": ["it is painted red"]}) + "\n")
        servers = {"files": mcp_server("filesystem", project / "docs"),
                   "memory": {**mcp_server("memory"), "env": {"MEMORY_FILE_PATH": str(memory)}},
                   "all": mcp_server("everything")}
        (self.rig.dir / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        self.rig.configure({"analyze.probes": [
            {"name": "limits", "server": "files", "tool": "read_text_file", "arguments": {"path": str(project / "docs/limits.md")}},
            {"name": "known", "server": "memory", "tool": "search_nodes", "arguments": {"query": "book drop"}},
            {"name": "echo", "server": "all", "tool": "echo", "arguments": {"message": "an answer"}}]})

    @needs_node
    def test_accepted_with_real_probes(self):
        project = self.rig.project()
        self.probes(project)
        self.rig.all("--seed", "1")
        job = self.rig.pawl("submit", PLAIN, "-C", project, "-o", "id", env=EASY).out.strip()
        self.assertEqual("accepted", self.rig.wait(job))
        insights = self.rig.doc(job, "insights")["items"]
        self.assertEqual({"files", "memory", "all"}, {i["server"] for i in insights}, insights)
        texts = "\n".join(i["excerpt"] for i in insights)
        self.assertIn("between 06:00 and 22:00", texts)
        self.assertIn("it is painted red", texts)
        change = self.rig.apply(job, project)
        self.rig.check_change(project, change.name)
        for name in ("proposal.md", "tasks.md"):
            self.assertTrue((change / name).is_file(), name)

    def test_exhausted_delivers_the_best(self):
        project = self.rig.project()
        self.rig.all("--seed", "2")
        job = self.rig.pawl("submit", project / "problem.md", "-C", project, "-o", "id", "--rounds", "3", env=HARD).out.strip()
        self.assertEqual("exhausted", self.rig.wait(job))
        shown = self.rig.show(job)
        ledger = shown["ledger"]
        self.assertTrue(1 <= len(ledger) <= 3, ledger)
        kept = [e for e in ledger if e["kept"]]
        self.assertEqual(kept[-1]["round"], shown["best"]["round"])
        scores = [(e["verdict"]["gates"], e["verdict"]["measures"]) for e in kept]
        self.assertEqual(sorted(scores), scores, "kept candidates only grow")
        self.assertTrue(self.rig.apply(job, project).is_dir())

    @needs_node
    def test_every_delivered_change_is_valid_and_archives(self):
        self.rig.all("--seed", "3")
        delivered = 0
        for sample in ("library", "telemetry"):
            project = self.rig.project(sample)
            jobs = [self.rig.pawl("submit", p, "-C", project, "-o", "id", "--rounds", "2").out.strip()
                    for p in sorted((ROOT / "bench/problems" / sample).glob("*.md"))]
            for job in jobs:
                state = self.rig.wait(job)
                self.assertIn(state, ("accepted", "exhausted"), self.rig.pawl("show", job).out)
                change = self.rig.apply(job, project)
                self.rig.check_change(project, change.name)
                delivered += 1
        self.assertEqual(10, delivered)

    def test_same_key_is_the_same_job(self):
        project = self.rig.project()
        self.rig.all()
        first = self.rig.submit("Late fees of one household shall be capped at 25 euros.", "--key", "k1")
        again = self.rig.submit("Late fees of one household shall be capped at 25 euros.", "--key", "k1")
        self.assertEqual(first, again)
        self.assertEqual(1, len(self.rig.jobs()))
        self.rig.wait(first)
        self.assertTrue(self.rig.apply(first, project))

    def test_apply_never_overwrites_and_sees_that_specs_moved(self):
        project = self.rig.project()
        self.rig.all()
        job = self.rig.submit(PROBLEM)
        self.rig.wait(job)
        change = self.rig.apply(job, project)
        proposal = change / "proposal.md"
        proposal.write_text("mine\n")
        (change / "notes.md").write_text("my notes\n")
        self.rig.pawl("apply", job, "-C", project)  # the same version again: what is mine stays
        self.assertEqual("mine\n", proposal.read_text())
        (change / ".openspec.yaml").write_text("schema: spec-driven\n")  # now it comes from nowhere that is known
        refused = self.rig.pawl("apply", job, "-C", project, code=73)
        self.assertIn("--force", refused.err)
        self.assertEqual("mine\n", proposal.read_text())
        self.rig.pawl("apply", job, "-C", project, "--force")
        self.assertNotEqual("mine\n", proposal.read_text())
        self.assertFalse((change / "notes.md").exists())

    def test_edits_of_the_user_survive_the_next_version(self):
        project = self.rig.project()
        self.rig.all("--seed", "5")
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.rig.wait(job)
        change = self.rig.apply(job, project)
        proposal = change / "proposal.md"
        (change / "notes.md").write_text("my notes\n")
        proposal.write_text("<!-- mine -->\n" + proposal.read_text())
        self.rig.pawl("comment", job, "Teachers of the Zehnerhof school are exempt from the cap of 25 euros.")
        until(lambda: self.rig.show(job)["run"] == 2, "the next run is open")
        self.rig.wait(job)
        second = ("apply", job, "-C", project, "--run", "2", "--round", "1")
        self.rig.pawl(*second)
        self.assertTrue(proposal.read_text().startswith("<!-- mine -->\n"))
        self.assertEqual("my notes\n", (change / "notes.md").read_text())
        self.assertIn("run: 2", (change / ".openspec.yaml").read_text())
        if node():
            self.rig.check_change(project, change.name)
        # Now lines that the second version changes, too.
        first, other = ({f["path"]: f["text"] for f in self.rig.pawl("get", job, "--doc", "change", "--run", run, "--round", "1").json["files"]}
                        for run in ("1", "2"))
        path = next(path for path, text in first.items() if path.endswith(".md") and other.get(path, text) != text)
        for keep, stays in (("yours", True), ("theirs", False)):
            self.rig.pawl("apply", job, "-C", project, "--run", "1", "--round", "1", "--force")
            (change / path).write_text("my own words\n")
            before = {path: path.read_text() for path in change.rglob("*") if path.is_file()}
            refused = self.rig.pawl(*second, code=73)
            questions = change / "questions.md"
            for said in (f"{path}:1:", "yours: my own words", "theirs: ", "--keep", "questions.md"):
                self.assertIn(said, refused.err)
            self.assertEqual(before, {path: path.read_text() for path in change.rglob("*") if path.is_file() and path != questions})
            self.rig.pawl(*second, "--keep", keep)
            self.assertEqual(stays, "my own words" in (change / path).read_text())
            self.assertRegex(questions.read_text(), rf"(?s)- state: answered\n- by: user \(cli\)\n.*### Answer\n.*\n{keep}\n")
        self.answer_in_the_file(second, change, path)

    def answer_in_the_file(self, second, change, path):
        """Where both changed the same lines the folder's questions.md asks, once; what is answered there counts."""
        questions = change / "questions.md"
        for answer, stays in (("yours", True), ("Theirs", False)):
            self.rig.pawl("apply", second[1], "-C", second[3], "--run", "1", "--round", "1", "--force")
            questions.write_text("# Notes of mine\n")
            (change / path).write_text("words of another day\n")
            self.rig.pawl(*second, code=73)
            older = re.search(r"collision-[0-9a-f]{12}", questions.read_text()).group()
            (change / path).write_text("my own words\n## Question of mine\n")
            asked = self.rig.pawl(*second, code=73)
            text = questions.read_text()
            self.assertEqual(asked.err, self.rig.pawl(*second, code=73).err)
            self.assertEqual(text, questions.read_text(), "what is asked already is not asked again")
            newer = re.search(r"(collision-[0-9a-f]{12}) is asked in", asked.err).group(1)
            self.assertTrue(text.startswith("# Notes of mine\n"))
            self.assertRegex(text, rf"(?s)## Question {older}\n.*state: withdrawn.*## Question {newer}\n.*state: open")
            for said in (f"{path}:1:", "yours: my own words", "yours: ## Question of mine"):
                self.assertIn(said, text)
            questions.write_text(text.rstrip("\n") + "\n\nbanana\n")
            self.assertIn("neither yours nor theirs", self.rig.pawl(*second, code=65).err)
            questions.write_text(questions.read_text().replace("banana", answer))
            self.rig.pawl(*second)
            self.assertEqual(stays, "my own words" in (change / path).read_text())
            self.assertRegex(questions.read_text(), rf"(?s)## Question {newer}\n\n- from: system\n- state: answered\n- by: user \(file\)")

    def test_an_existing_change_is_improved(self):
        project = self.rig.project()
        self.rig.all()
        job = self.rig.submit(PROBLEM)
        self.rig.wait(job)
        change = self.rig.apply(job, project)
        (change / "notes.md").write_text("my notes\n")
        proposal = change / "proposal.md"
        proposal.write_text("<!-- mine -->\n" + proposal.read_text())
        better = self.rig.submit("Name the branch and the mail within 30 minutes.", "--change", change.name)
        self.assertIn(self.rig.wait(better), ("accepted", "exhausted"))
        made = self.rig.doc(better, "change")
        self.assertEqual(change.name, made["name"])
        self.assertIn({"path": "notes.md", "text": "my notes\n"}, made["files"])
        self.rig.pawl("apply", better, "-C", project, "--keep", "theirs")
        self.assertIn("<!-- mine -->", proposal.read_text())
        self.assertIn(f"job: {better}", (change / ".openspec.yaml").read_text())
        if node():
            self.rig.check_change(project, change.name)

    def test_output_forms(self):
        self.rig.project()
        self.rig.all()
        job = self.rig.submit(PROBLEM)
        lines = self.rig.pawl("watch", job, "-o", "jsonl", code=(0, 1)).out.splitlines()
        events = [json.loads(line) for line in lines]
        self.assertTrue(events)
        piped = self.rig.pawl("watch", job, code=(0, 1))
        self.assertNotIn("\x1b", piped.out + piped.err)
        self.assertEqual(self.rig.pawl("version").out, self.rig.pawl("--version").out)
        for words in (["ps"], ["show", job], ["workers"], ["doctor"], ["version"], ["config", "show"], ["submit", "x y", "-C", "library"]):
            out = self.rig.pawl(*words, "-o", "json", code=(0, 1)).out
            self.assertIsInstance(json.loads(out), dict, words)


if __name__ == "__main__":
    main()
