#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input, through the installed pawl: a clear error in the right place, the right exit code, nothing lost, no crash,
and the next good job finishes."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

from rig import Case, ENDED, PREFIX, main, until
from wire import BAD_MCP

PROBLEM = "Late fees of one household should be capped at 25 euros per calendar month. Members under 14 pay nothing."


class Good:
    """Every case ends with it: the next good job finishes."""

    def good(self, **more):
        job = self.rig.submit(PROBLEM + f" {os.urandom(4).hex()}", "--rounds", "1")
        self.assertIn(self.rig.wait(job, **more), ("accepted", "exhausted"), self.rig.logs())
        return job


class Submission(Case, Good):
    def setUp(self):
        super().setUp()
        self.project = self.rig.project()
        self.rig.all()

    def refused(self, code, *words, text, stdin=""):
        result = self.rig.pawl("submit", *words, code=code, stdin=stdin)
        self.assertRegex(result.err, text)
        answer = self.rig.pawl("submit", *words, "-o", "json", code=code, stdin=stdin).json
        self.assertRegex(answer["status"][0]["message"], text)
        self.assertTrue(answer["status"][0].get("code"))
        return result

    def test_not_an_openspec_repository(self):
        empty = self.rig.dir / "empty"
        empty.mkdir()
        self.refused(66, PROBLEM, "-C", empty, text="not an OpenSpec repository")
        self.good()

    def test_empty_problem_statement(self):
        for n, text in enumerate(("", " \n\t\n")):
            path = self.rig.dir / f"empty-{n}.md"
            path.write_text(text)
            self.refused(65, path, "-C", self.project, text="empty")
        self.refused(65, "-", "-C", self.project, text="empty", stdin="\n")
        self.good()

    def test_ten_megabytes(self):
        path = self.rig.dir / "large.md"
        path.write_text("a long story. " * 750000)
        self.refused(65, path, "-C", self.project, text="1 MiB")
        self.good()

    def test_invalid_utf8_says_line_and_byte(self):
        path = self.rig.dir / "latin1.md"
        path.write_bytes("# Gebühr\n\nDie Gebühr ist zu hoch.\n".encode("latin-1"))
        self.refused(65, path, "-C", self.project, text=r"latin1\.md:1: byte 5 .*not UTF-8")
        self.good()

    def test_no_such_file_and_no_such_job(self):
        self.refused(66, self.rig.dir / "nowhere.md", "-C", self.project, text="nowhere.md")
        for command in ("show", "watch", "get", "cancel", "retry", "logs", "apply"):
            self.assertTrue(self.rig.pawl(command, "zzzzzzzz", code=66).err, command)

    def test_wrong_flags(self):
        for words in (["submit"], ["submit", "x y", "--roundz", "3"], ["frobnicate"], ["submit", "x y", "--rounds", "many"]):
            self.assertTrue(self.rig.pawl(*words, code=64).err, words)

    def test_malformed_spec_is_named_with_file_and_line(self):
        spec = self.project / "openspec/specs/fees/spec.md"
        spec.write_text(spec.read_text() + "\n## ADDED Requirements\n\n### Requirement: Astray\nThe system SHALL x.\n")
        line = spec.read_text().splitlines().index("## ADDED Requirements") + 1
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        self.rig.wait(job)
        findings = self.findings(job)
        self.assertTrue([f for f in findings if "specs/fees/spec.md" in f.get("file", "") and f.get("line") == line], findings)
        spec.write_text("\n".join(spec.read_text().splitlines()[:line - 1]) + "\n")
        self.good()

    def findings(self, job):
        for name, key in (("findings", "items"), ("brief", "findings")):
            result = self.rig.pawl("get", job, "--doc", name, "-o", "json", code=None)
            if result.code == 0:
                return result.json[key]
        return []

    def test_full_disk_for_apply(self):
        job = self.good()
        small = self.rig.dir / "small"
        small.mkdir()
        script = f"""mount -t tmpfs -o size=48k,nr_inodes=20 tmpfs {small} && mkdir -p {small}/openspec/changes &&
                     touch {small}/openspec/a {small}/openspec/b && head -c 40000 /dev/zero >{small}/openspec/fill || exit 99
                     {PREFIX}/bin/pawl apply {job} -C {small} --config {self.rig.conf}; code=$?
                     find {small}/openspec/changes -mindepth 1; exit $code"""
        done = subprocess.run(["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user", "--user"]), "sh", "-c", script],
                              capture_output=True, text=True, env=self.rig.env, timeout=60, check=False)
        if done.returncode == 99 or "unshare" in done.stderr:
            self.skipTest(f"no small file system can be mounted here: {done.stderr}")
        self.assertEqual(74, done.returncode, done)
        self.assertIn("No space left", done.stderr)
        self.assertEqual("", done.stdout, "nothing is left half-written")
        self.assertTrue(self.rig.apply(job, self.project))


