#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`pawl spec`: the same documents, verdicts and exit codes as the real OpenSpec CLI, on samples, golden cases and, with PAWL_CORPUS,
every tree below that folder. PAWL_SPEC_ALL=1 takes all golden cases, not every tenth."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from rig import PREFIX, ROOT, main, modules, needs_node, node

CASES = ROOT / "tests/openspec/cases"
ENV = {**os.environ, "OPENSPEC_TELEMETRY": "0", "NO_COLOR": "1", "CI": "1"}


def plain(document):
    """Without what differs by its nature: durations, and what pawl says beyond the original."""
    if isinstance(document, list):
        return [plain(one) for one in document]
    if isinstance(document, dict):
        return {key: plain(value) for key, value in document.items()
                if key not in ("durationMs", "archivable", "refusals", "fix", "target", "warnings")}
    return document


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def run(argv, cwd):
    done = subprocess.run([str(a) for a in argv], cwd=cwd, env=ENV, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def original(cwd, *arguments):
    program = modules() / "@fission-ai/openspec/bin/openspec.js"
    return run([node(), program, *arguments], cwd)


def ours(cwd, *arguments):
    return run([PREFIX / "bin/pawl", "spec", *arguments], cwd)


class Spec(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pawl-spec-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def tree(self, source):
        target = self.dir / "tree"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)
        return target

    def same(self, cwd, *arguments, also=()):
        """Our answer to a command with --json is the original's."""
        code, out, err = original(cwd, *arguments, "--json")
        our_code, our_out, our_err = ours(cwd, *arguments, *also, "-o", "json")
        where = f"{cwd}: {' '.join(arguments)}"
        self.assertEqual(code, our_code, f"{where}: exit code\n{out}{err}\n--- ours\n{our_out}{our_err}")
        theirs, mine = json.loads(out), json.loads(our_out)
        self.assertEqual(json.dumps(plain(theirs), indent=1), json.dumps(plain(mine), indent=1), where)
        return mine

    def compare(self, source):
        cwd = self.tree(source)
        for strict in ((), ("--strict",)):
            self.same(cwd, "validate", "--all", *strict, also=("--compat",))
        changes = self.same(cwd, "list", "--sort", "name")["changes"]
        specs = self.same(cwd, "list", "--specs")["specs"]
        for item, kind in [*((c["name"], "change") for c in changes[:2]), *((s["id"], "spec") for s in specs[:2])]:
            if not item.startswith("."):
                self.same(cwd, "show", item, "--type", kind)
        for change in changes[:2]:
            self.same_archive(source, change["name"])

    def same_archive(self, source, change):
        """Both archive the change on a copy of their own: the same files, byte for byte, and the same document."""
        results = []
        for which, also in ((original, ("--json", "--yes")), (ours, ("-o", "json", "--yes", "--compat"))):
            cwd = self.tree(source)
            code, out, err = which(cwd, "archive", change, *also)
            document = plain(json.loads(out))
            document.pop("root", None)
            for diagnostic in document.get("status", []):
                diagnostic.pop("message")  # findings have their own comparison
            results.append((code != 0, document, contents(cwd)))
        self.assertEqual(results[0], results[1], f"{source}: archive {change}")

    @needs_node
    def test_samples(self):
        for sample in ("library", "telemetry"):
            self.compare(ROOT / "bench/samples" / sample)

    @needs_node
    def test_golden_cases(self):
        cases = sorted(CASES.glob("*.json"))
        self.assertGreater(len(cases), 100)
        for case in cases if os.environ.get("PAWL_SPEC_ALL") else cases[::10]:
            with self.subTest(case=case.stem):
                source = self.dir / "case"
                shutil.rmtree(source, ignore_errors=True)
                content = json.loads(case.read_text(encoding="utf-8"))
                for path in content["empty_dirs"]:
                    (source / path).mkdir(parents=True)
                for path, text in content["files"].items():
                    (source / path).parent.mkdir(parents=True, exist_ok=True)
                    (source / path).write_bytes(text.encode("utf-8", "surrogateescape"))
                self.compare(source)

    @needs_node
    def test_corpus(self):
        if not os.environ.get("PAWL_CORPUS"):
            self.skipTest("PAWL_CORPUS is not set")
        for tree in sorted(pathlib.Path(os.environ["PAWL_CORPUS"]).glob("*/*/openspec")):
            with self.subTest(tree=tree.parent.name):
                self.compare(tree.parent)

    def repository(self):
        """The sample library, with two changes that both add the requirement Cap; b modifies one that there is not."""
        cwd = self.tree(ROOT / "bench/samples/library")
        requirement = "### Requirement: {}\n\nThe system SHALL {}.\n\n#### Scenario: S\n\n- **WHEN** x\n- **THEN** y\n\n"
        for name, delta in (("a", "## ADDED Requirements\n\n" + requirement.format("Cap", "cap fees at 15 euros")),
                            ("b", "## ADDED Requirements\n\n" + requirement.format("Cap", "cap fees at 20 euros") +
                             "## MODIFIED Requirements\n\n" + requirement.format("Nowhere", "do nothing"))):
            folder = cwd / "openspec/changes" / name
            (folder / "specs/fees").mkdir(parents=True)
            (folder / "proposal.md").write_text("## Why\n\n" + "Families pay too much. " * 5 + "\n\n## What Changes\n\n- x\n")
            (folder / "tasks.md").write_text("- [x] 1.1 a\n- [ ] 1.2 b\n")
            (folder / "specs/fees/spec.md").write_text(delta)
        return cwd

    def test_valid_is_not_yet_archivable(self):
        cwd = self.repository()
        code, out, _ = ours(cwd, "validate", "--all", "--strict")
        self.assertEqual(4, code, out)
        for said in ("change/b is valid, but cannot be archived", "--> openspec/changes/b/specs/fees/spec.md:14:1",
                     "   14 | ### Requirement: Nowhere", "^^^^^^", "fix: use the exact name"):
            self.assertIn(said, out)
        self.assertEqual(0, ours(cwd, "validate", "--all", "--strict", "--compat")[0])
        code, out, _ = ours(cwd, "validate", "b", "-o", "json")
        item = json.loads(out)["items"][0]
        self.assertEqual((4, True, False), (code, item["valid"], item["archivable"]))
        self.assertEqual(("changes/b/specs/fees/spec.md", 14), (item["refusals"][0]["file"], item["refusals"][0]["line"]))
        self.assertEqual(4, ours(cwd, "diff", "b")[0])
        (cwd / "openspec/changes/b/specs/fees/spec.md").write_text("## ADDED Requirements\n\n### Requirement: Cap\n\nNo word.\n")
        self.assertEqual(1, ours(cwd, "validate", "--changes")[0])

    def test_conflicts_name_both_places_and_are_no_verdict(self):
        cwd = self.repository()
        code, out, _ = ours(cwd, "conflicts")
        self.assertEqual(0, code)
        for place in ("openspec/changes/a/specs/fees/spec.md:3", "openspec/changes/b/specs/fees/spec.md:3"):
            self.assertIn(place, out)
        self.assertEqual(1, len(json.loads(ours(cwd, "conflicts", "b", "-o", "json")[1])["conflicts"]))

    def test_diff_and_merge_print_what_archiving_would_write(self):
        cwd = self.repository()
        spec = cwd / "openspec/specs/fees/spec.md"
        before = spec.read_text()
        code, diff, err = ours(cwd, "diff", "a")
        self.assertEqual(0, code, err)
        self.assertIn("unknown: the change has no fingerprints", err)
        code, merged, _ = ours(cwd, "merge", "--dry-run", "a", "-o", "json")
        after = json.loads(merged)["writes"][0]["after"]
        self.assertIn("cap fees at 15 euros", after)
        subprocess.run(["patch", "-p0"], cwd=cwd, check=True, input=diff, text=True, stdout=subprocess.DEVNULL)
        self.assertEqual(after, spec.read_text())
        spec.write_text(before)
        self.assertEqual(64, ours(cwd, "merge", "a")[0])

    def test_rebase_takes_up_what_the_spec_has_got_since(self):
        cwd = self.tree(ROOT / "bench/samples/library")
        spec = cwd / "openspec/specs/fees/spec.md"
        block = "### Requirement: Late fee\n" + spec.read_text().split("### Requirement: Late fee\n")[1].rstrip()
        folder = cwd / "openspec/changes/more"
        (folder / "specs/fees").mkdir(parents=True)
        (folder / "proposal.md").write_text("## Why\n\n" + "Fees are too low. " * 5 + "\n\n## What Changes\n\n- more\n")
        delta = folder / "specs/fees/spec.md"
        delta.write_text("<!-- mine -->\n## MODIFIED Requirements\n\n" + block.replace("0.30 euros", "0.50 euros") + "\n")
        self.assertIn("unknown", ours(cwd, "rebase", "more")[1])
        own = json.dumps({"base": {}, "text": {"fees": {"Late fee": block}}})
        (folder / ".openspec.yaml").write_text(f"schema: spec-driven\npawl: {own}\n")
        self.assertIn("has not moved", ours(cwd, "rebase", "more")[1])
        moved = block + "\n\n#### Scenario: New one\n\n- **WHEN** a new thing happens\n- **THEN** it is seen\n"
        spec.write_text(spec.read_text().replace(block, moved.rstrip()))
        code, out, err = ours(cwd, "rebase", "more", "--dry-run")
        self.assertEqual(0, code, out + err)
        self.assertIn("+#### Scenario: New one", out)
        self.assertNotIn("New one", delta.read_text())
        self.assertEqual(0, ours(cwd, "rebase", "more")[0])
        for kept in ("<!-- mine -->", "0.50 euros", "#### Scenario: New one"):
            self.assertIn(kept, delta.read_text())
        self.assertIn("has not moved", ours(cwd, "rebase", "more")[1])  # it was written down
        self.assertEqual(0, ours(cwd, "validate", "more", "--strict")[0])
        spec.write_text(spec.read_text().replace("0.30 euros", "0.40 euros"))
        before = contents(cwd)
        code, out, err = ours(cwd, "rebase", "more")
        self.assertEqual(1, code)
        for said in ("0.50 euros", "0.40 euros", "change:", "spec:", "--keep"):
            self.assertIn(said, out + err)
        self.assertEqual(before, contents(cwd))
        self.assertEqual(0, ours(cwd, "rebase", "more", "--keep", "theirs")[0])
        self.assertIn("0.40 euros", delta.read_text())
        spec.write_text(spec.read_text().replace("### Requirement: Late fee", "### Requirement: Other"))
        self.assertEqual(1, ours(cwd, "rebase", "more")[0])

    def test_archive_writes_the_specs_and_moves_the_change(self):
        cwd = self.repository()
        merged = json.loads(ours(cwd, "merge", "--dry-run", "a", "-o", "json")[1])["writes"][0]["after"]
        code, _, err = ours(cwd, "archive", "a")
        self.assertEqual(4, code)
        self.assertIn("1 of 2 tasks of 'a' are not done", err)
        before = contents(cwd)
        self.assertEqual(4, ours(cwd, "archive", "b", "--yes")[0])
        self.assertEqual(before, contents(cwd))
        code, out, err = ours(cwd, "archive", "a", "--yes")
        self.assertEqual(0, code, err)
        self.assertEqual(merged, (cwd / "openspec/specs/fees/spec.md").read_text())
        self.assertTrue((pathlib.Path(out.strip()) / "proposal.md").is_file())
        self.assertFalse((cwd / "openspec/changes/a").exists())
        self.assertEqual([], [name for name in contents(cwd) if "lock" in name or ".pawl" in name])
        self.assertEqual(1, ours(cwd, "archive", "a", "--yes")[0])

    def test_archive_without_specs(self):
        cwd = self.repository()
        specs = {name: text for name, text in contents(cwd).items() if name.startswith("openspec/specs/")}
        code, out, err = ours(cwd, "archive", "b", "--yes", "--skip-specs", "-o", "json")
        self.assertEqual(0, code, out + err)
        self.assertFalse(json.loads(out)["archive"]["specsUpdated"])
        self.assertEqual(specs, {name: text for name, text in contents(cwd).items() if name.startswith("openspec/specs/")})
        self.assertFalse((cwd / "openspec/changes/b").exists())

    def test_wrong_names(self):
        cwd = self.repository()
        code, out, err = ours(cwd, "show", "feess")
        self.assertEqual(1, code)
        self.assertIn("Did you mean: fees", err)
        self.assertEqual("unknown_item", json.loads(ours(cwd, "validate", "feess", "-o", "json")[1])["status"][0]["code"])
        self.assertEqual(64, ours(cwd, "validate")[0])
        code, _, err = ours(self.dir, "validate", "--all")
        self.assertEqual(66, code)
        self.assertIn("openspec", err)


if __name__ == "__main__":
    main()
