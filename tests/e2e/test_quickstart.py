#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/quickstart.sh with a simulated model server: installs, builds, works, and does nothing twice."""
import os
import re
import subprocess

from rig import Case, ROOT, main


class Quickstart(Case):
    def test_quickstart(self):
        sim = self.rig.sim("--tokens-per-s", "2000")
        self.rig.env |= {"PAWL_LLM_URL": sim.url + "/v1"}
        first = self.quickstart()
        self.assertIn(f"PAWL_LLM_URL: {sim.url}", first)
        path = re.search(r"The change: (\S+)", first).group(1)
        self.assertTrue(os.path.exists(f"{path}/proposal.md"))
        for text in ("round 1", "## ADDED Requirements", "SHALL"):
            self.assertIn(text, first)
        # What is installed has no places where a variable kills it.
        self.assertNotIn(b"PAWL_FAILPOINT", (ROOT / "build/release/install/bin/pawl-broker").read_bytes())
        before = self.rig.sim_stats(sim)
        second = self.quickstart()
        self.assertIn("Finished before", second)
        self.assertEqual(path, re.search(r"The change: (\S+)", second).group(1))
        self.assertEqual(before["completions"], self.rig.sim_stats(sim)["completions"])

    def test_bad_arguments(self):
        self.assertIn("--model", self.quickstart("--help"))
        for words in (["--model"], ["--model", "huge"], ["--nonsense"]):
            done = subprocess.run([ROOT / "deploy/quickstart.sh", *words], env=self.rig.env, capture_output=True, text=True, check=False)
            self.assertEqual(64, done.returncode)
            self.assertIn(words[-1], done.stderr)

    def quickstart(self, *words):
        done = subprocess.run([ROOT / "deploy/quickstart.sh", *words], env=self.rig.env, capture_output=True, text=True,
                              timeout=1200, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(0, done.returncode, done.stdout[-4000:] + done.stderr[-4000:])
        return done.stdout


if __name__ == "__main__":
    main()
