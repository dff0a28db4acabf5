#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the problems of bench/problems/ over the sample projects with a given model and writes what came out.

usage: bench/run_problems.py --url http://127.0.0.1:8080/v1 --model-name NAME [--only TEXT]… [--seeds N] [--no-findings]
                             [--sample] [--rounds N] [--parallel N] [--out NAME] [--bin DIR]

Each problem goes through a real `pawl up` of its own state directory: outcome, rounds, score of the first candidate and
of the delivered one, tokens, seconds, findings of the first and the delivered review. The delivered change is held
against the real openspec CLI (validate --strict, then archive, on a copy) when one is there (PAWL_NODE,
PAWL_NODE_MODULES, or `openspec` in PATH). Writes bench/results/NAME.md and NAME.jsonl; every line is one run, as it
ended. --sample runs the quickstart's problem instead; --no-findings is the ablation (generate is not told the findings).
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SAMPLES, PROBLEMS, RESULTS = ROOT / "bench/samples", ROOT / "bench/problems", ROOT / "bench/results"
WALL_S = 3600


class Pawl:
    """`pawl up` in a directory of its own."""

    def __init__(self, given):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pawl-bench-"))
        self.bin = given.bin
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PAWL_")}
        self.env |= {"PATH": f"{given.bin}:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(self.dir / "config"), "NO_COLOR": "1",
                     "OPENSPEC_TELEMETRY": "0"}
        tree = {"state_dir": str(self.dir / "state"), "model": {"url": given.url, "findings": not given.no_findings},
                "loop": {"rounds": given.rounds, "patience": given.rounds}}
        if given.model:
            tree["model"]["name"] = given.model
        self.conf = self.dir / "pawl.yaml"
        self.conf.write_text(json.dumps(tree))

    def run(self, *argv, check=True, timeout=WALL_S):
        done = subprocess.run([self.bin / "pawl", *map(str, argv), "--config", self.conf], capture_output=True, text=True,
                              env=self.env, cwd=self.dir, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"pawl {' '.join(map(str, argv))}: exit code {done.returncode}\n{done.stderr}")
        return done

    def json(self, *argv):
        return json.loads(self.run(*argv, "-o", "json").stdout)

    def doc(self, job, name, round_):
        done = self.run("get", job, "--doc", name, "--round", round_, "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def __enter__(self):
        self.run("up", "--detach")
        return self

    def __exit__(self, *_):
        self.run("down", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def openspec_command():
    modules, node = os.environ.get("PAWL_NODE_MODULES"), os.environ.get("PAWL_NODE")
    if modules and node:
        return [node, str(pathlib.Path(modules) / "@fission-ai/openspec/bin/openspec.js")]
    return ["openspec"] if shutil.which("openspec") else None


def openspec_says(pawl, job, project):
    """"valid, archived", what was wrong, or "not checked"."""
    command = openspec_command()
    if not command:
        return "not checked"
    copy = pathlib.Path(tempfile.mkdtemp(prefix="copy-", dir=pawl.dir)) / "project"
    shutil.copytree(project, copy)
    applied = pawl.run("apply", job, "-C", copy, check=False)
    if applied.returncode != 0:
        return "not applied"
    name = next(p.name for p in (copy / "openspec/changes").iterdir() if p.name != "archive")
    for words in (["validate", name, "--type", "change", "--strict"], ["archive", name, "--yes"], ["validate", "--all", "--strict"]):
        done = subprocess.run([*command, *words], cwd=copy, capture_output=True, text=True, env=pawl.env, timeout=120,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            return f"{words[0]} failed: {(done.stdout + done.stderr).strip()[-300:]}"
    return "valid, archived"


def score(verdict):
    return {k: verdict[k] for k in ("gates", "measures", "judge")} if verdict else None


def coverage(review):
    return next((round(m["value"], 3) for m in review.get("measures", []) if m["code"] == "coverage"), None)


def codes(review):
    counts = {}
    for finding in review.get("findings", []):
        counts[finding["code"]] = counts.get(finding["code"], 0) + 1
    return counts


def run_one(pawl, problem, sample, seed):
    """One job, from its submission to its end, as a record."""
    project = SAMPLES / sample
    began = time.monotonic()
    # The job's id makes the seed, and the key makes the id: another key is another seed.
    job = pawl.run("submit", problem, "-C", project, "--key", f"{problem.name}-{seed}", "-o", "id").stdout.strip()
    pawl.run("watch", job, "-q", check=False)
    seconds = time.monotonic() - began
    shown = pawl.json("show", job)
    shown = shown.get("job", shown)
    ledger, best = shown.get("ledger", []), shown.get("best")
    judged = [e for e in ledger if e.get("verdict")]
    first = pawl.doc(job, "review", judged[0]["round"]) if judged else {}
    last = pawl.doc(job, "review", best["round"]) if best else {}
    draft = pawl.doc(job, "draft", best["round"]) if best else {}
    title = f"{sample}, sample problem" if problem.name == "problem.md" else f"{sample}/{problem.stem}"
    return {"problem": title, "seed": seed, "state": shown["state"],
            "reason": shown.get("reason", ""), "rounds": len(ledger), "best_round": best["round"] if best else None,
            "first": score(judged[0]["verdict"]) if judged else None, "delivered": score(best["verdict"]) if best else None,
            "first_coverage": coverage(first), "delivered_coverage": coverage(last), "requirements": len(draft.get("requirements", [])),
            "tokens_in": shown["tokens_in"], "tokens_out": shown["tokens_out"], "seconds": round(seconds, 1),
            "first_findings": codes(first), "delivered_findings": codes(last), "openspec": openspec_says(pawl, job, project) if best else "nothing delivered"}


def chosen(given):
    if given.sample:
        return [(SAMPLES / "library/problem.md", "library")]
    found = [(p, p.parent.name) for p in sorted(PROBLEMS.glob("*/*.md"))]
    return [(p, s) for p, s in found if not given.only or any(text in f"{s}/{p.name}" for text in given.only)]


def told(verdict):
    if not verdict:
        return "-"
    judge = "-" if verdict["judge"] < 0 else f"{verdict['judge'] / 1000:.2f}"
    return f"{'' if verdict['gates'] else 'gates fail, '}{verdict['measures'] / 1000:.2f} / {judge}"


def finding_text(counts):
    return ", ".join(f"{code} {n}" for code, n in sorted(counts.items(), key=lambda kv: -kv[1])[:4]) or "none"


def median(records, key):
    values = [r[key]["measures"] / 1000 for r in records if r[key]]
    return f"{statistics.median(values):.2f}" if values else "-"


def cpu():
    try:
        found = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return f"{os.cpu_count()} x {found.group(1)}" if found else f"{os.cpu_count()} {platform.machine()}"


def table(given, records):
    states = {}
    for r in records:
        states[r["state"]] = states.get(r["state"], 0) + 1
    valid = sum(r["openspec"] == "valid, archived" for r in records)
    delivered = sum(r["delivered"] is not None for r in records)
    lines = [f"# {given.title}", "",
             f"{datetime.date.today()}, {cpu()}. Model {given.model_name}, at most {given.rounds} rounds"
             + (", generate not told the findings (ablation)." if given.no_findings else "."), "",
             f"{len(records)} runs: {', '.join(f'{n} {s}' for s, n in sorted(states.items()))}. Delivered {delivered}, of those"
             f" {valid} valid under `openspec validate --strict` and archived. Median measures: first {median(records, 'first')},"
             f" delivered {median(records, 'delivered')}.", "",
             "Scores are measures / judge. The delivered candidate's score is that of its own review.", "",
             "| problem | seed | outcome | rounds | first | delivered | requirements | tokens in + out | s | findings first | findings delivered | openspec |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for r in records:
        lines.append(f"| {r['problem']} | {r['seed']} | {r['state']} | {r['rounds']} | {told(r['first'])} | {told(r['delivered'])} | {r['requirements']}"
                     f" | {r['tokens_in']} + {r['tokens_out']} | {r['seconds']:.0f} | {finding_text(r['first_findings'])}"
                     f" | {finding_text(r['delivered_findings'])} | {r['openspec']} |")
    return "\n".join(lines) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="base URL of an OpenAI-compatible server")
    parser.add_argument("--model", help="the model's id there; default: the first that is listed")
    parser.add_argument("--model-name", required=True, help="for the title")
    parser.add_argument("--only", action="append", help="problems whose path holds this text")
    parser.add_argument("--sample", action="store_true", help="the sample problem of the quickstart")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--parallel", type=int, default=1, help="jobs at once; seconds are honest with 1 only")
    parser.add_argument("--no-findings", action="store_true")
    parser.add_argument("--out", help="name of the files below bench/results/")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/install/bin", help="where pawl is installed")
    given = parser.parse_args()
    given.title = ("The sample problem" if given.sample else "The ten problems") + f", {given.model_name}" + (" without findings" if given.no_findings else "")
    if not given.out:
        given.out = re.sub(r"[^a-z0-9.]+", "-", given.title.lower()).strip("-")
    if not (given.bin / "pawl").exists():
        parser.error(f"{given.bin}: no pawl there; deploy/quickstart.sh builds it, or give --bin")
    return given


def main():
    given = arguments()
    RESULTS.mkdir(exist_ok=True)
    work = [(p, s, seed) for p, s in chosen(given) for seed in range(1, given.seeds + 1)]
    if not work:
        print("run_problems: no problem matches --only", file=sys.stderr)
        return 66
    records = []
    with Pawl(given) as pawl, open(RESULTS / f"{given.out}.jsonl", "w", encoding="utf-8") as out:
        with concurrent.futures.ThreadPoolExecutor(given.parallel) as pool:
            for record in pool.map(lambda w: run_one(pawl, *w), work):
                records.append(record)
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
                out.flush()
                print(f"{record['problem']} seed {record['seed']}: {record['state']}, {record['rounds']} rounds,"
                      f" {told(record['first'])} -> {told(record['delivered'])}, {record['seconds']:.0f} s, {record['openspec']}", flush=True)
    (RESULTS / f"{given.out}.md").write_text(table(given, records), encoding="utf-8")
    print(f"written: bench/results/{given.out}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
