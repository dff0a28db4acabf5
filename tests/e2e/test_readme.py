#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of README.md, run as they stand there. A command that no test here runs fails `test_every_command`."""
import re
import shlex
import subprocess

from rig import Case, PATIENCE_S, PREFIX, ROOT, free_port, main, until

README = (ROOT / "README.md").read_text()


def commands(heading):
    """The commands of the sh blocks of a section, without their remarks."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    text = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.S)).replace("\\\n", " ")
    return [words for words in (shlex.split(line, comments=True) for line in text.splitlines()) if words]


class Readme(Case):
    def test_every_command(self):
        tested = {"Two commands", "A first session", "Another machine", "Without a broker"}
        with_commands = {title for title in re.findall(r"^## (.*)$", README, re.M) if commands(title)}
        self.assertEqual(tested, with_commands)
        # The first is run by test_quickstart.py, the second runs this.
        self.assertEqual([["deploy/quickstart.sh"], ["tests/run.sh"]], commands("Two commands"))

    def test_links_lead_somewhere(self):
        for target in re.findall(r"\]\(([^)#]+)", README):
            if "://" not in target:
                self.assertTrue((ROOT / target).exists(), target)

    def test_keys_of_the_configuration_exist(self):
        known = (ROOT / "docs/configuration.md").read_text()
        keys = re.findall(r"`((?:analyze|model|loop|review|broker|redis|peer)\.[a-z_]+)`|--set ([a-z_.]+)=", README)
        self.assertGreater(len(keys), 4)
        for key in keys:
            self.assertIn(f"`{key[0] or key[1]}`", known)


class Session(Case):
    def run_here(self, words, cwd, code=(0,)):
        done = subprocess.run(words, cwd=cwd, env=self.rig.env, capture_output=True, text=True, timeout=PATIENCE_S * 3,
                              stdin=subprocess.DEVNULL, check=False)
        self.assertIn(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def test_a_first_session(self):
        project = self.rig.project()
        sim = self.rig.sim()
        self.rig.env |= {"PAWL_MODEL_URL": sim.url + "/v1", "PAWL_STATE_DIR": str(self.rig.dir / "up")}
        self.addCleanup(lambda: subprocess.run(["pawl", "down", "--force"], cwd=project, env=self.rig.env, capture_output=True, check=False))
        job, seen = None, []
        for words in commands("A first session"):
            seen.append(words[1])
            said = self.run_here([job if word == "JOB" else word for word in words], project,
                                 (0, 1) if words[1] in ("submit", "watch") else (0,))
            if words[1] == "submit":
                job = re.search(r"\b[0-9a-z]{12}\b", said).group(0)
        self.assertEqual(["init", "up", "submit", "show", "comment", "watch", "ask", "apply", "down"], seen)
        self.assertTrue((project / "pawl.yaml").exists())
        changes = [path for path in (project / "openspec/changes").iterdir() if path.name != "archive"]
        self.assertTrue(any((path / "proposal.md").exists() for path in changes), changes)

    def test_without_a_broker(self):
        project = self.rig.project()
        for words in commands("Without a broker"):
            self.run_here(words, project)

    def test_another_machine(self):
        self.rig.redis()
        port, public = free_port(), {}
        there = {"redis://127.0.0.1:6379": f"unix://{self.rig.dir}/redis.sock", "tcp://0.0.0.0:7000": f"tcp://0.0.0.0:{port}",
                 "tcp://broker-host:7000": f"tcp://127.0.0.1:{port}"}
        started = []
        for words in commands("Another machine"):
            words = [there.get(word, word) for word in words]
            words = [re.sub(r"PUBLIC-KEY-OF-([A-Z0-9-]+)", lambda found: public[found.group(1).lower()], word) for word in words]
            if words[0] == "pawl":
                said = self.run_here(words, self.rig.dir)
                if words[:3] == ["pawl", "keys", "new"]:
                    public[words[3]] = said.strip()
            else:
                extra = ["--set", f"state_dir={self.rig.dir / words[0]}", "--set", "log.level=debug"]
                started.append(self.rig.start(words[0], [PREFIX / "bin" / words[0], *words[1:], *extra], cwd=self.rig.dir))
                if words[0] == "pawl-broker":
                    started[0].wait_text(r"\bready\b.*endpoint=")
        self.assertEqual(["pawl-broker", "pawl-generate"], [process.name for process in started])
        # A client's key of its own shows that the worker is in.
        desk = self.run_here(["pawl", "keys", "new", "desk"], self.rig.dir).strip()
        self.run_here(["pawl", "keys", "allow", "allow.keys", desk, "client"], self.rig.dir)
        look = ["pawl", "workers", "-o", "json", "--broker", f"tcp://127.0.0.1:{port}", "--set", "peer.secret_file=desk.key", "--set",
                f"broker.public_key={public['broker']}"]
        until(lambda: '"generate"' in self.run_here(look, self.rig.dir, (0, 69, 77)), "the worker of the other machine is known")


if __name__ == "__main__":
    main()
