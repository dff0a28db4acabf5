#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`pawl spec validate --all --strict -o json` beside its limit, a bare walk that reads the same files: run.py BUILD PREFIX [RUNS]

On trees of 125 to 2,000 items, halves specs and halves changes, made by tree.py; in turns, medians. Prints Markdown."""
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import os

BUILD, PREFIX = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
RUNS = int(sys.argv[3]) if len(sys.argv) > 3 else 11
HERE = pathlib.Path(__file__).resolve().parent


def timed(argv):
    began = time.perf_counter()
    child = subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL)
    _, _, use = os.wait4(child.pid, 0)
    return (time.perf_counter() - began) * 1000, (use.ru_utime + use.ru_stime) * 1000


def peak_mb(argv):
    """A child counts its parent's memory until it is another program: so a small parent, not this one."""
    small = ("import os, sys; out = [(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)]; "
             "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=out); print(os.wait4(pid, 0)[2].ru_maxrss)")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", small, *map(str, argv)], stdout=subprocess.PIPE, check=True)
    return int(done.stdout) * 1024 / 1e6


def instructions(argv):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *map(str, argv)], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        return int(next(line.split()[1] for line in out.read_text().splitlines() if line.startswith(("summary:", "totals:"))))


print("| specs + changes | files | bare walk, ms | validate, ms | ratio | with the archive's verdict, ms | ratio "
      "| CPU, ms | peak RSS, MB | instructions, millions |")
print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
for half in (62, 125, 250, 500, 1000):
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as folder:
        subprocess.run([sys.executable, str(HERE / "tree.py"), folder, str(half), str(half)], check=True)
        files = sum(1 for p in pathlib.Path(folder).rglob("*") if p.is_file())
        ours = [PREFIX / "bin/pawl", "spec", "validate", "--all", "--strict", "-o", "json", "-C", folder]
        walks, plain, whole = [], [], []
        for _ in range(RUNS):
            walks.append(timed([BUILD / "bin/bench-walk", pathlib.Path(folder) / "openspec"]))
            plain.append(timed([*ours, "--compat"]))
            whole.append(timed(ours))
        ratio = [statistics.median(b[0] / a[0] for a, b in zip(walks, rows)) for rows in (plain, whole)]
        wall = [statistics.median(r[0] for r in rows) for rows in (walks, plain, whole)]
        print(f"| {half} + {half} | {files} | {wall[0]:.1f} | {wall[1]:.1f} | {ratio[0]:.2f} | {wall[2]:.1f} | {ratio[1]:.2f} | "
              f"{statistics.median(r[1] for r in whole):.1f} | "
              f"{max(peak_mb(ours) for _ in range(3)):.1f} | {instructions(ours) / 1e6:.0f} |", flush=True)