class Configuration(Case):
    def test_unknown_key_wrong_type_bad_unit(self):
        for text, expected in (("loop:\n  round: 3\n", r"pawl\.yaml:2:3: .*'loop\.round'|pawl\.yaml:2:3: .*round"),
                               ("loop:\n  rounds: many\n", r"pawl\.yaml:2:11: "),
                               ("loop:\n  wall: 30 parsecs\n", r"pawl\.yaml:2:9: "),
                               ("loop: [\n", r"pawl\.yaml:\d+:\d+: "),
                               ("loop:\n  rounds: 3\nloop:\n  wall: 3m\n", r"pawl\.yaml:3:1: ")):
            self.rig.conf.write_text(text)
            result = self.rig.pawl("config", "check", code=78)
            self.assertRegex(result.err, expected)
        self.rig.conf.write_text("loop:\n  round: 3\n")
        self.assertIn("rounds", self.rig.pawl("config", "check", code=78).err, "a suggestion")
        for program in ("pawl-broker", "pawl-parse", "pawl-analyze", "pawl-generate", "pawl-review"):
            process = self.rig.start(program, [PREFIX / "bin" / program, "--config", self.rig.conf])
            self.assertEqual(78, process.wait(), process.text())
            self.assertIn("pawl.yaml:2:3", process.text())


