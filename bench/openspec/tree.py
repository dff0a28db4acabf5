#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes an OpenSpec repository of realistic files, the same for the same numbers: tree.py DIR [SPECS] [CHANGES]

A spec has 3 to 9 requirements of one to three scenarios, a change a proposal, tasks, .openspec.yaml and one or two delta specs."""
import pathlib
import random
import sys

WORDS = ("account archive batch branch cache change client cluster counter customer delay device email entry error event export fee "
         "field file filter group hold index invoice item job key label ledger limit list log mail member message month node notice "
         "order owner page payment period plan policy price project queue quota reader receipt record refund region report request "
         "reservation result retry role rule sample scan schedule score sensor service session shelf signal site slot stage station "
         "status step store stream summary tag task team tenant term ticket token topic trace transfer user value version window").split()


def sentence(chance, least=8, most=22):
    return " ".join(chance.choice(WORDS) for _ in range(chance.randint(least, most)))


def requirement(chance, name):
    lines = [f"### Requirement: {name}", f"The system SHALL {sentence(chance)} within {chance.randint(1, 90)} minutes.", ""]
    for k in range(chance.randint(1, 3)):
        lines += [f"#### Scenario: {sentence(chance, 2, 5)} {k}", f"- **GIVEN** {sentence(chance, 4, 10)}", f"- **WHEN** {sentence(chance, 4, 12)}",
                  f"- **THEN** {sentence(chance, 4, 12)}", ""]
    return "\n".join(lines) + "\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main():
    root = pathlib.Path(sys.argv[1]) / "openspec"
    specs, changes = (int(a) for a in (sys.argv[2:4] + ["1000", "1000"][len(sys.argv) - 2:]))
    chance = random.Random(7)
    names = {}
    write(root / "config.yaml", "schema: spec-driven\n")
    for i in range(specs):
        names[i] = [f"{sentence(chance, 2, 4).title()} {k}" for k in range(chance.randint(3, 9))]
        write(root / f"specs/cap-{i:05}/spec.md", f"# cap-{i:05} Specification\n\n## Purpose\n{sentence(chance, 14, 30).capitalize()}.\n\n## Requirements\n\n"
              + "\n".join(requirement(chance, name) for name in names[i]))
    for i in range(changes):
        folder = root / f"changes/change-{i:05}"
        write(folder / ".openspec.yaml", "schema: spec-driven\ncreated: 2026-01-15\n")
        write(folder / "proposal.md", f"## Why\n\n{sentence(chance, 20, 60).capitalize()}.\n\n## What Changes\n\n"
              + "".join(f"- {sentence(chance)}\n" for _ in range(3)) + f"\n## Impact\n\n- {sentence(chance)}\n")
        write(folder / "tasks.md", "## 1. Build\n\n" + "".join(f"- [{chance.choice(' x')}] 1.{k} {sentence(chance, 5, 12)}\n" for k in range(1, 7)))
        for k in range(chance.randint(1, 2)):
            spec = (i + k * 13) % specs
            delta = "## ADDED Requirements\n\n" + requirement(chance, f"New {i} {k}")
            if chance.random() < 0.6:
                whole = (root / f"specs/cap-{spec:05}/spec.md").read_text(encoding="utf-8")
                name = chance.choice(names[spec])
                block = whole[whole.index(f"### Requirement: {name}\n"):].split("\n### Requirement:")[0]
                delta += "\n## MODIFIED Requirements\n\n" + block.replace(" minutes.", " seconds.", 1) + "\n"
            write(folder / f"specs/cap-{spec:05}/spec.md", delta)


main()
