#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the code that a compiler does not know. One rule by name, or all of them.

usage: lint.py RULE… [--root DIR] [--cc COMPILER]

  layers   common knows nobody; workers and clients know common, never the broker; the broker's pure half does not
           reach for sockets, store, clock or standard streams
  banned   calls that cannot be used safely, or hide the clock
  length   functions of at most 70 lines, files of at most 800 (generated tables aside), lines of at most 140
  headers  every header compiles alone
  texts    no absolute path of somebody's machine, no conflict marks, every source names its licence
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

FUNCTION_LINES_MAX, FILE_LINES_MAX, LINE_MAX = 70, 800, 140
AREAS = ("common", "broker", "workers", "clients", "bench", "schemas", "tests")

# What a layer may include of the others, by the first part of the path.
MAY_INCLUDE = {
    "schemas": {"schemas", "common"},
    "common": {"common", "schemas"},
    "broker": {"broker", "common", "schemas"},
    "workers": {"workers", "common", "schemas"},
    "clients": {"clients", "common", "schemas"},
}
WORLD = re.compile(r"<(zmq|hiredis|curl|time|sys/|unistd|stdio|poll|pthread)|common/(mux|peer|http)\.h")
BANNED = re.compile(r"(?<![\w.>])(sprintf|vsprintf|strcpy|strcat|strtok|strtok_r|atoi|atol|atoll|atof|gets|localtime|gmtime|"
                    r"asctime|ctime|rand|srand|alloca|popen|usleep|sleep)\s*\(")
SOMEBODYS = re.compile(r"(?<![\w.$}])/(root|home/[a-z]\w*|tmp/setup|work)/")
MARKS = re.compile(r"^(<<<<<<<|=======|>>>>>>>)( |$)")


class Lint:
    def __init__(self, root, cc):
        self.root, self.cc, self.found = pathlib.Path(root).resolve(), cc, []

    def files(self, *suffixes, areas=AREAS):
        for area in areas:
            for path in sorted((self.root / area).rglob("*")):
                if path.suffix in suffixes and path.is_file() and "node_modules" not in path.parts:
                    yield path, path.relative_to(self.root).as_posix()

    def say(self, name, line, text):
        self.found.append(f"{name}:{line}: {text}")

    def pure_files(self):
        """Sources of the library broker_core and the headers that they include from broker/."""
        listed = re.search(r"add_library\(broker_core STATIC([^)]*)\)", (self.root / "broker/CMakeLists.txt").read_text())
        todo = ["broker/" + name for name in listed.group(1).split()]
        seen = set()
        while todo:
            name = todo.pop()
            if name in seen or not (self.root / name).exists():
                continue
            seen.add(name)
            todo += re.findall(r'#include "(broker/[\w/]+\.h)"', (self.root / name).read_text())
        return seen

    def layers(self):
        pure_files = self.pure_files()
        include = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
        for path, name in self.files(".c", ".h", ".inc", areas=tuple(MAY_INCLUDE)):
            area = name.split("/")[0]
            for n, line in enumerate(path.read_text().splitlines(), 1):
                found = include.match(line)
                if not found:
                    continue
                kind, what = found.groups()
                first = what.split("/")[0]
                if kind == '"' and first in AREAS and first not in MAY_INCLUDE[area]:
                    self.say(name, n, f"layers: {area} may not include {what}")
                if name in pure_files and WORLD.search(("<" if kind == "<" else "") + what):
                    self.say(name, n, f"layers: the broker's pure half may not include {what}")

    def banned(self):
        for path, name in self.files(".c", ".h"):
            for n, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
                if found := BANNED.search(line):
                    self.say(name, n, f"banned: {found.group(1)}()")

    def length(self):
        for path, name in self.files(".c", ".h", areas=("common", "broker", "workers", "clients", "bench")):
            text = path.read_text()
            lines = text.splitlines()
            if len(lines) > FILE_LINES_MAX:
                self.say(name, 1, f"length: {len(lines)} lines, more than {FILE_LINES_MAX}")
            for n, line in enumerate(lines, 1):
                if len(line) > LINE_MAX:
                    self.say(name, n, f"length: {len(line)} columns, more than {LINE_MAX}")
            for start, count, function in functions(without_comments(text)):
                if count > FUNCTION_LINES_MAX:
                    self.say(name, start, f"length: {function}() has {count} lines, more than {FUNCTION_LINES_MAX}")

    def headers(self):
        packages = "libzmq hiredis libcurl jansson yaml-0.1 libzstd libsodium cmocka"
        flags = subprocess.run(["pkg-config", "--cflags", *packages.split()], capture_output=True, text=True,
                               check=True).stdout.split()
        command = [self.cc, "-std=c17", "-fsyntax-only", "-x", "c", "-D_GNU_SOURCE", '-DPAWL_VERSION="0"', "-Wall",
                   "-Wextra", "-Werror", "-Wno-pragma-once-outside-header", "-I", str(self.root), *flags]

        def check(entry):
            path, name = entry
            result = subprocess.run([*command, "-"], input=f'#include "{name}"\nint alone;\n', capture_output=True,
                                    text=True, check=False)
            return name, result.returncode, result.stderr

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, code, text in pool.map(check, self.files(".h")):
                if code != 0:
                    self.say(name, 1, "headers: does not compile alone:\n" + text)

    def texts(self):
        suffixes = (".c", ".h", ".def", ".py", ".sh", ".lua", ".md", ".txt", ".cmake", ".yaml", ".json")
        for path, name in self.files(*suffixes, areas=AREAS + ("deploy", "docs")):
            text = path.read_text(errors="replace")
            for n, line in enumerate(text.splitlines(), 1):
                if found := SOMEBODYS.search(line):
                    if not name.startswith(("tests/", "bench/problems")):
                        self.say(name, n, f"texts: a path of somebody's machine: {found.group(0)}")
                if MARKS.match(line) and path.suffix != ".md":
                    self.say(name, n, "texts: a conflict mark")
            if path.suffix in (".c", ".h") and "SPDX-License-Identifier" not in text[:400]:
                self.say(name, 1, "texts: no SPDX line")


def without_comments(text):
    """Comments and the insides of strings become blanks; lines stay where they are."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def functions(text):
    """(line of the name, number of lines, name) of each function: its brace stands alone in column 1."""
    lines = text.splitlines()
    opened = None
    for n, line in enumerate(lines):
        if line.rstrip() == "{" and n > 0 and opened is None:
            head = n - 1
            while head > 0 and lines[head].startswith((" ", "\t")):
                head -= 1
            opened = head
        elif line.startswith("}") and opened is not None:
            name = re.search(r"(\w+)\s*\(", lines[opened])
            yield opened + 1, n - opened + 1, name.group(1) if name else "?"
            opened = None


RULES = ("layers", "banned", "length", "headers", "texts")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", metavar="RULE", help=f"of {', '.join(RULES)}; default: all")
    parser.add_argument("--root", default=pathlib.Path(__file__).parents[2])
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    given = parser.parse_args()
    lint = Lint(given.root, given.cc)
    for rule in given.rules or RULES:
        if rule not in RULES:
            parser.error(f"{rule}: no such rule")
        getattr(lint, rule)()
    for line in lint.found:
        print(line)
    return 1 if lint.found else 0


if __name__ == "__main__":
    sys.exit(main())