class Tools(Case, Good):
    """MCP servers that misbehave: the round goes on without them and says so."""

    def bad(self, mode):
        return {"command": sys.executable, "args": [str(BAD_MCP), mode]}

    def start(self, servers, **settings):
        self.rig.project()
        (self.rig.dir / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        self.rig.configure({"analyze.timeout": "2s", "analyze.probes": [
            {"name": f"facts of {name}", "server": name, "tool": "facts", "arguments": {}} for name in servers]} | settings)
        self.rig.all()

    def test_servers_that_exit_babble_hang_and_flood(self):
        modes = ("exit", "garbage", "silent", "huge")
        self.start({mode: self.bad(mode) for mode in modes} | {"good": self.bad("good")})
        job = self.good(seconds=120)
        insights = self.rig.doc(job, "insights")
        self.assertIn("17 items", [i["excerpt"] for i in insights["items"] if i["server"] == "good"][0])
        said = json.dumps(insights["findings"])
        for mode in ("exit", "garbage", "silent"):
            self.assertIn(mode, said, "the finding names the server")
        huge = [i for i in insights["items"] if i["server"] == "huge"]
        self.assertTrue("huge" in said or (huge and huge[0]["truncated"] and len(huge[0]["excerpt"]) <= 65536))
        self.assertIn("licence expired", said + self.rig.logs(200), "what the server said when it died")

    def test_no_such_program(self):
        self.start({"nowhere": {"command": "/nonexistent/server"}, "good": self.bad("good")})
        self.assertIn("nowhere", json.dumps(self.rig.doc(self.good(), "insights")["findings"]))

    def test_doctor_reads_it_as_the_worker_does(self):
        self.rig.all(stages=())
        (self.rig.dir / "mcp.json").write_text("""{ // ours
            "mcpServers": {"good": {"command": "python3"}, "gone": {"command": "/nonexistent/server"}, "off": {"command": "x", "disabled": true},
                           "bare": {"command": "python3", "env": {"TOKEN": "${PAWL_TEST_NOT_SET}"}},} }""")
        rows = [row for row in self.rig.pawl("doctor", "-o", "json", code=None).json["checks"] if row["check"] == "mcp"]
        self.assertEqual(["pass", "fail", "pass", "fail"], [row["grade"] for row in rows], rows)
        self.assertIn("PAWL_TEST_NOT_SET", json.dumps(rows[3]))

    def test_unreadable_mcp_json_names_the_place(self):
        self.rig.project()
        self.rig.all(stages=("parse", "generate", "review"))
        config = self.rig.dir / "mcp.json"
        cases = {'{"mcpServers": {"a": }}': r"mcp\.json:1:22", '{"mcpServers": {"a": {"args": 3}}}': r"mcp\.json:1:31",
                 "": r"mcp\.json:1:1", None: r"mcp\.json"}
        for n, (text, expected) in enumerate(cases.items()):
            if text is None:
                config.unlink()
                config.mkdir()  # root may read any file, but no directory
            else:
                config.write_text(text)
            process = self.rig.worker("analyze", name=f"analyze-{n}")
            self.assertRegex(process.text(), expected)
            job = self.good()
            self.assertRegex(json.dumps(self.rig.doc(job, "insights")["findings"]), expected)
            process.stop()
        config.rmdir()
        self.rig.worker("analyze", name="analyze-good")
        self.assertEqual([], self.rig.doc(self.good(), "insights").get("findings", []))


class Model(Case, Good):
    """Model servers that misbehave. What is not the job's fault does not end the job."""

    def fault(self, kind):
        request = urllib.request.Request(self.rig.llm.url + "/sim/fault/" + kind, method="POST", data=b"")
        urllib.request.urlopen(request, timeout=10).read()

    def check(self, kind, *texts):
        """The job says why it does not go on; when the server is well again it finishes by itself or fails for good."""
        self.rig.project()
        self.rig.all()
        self.fault(kind)
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        shown = until(lambda: (s := self.rig.show(job)) and (s.get("failures") or s["state"] in (*ENDED, "delayed")) and s,
                      "the job says why it does not go on")
        said = shown["reason"] + " ".join(f["text"] for f in shown.get("failures", []))
        for text in texts:
            self.assertRegex(said, text)
        self.fault("none")
        self.assertIn(self.rig.wait(job, seconds=120), ("accepted", "exhausted", "failed"))
        self.good()

    def test_404(self):
        self.check("404", "404")

    def test_401(self):
        self.check("401", "401")

    def test_429_waits_as_told_and_costs_no_attempt(self):
        self.check("429", "429")
        self.assertFalse([f for row in self.rig.jobs() for f in self.rig.show(row["id"]).get("failures", [])])

    def test_500(self):
        self.check("500", "500")

    def test_html(self):
        self.check("html", "(?i)html|not json|content.type|web page")

    def test_cut(self):
        self.check("cut", "(?i)broke|cut|closed|end|transfer|stream")

    def test_empty(self):
        self.check("empty", "(?i)empty|nothing|no content")

    def test_error_in_a_200(self):
        self.check("error", ".")

    def test_lm_studio_string_error(self):
        self.check("string", ".")

    def test_json_in_reasoning_content_is_read(self):
        self.rig.project()
        self.rig.all("--fault", "reasoning")
        self.good()

    def test_server_down_then_up(self):
        self.rig.project()
        self.rig.all()
        port = self.rig.llm.url.rsplit(":", 1)[1]
        self.rig.llm.stop()
        job = self.rig.submit(PROBLEM, "--rounds", "1")
        until(lambda: "generate" in self.rig.show(job)["stage"], "it waits at generate")
        self.rig.sim("--port", port, name="llm-sim-2")
        self.assertIn(self.rig.wait(job, seconds=120), ("accepted", "exhausted"))


class Store(Case, Good):
    """Redis away, gone, read-only, full: submissions are refused, nothing is lost, pawl resumes by itself."""

    def test_down_at_start(self):
        broker = self.rig.broker("--wait-store", "300", ready=False)
        self.assertEqual(69, broker.wait(), broker.text())
        self.assertIn("redis.sock", broker.text())

    def test_gone_during_work(self):
        self.rig.project()
        self.rig.all("--ttft-ms", "20")
        open_job = self.rig.submit(PROBLEM, "--rounds", "2")
        self.rig.redis_server.kill()
        refused = self.rig.pawl("submit", PROBLEM + " More.", "-C", "library", "--timeout", "3s", code=(69, 75, 124))
        self.assertRegex(refused.err, "(?i)redis")
        self.rig.redis_server = self.rig.redis()
        self.assertIn(self.rig.wait(open_job, seconds=120), ("accepted", "exhausted"))
        self.good()

    def test_read_only(self):
        self.rig.project()
        self.rig.all()
        self.rig.redis_cli("replicaof", "127.0.0.1", "1")
        refused = self.rig.pawl("submit", PROBLEM, "-C", "library", "--timeout", "3s", code=(69, 75, 124))
        self.assertRegex(refused.err, "(?i)redis|read.?only")
        self.rig.redis_cli("replicaof", "no", "one")
        self.good(seconds=120)

    def test_out_of_memory(self):
        self.rig.project()
        self.rig.all()
        self.rig.redis_cli("config", "set", "maxmemory", "1mb")
        # The broker looks at the memory now and then; what it takes until then is not lost either.
        refused = until(lambda: (r := self.rig.pawl("submit", PROBLEM, "-C", "library", "--timeout", "1s", code=(0, 69, 75, 124))).code
                        and r, "submissions are refused")
        self.assertRegex(refused.err, "(?i)memory|full|redis")
        self.rig.redis_cli("config", "set", "maxmemory", "0")
        self.good(seconds=120)
        for row in self.rig.jobs():
            self.assertIn(self.rig.wait(row["id"], 120), ("accepted", "exhausted"))


if __name__ == "__main__":
    main()
