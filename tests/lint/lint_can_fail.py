#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks each rule of lint.py in a tree of its own and sees that it is found, and that a good tree passes."""
import pathlib
import subprocess
import sys
import tempfile

LINT = pathlib.Path(__file__).with_name("lint.py")
GOOD = "/* SPDX-License-Identifier: Apache-2.0 */\n"
LONG = GOOD + "int f(void)\n{\n" + "    ;\n" * 70 + "    return 0;\n}\n"
TREE = {"broker/CMakeLists.txt": "add_library(broker_core STATIC core.c)\n", "broker/core.c": GOOD, "common/a.h": GOOD}

BROKEN = {
    "layers": [("common/a.c", GOOD + '#include "broker/core.h"\n'),
               ("workers/w.c", GOOD + '#include "broker/core.h"\n'),
               ("broker/core.c", GOOD + "#include <stdio.h>\n"),
               ("broker/core.c", GOOD + '#include "common/peer.h"\n')],
    "banned": [("common/a.c", GOOD + "void f(char *a) { strcpy(a, a); }\n")],
    "length": [("common/a.c", LONG)],
    "headers": [("common/a.h", GOOD + "size_t f(void);\n")],
    "texts": [("common/a.c", "int a;\n"), ("docs/a.md", "see /root/notes\n")],
}


def run(rule, files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in (TREE | files).items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        result = subprocess.run([sys.executable, LINT, rule, "--root", root], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr


def main():
    bad = 0
    for rule, cases in BROKEN.items():
        for files, expected in [({}, 0)] + [({name: text}, 1) for name, text in cases]:
            code, text = run(rule, files)
            if code != expected:
                bad += 1
                print(f"{rule}, {list(files)}: exit code {code} instead of {expected}\n{text}")
    return 1 if bad else 0


sys.exit(main())
