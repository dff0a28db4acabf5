#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`pawl spec archive` on disk: many at once, killed at any time, and a repository with links."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import test_spec
from rig import PREFIX, main
from test_spec import ENV, contents, ours


class Archive(unittest.TestCase):
    tree = test_spec.Spec.tree
    repository = test_spec.Spec.repository

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pawl-archive-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def test_parallel_archives_queue_and_lose_nothing(self):
        cwd = self.repository()
        names = [f"p{i}" for i in range(8)]
        for name in names:
            folder = cwd / "openspec/changes" / name
            shutil.copytree(cwd / "openspec/changes/a", folder)
            delta = folder / "specs/fees/spec.md"
            delta.write_text(delta.read_text().replace("Requirement: Cap", f"Requirement: Cap {name}"))
        argv = [str(PREFIX / "bin/pawl"), "spec", "archive", "--yes", "--timeout", "60s"]
        running = [subprocess.Popen([*argv, name], cwd=cwd, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for name in names]
        for one in running:
            out, err = one.communicate(timeout=120)
            self.assertEqual(0, one.returncode, err)
        merged = (cwd / "openspec/specs/fees/spec.md").read_text()
        self.assertEqual([name for name in names if f"### Requirement: Cap {name}\n" in merged], names)

    def test_killed_at_any_time_it_is_all_or_nothing(self):
        source = self.dir / "source"
        shutil.copytree(self.repository(), source)
        before = contents(source)
        seen = set()
        for microseconds in range(0, 20000, 400):
            cwd = self.tree(source)
            one = subprocess.Popen([str(PREFIX / "bin/pawl"), "spec", "archive", "a", "--yes"], cwd=cwd, env=ENV,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                one.wait(timeout=microseconds / 1e6)
            except subprocess.TimeoutExpired:
                one.kill()
            one.wait()
            code, _, err = ours(cwd, "archive", "b", "--yes", "--timeout", "5s")  # refused, but puts right what was left
            self.assertEqual(4, code, err)
            now = {name: text for name, text in contents(cwd).items() if "lock" not in name}
            archived = (cwd / "openspec/specs/fees/spec.md").read_text().count("cap fees at 15 euros") == 1
            self.assertEqual(archived, not (cwd / "openspec/changes/a").exists())
            self.assertFalse((cwd / "openspec/.pawl-archive").exists())
            if not archived:
                self.assertEqual(before, now)
            seen.add(archived)
        self.assertTrue(seen)

    def test_a_linked_spec_is_not_written_through(self):
        cwd = self.repository()
        elsewhere = self.dir / "elsewhere"
        shutil.move(cwd / "openspec/specs/fees", elsewhere)
        (cwd / "openspec/specs/fees").symlink_to(elsewhere)
        before = (elsewhere / "spec.md").read_text()
        code, _, err = ours(cwd, "archive", "a", "--yes")
        self.assertEqual(74, code, err)
        self.assertIn("specs/fees", err)
        self.assertEqual(before, (elsewhere / "spec.md").read_text())
        self.assertTrue((cwd / "openspec/changes/a").exists())


if __name__ == "__main__":
    main()
