#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory of idle workers, use of model slots, and pawl's own CPU for each job and token.

    bench/measure.py BUILD PREFIX [--jobs 50] [--slots 8]

BUILD has bin/llm-sim (a simulated model server) and bin/bench-bare, PREFIX is where pawl is installed. Prints one
JSON object; nothing is asserted: the machines are shared, read the ratios.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
import unittest

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("build", type=pathlib.Path)
arguments.add_argument("prefix", type=pathlib.Path)
arguments.add_argument("--jobs", type=int, default=50)
arguments.add_argument("--slots", type=int, default=8)
given = arguments.parse_args()
os.environ |= {"PAWL_BUILD": str(given.build.resolve()), "PAWL_PREFIX": str(given.prefix.resolve())}
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/e2e"))
from rig import Rig, STAGES  # noqa: E402  it reads the environment

TICK = os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    """Resident, and private anonymous: what this process has for itself alone."""
    fields = dict(line.split(":") for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kib = {name: int(value.split()[0]) for name, value in fields.items() if "kB" in value}
    return {"rss": kib["Rss"], "anonymous": kib["Anonymous"]}


def cpu_s(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / TICK


def bare_kib():
    with subprocess.Popen([str(given.build / "bin/bench-bare")], stdout=subprocess.PIPE, text=True) as bare:
        bare.stdout.readline()
        found = memory_kib(bare.pid)
        bare.kill()
    return found


def rig_new(*sim):
    test = unittest.TestCase()
    rig = Rig(test, **{"review.judge": False, "loop.rounds": 2, "log.level": "info"})
    return test, rig, rig.all("--seed", "7", "--slots", str(given.slots), *sim)


def idle():
    test, rig, workers = rig_new()
    found = {stage: memory_kib(workers[stage].pid) for stage in STAGES}
    found["broker"] = memory_kib(rig.the_broker.pid)
    test.doCleanups()
    return found


def batch():
    test, rig, workers = rig_new("--ttft-ms", "20", "--tokens-per-s", "200")
    project = rig.project()
    problems = rig.dir / "problems"
    problems.mkdir()
    for i in range(given.jobs):
        (problems / f"{i:03}.md").write_text((project / "problem.md").read_text() + f"\nThis is case {i}.\n")
    processes = {**{stage: workers[stage].pid for stage in STAGES}, "broker": rig.the_broker.pid}
    before = {name: cpu_s(pid) for name, pid in processes.items()}
    rig.pawl("submit", problems, "-C", project, "-o", "id")
    start, shares, last, turn = time.monotonic(), [], None, 0
    while True:
        if turn % 5 == 0:  # asking costs the broker something, too
            counts = rig.pawl("ps", "--state", "open", "--limit", "1000", "-o", "json").json["items"]
        turn += 1
        stats = rig.sim_stats(rig.llm)
        if last and len(counts) >= 2 * given.slots and stats["now_ms"] > last["now_ms"]:
            shares.append((stats["slot_ms"] - last["slot_ms"]) / (stats["now_ms"] - last["now_ms"]) / given.slots)
        last = stats
        if not counts:
            break
        time.sleep(0.2)
    seconds = time.monotonic() - start
    cpu = {name: round(cpu_s(pid) - before[name], 3) for name, pid in processes.items()}
    states = {}
    jobs = rig.jobs()
    for job in jobs:
        states[job["state"]] = states.get(job["state"], 0) + 1
    rounds = sum(job["round"] for job in jobs) / len(jobs)
    tokens = last["tokens"]
    test.doCleanups()
    return {"jobs": given.jobs, "states": states, "rounds": round(rounds, 2), "seconds": round(seconds, 1), "tokens": tokens,
            "slots_busy_mean": round(statistics.fmean(shares), 3) if shares else None,
            "slots_busy_median": round(statistics.median(shares), 3) if shares else None,
            "cpu_s": cpu, "cpu_ms_per_job_without_generate": round((sum(cpu.values()) - cpu["generate"]) * 1000 / given.jobs, 2),
            "generate_cpu_us_per_token": round(cpu["generate"] * 1e6 / tokens, 2) if tokens else None}


result = {"machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}", "date": time.strftime("%Y-%m-%d"),
          "model server": "llm-sim, a simulation", "bare_kib": bare_kib(), "idle_kib": idle(), "batch": batch()}
json.dump(result, sys.stdout, indent=1)
print()
