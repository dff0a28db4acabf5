# SPDX-License-Identifier: Apache-2.0
"""docs/chaos.md, from what runs of chaos.py have saved."""
import collections
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

HEAD = """# Chaos: what was tried, and what came of it

Written by `tests/chaos/chaos.py --report`; the figures are those of the runs that it was given. What is run:
[guarantees.md](guarantees.md), "How this is held to".

* {date}; {cpus} processors ({machine}), Linux {linux}; pawl {pawl}; Redis {redis} with `appendfsync always`; CURVE on.
* `tests/chaos/chaos.py --seconds {seconds} --seed S`: seven hosts in network namespaces: clients, Redis, two brokers of which one
  stands by, and three with one worker of each stage.
* The models are simulated: this is about what is kept, not about how good a change is.
* Not tried: {missing}.

| seed | seconds | faults | jobs intended | acknowledged | lost | duplicated | unexpected | recovered | results | all ended after |
|---|---|---|---|---|---|---|---|---|---|---|
"""

WORDS = """
Of {jobs} jobs {accepted} were accepted, {exhausted} exhausted, {cancelled} cancelled and {failed} failed (a task that outlived three
workers is set aside, as promised). {cancels} cancels and {comments} comments were acknowledged; {seen} ends had been shown to a client
and were the same at the end. Processes were started again {starts} times, toxiproxy among them
{proxies} times because it hung; {killed} clients were killed while they submitted.

**Lost**: acknowledged, and not there (a job, a cancel, a comment). **Duplicated**: two jobs of one key, two results of one task, a
finished call recorded twice, a round or a comment twice. **Unexpected**: there, and nobody said it. **Recovered**: said, not
acknowledged, left alone, and there: allowed. **All ended after**: from the end of the last fault until each job had ended.

| fault | times | next acknowledged submission after its end: median | longest |
|---|---|---|---|
"""

TAIL = """
Faults overlap, so the time after one contains what the others still do, and the up to six seconds after which a client gives up and
says it again.

`kill`: SIGKILL, started again later. `stop`: SIGSTOP, later SIGCONT. `link`: the host's veth is down. `disk-full`: the disk of Redis
takes no byte more. `client-kill`: `CLIENT KILL` in Redis. By toxiproxy, between a broker and Redis (`…-to-redis`), one of the
worker hosts (`w3`) or the clients (`client`) and the brokers: `delay` (0.05 to 0.55 s), `throttle` (24 kB/s), `half-open` (one direction is silent,
nothing is closed), `reset`, `cut` (closed after 3 kB, in the middle of a message).
"""


def said(*argv):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False).stdout.strip()


def write(path, results, prefix):
    sums, faults, recovered = collections.Counter(), collections.Counter(), collections.defaultdict(list)
    for result in results:
        sums.update(result["counts"])
        faults.update(result["faults"])
        for kind, values in result["recovery_s"].items():
            recovered[kind] += values
    redis = re.search(r"v=(\S+)", said("redis-server", "--version"))
    version = re.search(r"\d\S*", said(prefix / "bin/pawl", "version"))
    lines = [HEAD.format(date=time.strftime("%Y-%m-%d", time.gmtime()), cpus=os.cpu_count(), machine=platform.machine(),
                         linux=platform.release(), pawl=version.group(0) if version else "?", redis=redis.group(1) if redis else "?",
                         seconds=results[0]["seconds"], missing="; ".join(results[0]["missing"]) or "nothing, each fault was possible here")]
    for r in results:
        c = r["counts"]
        cells = [r["seed"], r["seconds"], sum(r["faults"].values()), c["intended"], c["acknowledged"], r["lost"], r["duplicated"],
                 r["unexpected"], r["recovered"], c["results"], f"{r['settled_s']} s"]
        lines.append(f"| {' | '.join(map(str, cells))} |\n")
    lines.append(WORDS.format(**{name: sums[name] for name in ("jobs", "accepted", "exhausted", "cancelled", "failed", "cancels", "comments")},
                              seen=sums["seen ended"], starts=sum(r["starts"] for r in results),
                              proxies=sum(r.get("proxy_restarts", 0) for r in results),
                              killed=sum(r["load"]["killed"] for r in results)))
    for kind, times in sorted(faults.items()):
        values = recovered.get(kind)
        lines.append(f"| {kind} | {times} | " + (f"{statistics.median(values):.2f} s | {max(values):.1f} s |\n" if values else "- | - |\n"))
    lines.append(TAIL)
    pathlib.Path(path).write_text("".join(lines))
