#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real processes on several hosts, real Redis, and everything that can happen to them while clients submit.

  chaos.py [--seconds N] [--seed S]… [--save FOLDER] [--keep]
  chaos.py --report FILE FOLDER

Two brokers, one of which stands by, Redis, three hosts with one worker of each stage, and a host of clients: network namespaces in
one bridge, CURVE keys throughout. The third worker host and the clients reach the brokers, and those reach Redis, through toxiproxy. The seed
decides which faults come when, and is printed with the schedule: the same seed gives the same schedule. After --seconds all is
healed, all jobs must come to their end, and checker.py holds the clients' logs against what is there.

--seconds 120 by default; several --seed run one after the other. --save writes what came out of each seed into a folder, and
--report makes docs/chaos.md of such a folder.
Exit code 0: no promise was broken. Faults for which the privilege or the program is missing are named as NOT TRIED.
--plan prints the schedule and does nothing. --only REGEX takes faults of those names alone.
"""
import argparse
import collections
import functools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import hosts
import report
import toxi

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(os.environ.get("PAWL_ROOT", HERE.parents[1]))
PREFIX = pathlib.Path(os.environ.get("PAWL_PREFIX", ROOT / "build/tests/e2e-prefix"))
BUILD = pathlib.Path(os.environ.get("PAWL_BUILD", ROOT / "build/tests"))
STAGES = ("parse", "analyze", "generate", "review")
WORKER_HOSTS = ("w1", "w2", "w3")
BROKERS = ("broker", "standby")
PROXIED = ("w3", "client")  # who reaches both brokers through toxiproxy; each of the brokers reaches Redis so, by a proxy of its own
CRASH = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:|Assertion .* failed|SUMMARY: ")
HEALED_MOST_S = 240  # until all jobs have ended


# ---- the schedule


def kinds(net, proxy):
    """[(name, targets, weight)] of what can be done here."""
    workers = [f"{stage}@{host}" for host in WORKER_HOSTS for stage in STAGES]
    known = [("kill", list(BROKERS), 4), ("kill", workers, 4), ("kill", ["redis"], 2),
             ("stop", list(BROKERS), 3), ("stop", workers, 3), ("stop", ["redis"], 2), ("client-kill", ["redis"], 2)]
    if net:
        known += [("link", list(WORKER_HOSTS), 3), ("link", ["store", "client"], 2), ("link", list(BROKERS), 2), ("disk-full", ["redis"], 2)]
    if proxy:
        known += [(kind, [*PROXIED, *(f"{b}-to-redis" for b in BROKERS)], 1.5) for kind in toxi.TOXICS]
    return known


def schedule(seed, seconds, net, proxy, only=""):
    """[(begin, end, kind, target)], seconds from the start; what has the same target never overlaps."""
    rnd = random.Random(f"chaos {seed}")
    known = [k for k in kinds(net, proxy) if re.search(only, f"{k[0]} {' '.join(k[1])}")]
    plan, busy, at = [], {}, 2.0
    first = rnd.sample(known, len(known))  # each once, in the seed's order, then by weight
    while at < seconds - 2:
        kind, targets, _ = first.pop() if first else rnd.choices(known, [k[2] for k in known])[0]
        target = rnd.choice(targets)
        long = rnd.random() < 0.25
        lasts = rnd.uniform(6, 18) if long else rnd.uniform(0.1, 3)
        lasts = 0 if kind == "client-kill" else min(lasts, seconds - at)
        if at >= busy.get((kind, target), 0) and not (target == "redis" and at < busy.get("redis", 0)):
            plan.append((round(at, 2), round(at + lasts, 2), kind, target))
            busy[kind, target] = at + lasts + 1
            if target == "redis":
                busy["redis"] = at + lasts + 1
        at += rnd.expovariate(1 / 1.6)
    return plan


# ---- processes


class Process:
    """A program that is started again whenever it ends, as a supervisor of the system does."""

    def __init__(self, world, name, host, argv, env=None):
        self.world, self.name, self.host, self.argv, self.env = world, name, host, argv, env
        self.wanted, self.stopped, self.child, self.began, self.starts = True, False, None, 0, 0
        self.lock = threading.Lock()
        self.log = world.dir / "log" / f"{name}.log"

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen([*self.world.net.command(self.host), *map(str, self.argv)], stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=out, env={**self.world.env, **(self.env or {})}, cwd=self.world.dir,
                                          start_new_session=True)
        self.began, self.starts = time.monotonic(), self.starts + 1

    def look(self):
        """Called all the time: notes how it ended, starts it again."""
        with self.lock:
            if self.child and self.child.poll() is not None:
                code = self.child.returncode
                if code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE, 99, 70):
                    self.world.crashes.append(f"{self.name} ended with {code}, see {self.log}")
                self.child = None
            if self.wanted and not self.child and time.monotonic() > self.began + 0.3:
                self.start()

    def kill(self):
        with self.lock:
            self.wanted = False
            self.signal(signal.SIGKILL)

    def signal(self, number):
        if self.child and self.child.poll() is None:
            os.kill(self.child.pid, number)

    def end(self, seconds):
        """SIGTERM, and the exit code; None: it did not end."""
        with self.lock:
            self.wanted = False
            if not self.child:
                return 0
            self.signal(signal.SIGTERM)
            try:
                return self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                return None

    def destroy(self):
        self.wanted = False
        if self.child and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, what, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s still not: {what}")
        time.sleep(0.05)


class World:
    def __init__(self, seed, net, disk, proxy_program):
        self.seed, self.net, self.proxy_program = seed, net, proxy_program
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pawl-chaos-"))
        self.processes, self.crashes, self.proxies = {}, [], {}
        self.over = threading.Event()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PAWL_", "XDG_")) and not k.lower().endswith("_proxy")}
        self.env |= {"HOME": str(self.dir), "NO_COLOR": "1", "PATH": f"{PREFIX / 'bin'}:/usr/sbin:{os.environ['PATH']}"}
        for name in ("log", "redis", "clients", "keys"):
            (self.dir / name).mkdir()
        if disk:
            net.mount_disk(self.dir / "redis")
        self.socket = self.dir / "redis.sock"
        # Where every port is 127.0.0.1's, they must differ.
        names = ["redis", "toxi-store"]
        for broker in BROKERS:
            names += [broker, f"toxi-{broker}", f"{broker}-to-redis", *(f"{host}-to-{broker}" for host in PROXIED)]
        self.ports = {name: free_port() for name in names}

    # ---- configuration

    def at(self, host, port):
        return f"{self.net.address(host)}:{self.ports[port]}"

    def keys(self):
        self.public, lines = {}, []
        roles = {"brokers": None, "w1": "worker", "w2": "worker", "w3": "worker", "client": "admin"}
        for name, role in roles.items():
            said = subprocess.run([PREFIX / "bin/pawl", "keys", "new", name], cwd=self.dir / "keys", env=self.env, check=True,
                                  capture_output=True, text=True, timeout=30)
            self.public[name] = re.search(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}", said.stdout + said.stderr).group(0)
            if role:
                lines.append(f"{self.public[name]} {role}\n")
        (self.dir / "allow").write_text("".join(lines))

    def configure(self):
        proxied = bool(self.proxy_program)
        trees = {}
        for broker in BROKERS:
            redis = self.at("store", f"{broker}-to-redis" if proxied else "redis")
            trees[broker] = {"broker": {"endpoint": f"tcp://0.0.0.0:{self.ports[broker]}", "allow": str(self.dir / "allow"),
                                        "secret_file": str(self.dir / "keys/brokers.key")},
                             "redis": {"url": f"redis://{redis}", "durability": "always"},
                             "retain": {"jobs": 1000000, "age": "1000h", "events": 100000000}}
        for host in (*WORKER_HOSTS, "client"):
            ports = {broker: f"{host}-to-{broker}" if proxied and host in PROXIED else broker for broker in BROKERS}
            trees[host] = {"broker": {"endpoint": ",".join(f"tcp://{self.at(broker, ports[broker])}" for broker in BROKERS),
                                      "public_key": self.public["brokers"]},
                           "peer": {"secret_file": str(self.dir / f"keys/{host}.key")}, "worker": {"drain": "1s"},
                           "model": {"url": f"http://127.0.0.1:{self.model_port(host)}/v1"}}
        for host, tree in trees.items():
            (self.dir / f"{host}.yaml").write_text(json.dumps({"state_dir": str(self.dir / f"state-{host}"), "log": {"level": "debug"}} | tree))

    def model_port(self, host):
        return self.ports.setdefault(f"model-{host}", free_port())

    # ---- starting

    def add(self, name, host, argv, env=None):
        process = Process(self, name, host, argv, env)
        process.start()
        self.processes[name] = process
        return process

    def start(self):
        self.keys()
        self.configure()
        shutil.copytree(ROOT / "bench/samples/library", self.dir / "library")
        self.add("redis", "store", ["redis-server", "--port", self.ports["redis"], "--bind", "0.0.0.0", "--protected-mode", "no",
                                    "--unixsocket", self.socket, "--dir", self.dir / "redis", "--save", "", "--appendonly", "yes",
                                    "--appendfsync", "always", "--auto-aof-rewrite-min-size", "4mb"])
        until(self.socket.exists, "Redis listens", 20)
        if self.proxy_program:
            self.start_proxies()
        for broker in BROKERS:
            self.add(broker, broker, [PREFIX / "bin/pawl-broker", "--standby", "--config", self.dir / f"{broker}.yaml"])
        for host in WORKER_HOSTS:
            self.add(f"model@{host}", host, [BUILD / "bin/llm-sim", "--port", self.model_port(host), "--slots", "8", "--ttft-ms", "20",
                                             "--tokens-per-s", "600", "--seed", self.seed])
            for stage in STAGES:
                self.add(f"{stage}@{host}", host, [PREFIX / f"bin/pawl-{stage}", "--config", self.dir / f"{host}.yaml",
                                                   "--name", f"{stage}@{host}"])
        threading.Thread(target=self.supervise, daemon=True).start()
        until(lambda: self.served() == len(STAGES) * len(WORKER_HOSTS), "all workers are known to the broker", 40)

    def start_proxies(self):
        for host in (*BROKERS, "store"):
            port = self.ports[f"toxi-{host}"]
            self.add(f"toxiproxy@{host}", host, [self.proxy_program, "-host", "127.0.0.1", "-port", port])
            self.proxies[host] = toxi.Proxy(self.net, host, port, functools.partial(self.restart_proxy, host))
            until(functools.partial(self.answers, self.proxies[host]), "toxiproxy answers", 20)
        for broker in BROKERS:
            name = f"{broker}-to-redis"
            self.proxies["store"].add(name, f"0.0.0.0:{self.ports[name]}", f"127.0.0.1:{self.ports['redis']}")
            for host in PROXIED:
                self.proxies[broker].add(host, f"0.0.0.0:{self.ports[f'{host}-to-{broker}']}", f"127.0.0.1:{self.ports[broker]}")

    def restart_proxy(self, host):
        process = self.processes[f"toxiproxy@{host}"]
        process.kill()
        until(lambda: not process.child, "toxiproxy is gone", 10)
        process.wanted = True
        until(lambda: self.answers(self.proxies[host]), "toxiproxy answers", 20)

    def proxies_of(self, target):
        return [self.proxies["store"]] if target.endswith("-to-redis") else [self.proxies[broker] for broker in BROKERS]

    @staticmethod
    def answers(proxy):
        try:
            return bool(proxy.ask("GET", "/version"))
        except OSError:
            return False

    def pawl(self, *words, seconds=30):
        return subprocess.run([*self.net.command("client"), str(PREFIX / "bin/pawl"), *words, "--config", str(self.dir / "client.yaml")],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self.env, timeout=seconds, check=False)

    def served(self):
        done = self.pawl("workers", "-o", "id", "--timeout", "3s")
        return len(done.stdout.split()) if done.returncode == 0 else 0

    def supervise(self):
        while not self.over.is_set():
            for process in list(self.processes.values()):
                process.look()
            self.over.wait(0.05)

    # ---- faults

    def begin(self, kind, target):
        if kind == "kill":
            self.processes[target].kill()
        elif kind == "stop":
            self.processes[target].signal(signal.SIGSTOP)
        elif kind == "link":
            self.net.link(target, False)
        elif kind == "disk-full":
            self.net.fill_disk(True)
        elif kind == "client-kill":
            subprocess.run(["redis-cli", "-s", str(self.socket), "CLIENT", "KILL", "TYPE", "normal"], capture_output=True, timeout=20, check=False)
        else:
            for proxy in self.proxies_of(target):
                proxy.begin(target, kind)

    def finish(self, kind, target):
        if kind == "kill":
            self.processes[target].wanted = True
        elif kind == "stop":
            self.processes[target].signal(signal.SIGCONT)
        elif kind == "link":
            self.net.link(target, True)
        elif kind == "disk-full":
            self.net.fill_disk(False)
        elif kind != "client-kill":
            for proxy in self.proxies_of(target):
                proxy.end(target, kind)

    def run_plan(self, plan):
        """Returns {kind target: [wall clock ms when it was over]}."""
        steps = sorted([(b, "begin", k, t) for b, _, k, t in plan] + [(e, "end", k, t) for _, e, k, t in plan], key=lambda s: (s[0], s[1] == "end"))
        began, ends = time.monotonic(), []
        for at, what, kind, target in steps:
            time.sleep(max(0, began + at - time.monotonic()))
            if what == "begin":
                print(f"  {at:7.1f} s  {kind} {target}", flush=True)
                self.begin(kind, target)
            else:
                self.finish(kind, target)
                ends.append((time.time_ns() // 1000000, kind, target))
        return ends

    def open_jobs(self):
        done = self.pawl("ps", "--state", "open", "--limit", "1000", "-o", "json", "--timeout", "5s")
        return len(json.loads(done.stdout)["items"]) if done.returncode == 0 else None

    # ---- the end

    def state(self):
        """Read by the checker itself, as a client; then the store, by fsck."""
        path = self.dir / "state.json"
        with open(path, "w", encoding="utf-8") as out:
            subprocess.run([*self.net.command("client"), sys.executable, str(HERE / "checker.py"), "read", "--pawl", str(PREFIX / "bin/pawl"),
                            "--config", str(self.dir / "client.yaml"), "--redis", str(self.socket)], stdout=out, env=self.env,
                           timeout=600, check=True)
        state = json.loads(path.read_text())
        for broker in reversed(BROKERS):
            if self.processes[broker].end(20) is None:
                self.crashes.append(f"{broker} does not end on SIGTERM")
        done = subprocess.run([str(PREFIX / "bin/pawl"), "fsck", "--set", f"redis.url=unix://{self.socket}", "--config",
                               str(self.dir / "broker.yaml")], capture_output=True, text=True, env=self.env, timeout=300, check=False)
        state["fsck"] = {"code": done.returncode, "text": (done.stdout + done.stderr)[-3000:]}
        path.write_text(json.dumps(state))
        return path

    def check(self):
        logs = sorted(map(str, (self.dir / "clients").glob("*.jsonl")))
        done = subprocess.run([sys.executable, str(HERE / "checker.py"), "check", "--json", "--log", *logs, "--state", str(self.state())],
                              capture_output=True, text=True, timeout=300, check=False)
        if done.returncode == 2:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    def look_for_crashes(self):
        for path in (self.dir / "log").glob("*.log"):
            if found := CRASH.search(path.read_text(errors="replace")):
                self.crashes.append(f"{path}: {found.group(0)}")

    def close(self, keep):
        self.over.set()
        for process in self.processes.values():
            process.destroy()
        self.net.close()
        if keep:
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


# ---- one run


def recovery(clients, ends):
    """{kind target: [seconds from the end of the fault to the next acknowledged submission]}"""
    acks = sorted(line["at_ms"] for path in clients.glob("client-s*.jsonl") for line in map(json.loads, path.read_text().splitlines())
                  if line["is"] == "ack")
    found = collections.defaultdict(list)
    for at, kind, target in ends:
        later = next((ack for ack in acks if ack > at), None)
        if later:
            found[f"{kind} {target.split('@')[0] if '@' not in target else 'worker'}"].append((later - at) / 1000)
    return found


def run(given, seed, net, proxy_program):
    plan = schedule(seed, given.seconds, net.links, bool(proxy_program), given.only)
    print(f"seed {seed}, {given.seconds} s, {len(plan)} faults", flush=True)
    world, keep = World(seed, net, net.links, proxy_program), True
    try:
        world.start()
        load = world.add("load", "client", [sys.executable, HERE / "load.py", "--pawl", PREFIX / "bin/pawl", "--config", world.dir / "client.yaml",
                                            "--project", world.dir / "library", "--log", world.dir / "clients", "--seed", seed,
                                            "--rate", given.rate])
        ends = world.run_plan(plan)
        healed = time.monotonic()
        if load.end(90) != 0:
            world.crashes.append(f"the clients ended with {load.child.returncode}")
        until(lambda: world.open_jobs() == 0, "all jobs have ended", HEALED_MOST_S)
        took = time.monotonic() - healed
        result = world.check()
        world.look_for_crashes()
        result |= {"seed": seed, "seconds": given.seconds, "faults": collections.Counter(f"{k} {'worker' if '@' in t else t}" for _, _, k, t in plan),
                   "settled_s": round(took, 1), "recovery_s": recovery(world.dir / "clients", ends), "crashes": world.crashes,
                   "load": json.loads((world.dir / "clients/load.json").read_text()),
                   "proxy_restarts": sum(proxy.restarts for proxy in world.proxies.values()),
                   "starts": sum(p.starts - 1 for p in world.processes.values())}
        for entry in result["found"]:
            print(f"BROKEN: {entry['kind']}: {entry['text']}")
        for text in world.crashes:
            print(f"CRASHED: {text}")
        for text in result["failed"]:
            print(f"failed: {text}")
        keep = given.keep or not result["ok"] or bool(world.crashes)
        c = result["counts"]
        print(f"seed {seed}: {c['acknowledged']} acknowledged of {c['intended']} jobs; lost {result['lost']}, duplicated {result['duplicated']}, "
              f"unexpected {result['unexpected']}, recovered {result['recovered']}; {c.get('accepted', 0)} accepted, {c.get('exhausted', 0)} exhausted, "
              f"{c.get('cancelled', 0)} cancelled, {c.get('failed', 0)} failed; all ended {took:.1f} s after the last fault", flush=True)
        return result
    except TimeoutError as err:
        print(f"BROKEN: {err}")
        print(world.pawl("ps", "--state", "open").stdout)
        raise
    except (KeyboardInterrupt, SystemExit):
        keep = given.keep
        raise
    finally:
        world.close(keep)


# ---- arguments


def toxiproxy():
    """(program, why not)"""
    program = os.environ.get("PAWL_TOXIPROXY")
    if not program:
        done = subprocess.run([str(HERE / "toxiproxy.sh")], capture_output=True, text=True, check=False)
        program = done.stdout.strip()
        if done.returncode:
            return None, (done.stderr.strip().splitlines() or ["toxiproxy.sh failed"])[-1]
    return (program, "") if os.access(program, os.X_OK) else (None, f"{program} cannot be run")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", action="append", default=[])
    parser.add_argument("--rate", type=float, default=2, help="jobs per second, at most")
    parser.add_argument("--save", metavar="FOLDER")
    parser.add_argument("--report", nargs=2, metavar=("FILE", "FOLDER"))
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave logs and data where they are")
    given = parser.parse_args()
    seeds = given.seed or [str(random.SystemRandom().randrange(10 ** 6))]
    if given.report:
        saved = sorted(pathlib.Path(given.report[1]).glob("*.json"))
        report.write(given.report[0], [json.loads(path.read_text()) for path in saved], PREFIX)
        return 0
    if given.plan:
        for seed in seeds:
            for begin, end, kind, target in schedule(seed, given.seconds, True, True, given.only):
                print(f"{begin:8.2f} s  {kind} {target}, for {end - begin:.1f} s")
        return 0
    if not (PREFIX / "bin/pawl").exists() or not (BUILD / "bin/llm-sim").exists():
        parser.error(f"no pawl in {PREFIX} or no llm-sim in {BUILD}: set PAWL_PREFIX and PAWL_BUILD")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    program, no_proxy = toxiproxy()
    missing, results = [], []
    if no_proxy:
        missing.append(f"{', '.join(toxi.TOXICS)}: no toxiproxy: {no_proxy}")
    for seed in seeds:
        net, no_net = hosts.make(["store", *BROKERS, *WORKER_HOSTS, "client"])
        if no_net and not results:
            missing.append(f"link, disk-full, several hosts: {no_net}")
        for text in missing if not results else []:
            print(f"NOT TRIED: {text}", flush=True)
        results.append(run(given, seed, net, program) | {"missing": missing})
        if given.save:
            pathlib.Path(given.save).mkdir(exist_ok=True)
            pathlib.Path(given.save, f"{seed}.json").write_text(json.dumps(results[-1]))
    return 0 if all(r["ok"] and not r["crashes"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
