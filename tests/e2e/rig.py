# SPDX-License-Identifier: Apache-2.0
"""The rig of the end-to-end tests: real processes of an installed pawl in a directory of their own.

Every test has its own directory, sockets, Redis and simulated model server, and ends all of them. Nothing here sleeps
for a fixed time: everything waits for a condition with a deadline (`until`). At the end each log is searched for
reports of the sanitizers and of assertions.

Environment, set by CMake: PAWL_PREFIX (where pawl is installed), PAWL_BUILD (llm-sim), PAWL_ROOT (the repository);
by tests/run.sh: PAWL_NODE, PAWL_NODE_MODULES, PAWL_MODEL_SMALL, PAWL_MODEL_TINY.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(os.environ.get("PAWL_ROOT", pathlib.Path(__file__).parents[2]))
PREFIX = pathlib.Path(os.environ.get("PAWL_PREFIX", ROOT / "build/tests/e2e-prefix"))
BUILD = pathlib.Path(os.environ.get("PAWL_BUILD", ROOT / "build/tests"))
SAMPLES = ROOT / "bench/samples"
# A sanitized build is several times slower; deadlines are for what must never happen, so they are long.
PATIENCE_S = float(os.environ.get("PAWL_E2E_PATIENCE", "60"))
STAGES = ("parse", "analyze", "generate", "review")
ENDED = ("accepted", "exhausted", "failed", "cancelled")
CRASH = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:|Assertion .* failed|SUMMARY: ")


def until(condition, what, seconds=None):
    """The first true value of condition(); TimeoutError names what did not come."""
    seconds = seconds or PATIENCE_S
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.02)  # the grain of looking, not a guess how long something takes


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def node():
    """Path of a node that runs the openspec CLI and the MCP servers; None: not here."""
    program = os.environ.get("PAWL_NODE") or shutil.which("node")
    return program if program and modules().is_dir() else None


def modules():
    return pathlib.Path(os.environ.get("PAWL_NODE_MODULES", "/nonexistent"))


def needs_node(test):
    return unittest.skipUnless(node(), "PAWL_NODE and PAWL_NODE_MODULES are not set (tests/run.sh sets them)")(test)


def mcp_server(name, *arguments):
    """An entry of mcp.json for one of the npm servers."""
    package = modules() / "@modelcontextprotocol" / f"server-{name}"
    program = json.loads((package / "package.json").read_text())["bin"]
    script = package / (program if isinstance(program, str) else next(iter(program.values())))
    return {"command": node(), "args": [str(script), *map(str, arguments)]}


class Process:
    """A child in a process group of its own, with its output in a file."""

    def __init__(self, rig, name, argv, **more):
        self.name, self.rig, self.struck = name, rig, False
        self.log = rig.dir / "log" / f"{name}.log"
        self.log.parent.mkdir(exist_ok=True)
        env = {**rig.env, **more.pop("env", {})}
        self.from_byte = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=env, cwd=more.pop("cwd", rig.dir), start_new_session=True, **more)

    @property
    def pid(self):
        return self.child.pid

    def text(self):
        """What this process said; an earlier one of its name wrote into the same log."""
        return self.log.read_bytes()[self.from_byte:].decode(errors="replace")

    def wait_text(self, pattern, seconds=None, start=0):
        def look():
            found = re.search(pattern, self.text()[start:])
            if not found and self.child.poll() is not None:
                found = re.search(pattern, self.text()[start:])
                if not found:
                    raise AssertionError(f"{self.name} ended with {self.child.returncode} before /{pattern}/:\n{self.text()[-3000:]}")
            return found
        return until(look, f"{self.name} says /{pattern}/", seconds)

    def alive(self):
        return self.child.poll() is None

    def kill(self, number=signal.SIGKILL):
        self.struck = True
        if self.alive():
            os.killpg(self.pid, number)
        return self.wait()

    def kill_one(self, number=signal.SIGKILL):
        """The process alone, as a crash would: its children must see to themselves."""
        self.struck = True
        os.kill(self.pid, number)
        return self.wait()

    def stop(self, seconds=None):
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds=None):
        return until(lambda: (self.child.poll() is not None,), f"{self.name} ends", seconds) and self._code(seconds)

    def _code(self, seconds):
        return self.child.wait(seconds or PATIENCE_S)


class Result:
    def __init__(self, argv, done):
        self.argv, self.code, self.out, self.err = argv, done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"pawl {' '.join(map(str, self.argv))} -> {self.code}\n--- stdout\n{self.out[-4000:]}\n--- stderr\n{self.err[-4000:]}"


class Rig:
    def __init__(self, test, **settings):
        self.test = test
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pawl-e2e-"))  # short: unix socket paths end at 107 bytes
        self.processes = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PAWL_", "XDG_", "http_proxy", "HTTP_PROXY"))}
        self.env |= {"HOME": str(self.dir / "home"), "XDG_CONFIG_HOME": str(self.dir / "home/.config"),
                     "XDG_STATE_HOME": str(self.dir / "home/.state"), "XDG_RUNTIME_DIR": str(self.dir / "run"),
                     "PATH": f"{PREFIX / 'bin'}:{os.environ['PATH']}", "OPENSPEC_TELEMETRY": "0", "NO_COLOR": "1",
                     "ASAN_OPTIONS": "abort_on_error=0:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1"}
        for name in ("home", "run", "log"):
            (self.dir / name).mkdir(mode=0o700)
        self.settings = {"state_dir": str(self.dir / "state"), "broker.endpoint": f"ipc://{self.dir}/broker.sock",
                         "redis.url": f"unix://{self.dir}/redis.sock", "log.level": "debug"} | settings
        self.write_conf()
        test.addCleanup(self.close)

    # ---- configuration and files

    def write_conf(self, extra=""):
        """pawl.yaml in the rig's directory, from self.settings; `extra` is YAML as it is."""
        tree = {}
        for path, value in self.settings.items():
            *parents, last = path.split(".")
            place = tree
            for part in parents:
                place = place.setdefault(part, {})
            place[last] = value
        self.conf = self.dir / "pawl.yaml"
        self.conf.write_text(json.dumps(tree, indent=1) + "\n" if not extra else to_yaml(tree) + extra)
        return self.conf

    def set(self, **settings):
        self.settings |= {key.replace("__", "."): value for key, value in settings.items()}
        return self.write_conf()

    def configure(self, settings):
        self.settings |= settings
        return self.write_conf()

    def project(self, sample="library", name=None):
        """A copy of a sample project."""
        path = self.dir / (name or sample)
        shutil.copytree(SAMPLES / sample, path)
        return path

    # ---- processes

    def start(self, name, argv, **more):
        process = Process(self, name, argv, **more)
        self.processes.append(process)
        return process

    def redis(self, *arguments, name="redis"):
        path = self.dir / f"{name}.sock"
        data = self.dir / f"{name}-data"
        data.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        process = self.start(name, ["redis-server", "--port", "0", "--unixsocket", path, "--dir", data, "--save", "",
                                    "--appendonly", "yes", "--appendfsync", "everysec", *arguments])
        until(path.exists, f"{name} listens")
        return process

    def redis_cli(self, *arguments, name="redis"):
        return subprocess.run(["redis-cli", "-s", str(self.dir / f"{name}.sock"), *arguments], capture_output=True,
                              text=True, check=True, timeout=30).stdout

    def broker(self, *arguments, name="broker", ready=True, **more):
        process = self.start(name, [PREFIX / "bin/pawl-broker", "--config", self.conf, *arguments], **more)
        if ready:
            process.wait_text(r"\bready\b.*endpoint=")
        return process

    def worker(self, stage, *arguments, name=None, ready=True, **more):
        process = self.start(name or stage, [PREFIX / f"bin/pawl-{stage}", "--config", self.conf, *arguments], **more)
        if ready:
            self.wait_served(process, arguments[arguments.index("--name") + 1] if "--name" in arguments else None)
        return process

    def wait_served(self, process, name=None):
        """Its HELLO is answered: `pawl workers` lists its name, which holds its process id unless one was given."""
        wanted = f'"{name}"' if name else rf"[^0-9]{process.pid}[^0-9]"

        def look():
            if not process.alive():
                raise AssertionError(f"{process.name} ended:\n{process.text()[-3000:]}")
            return re.search(wanted, self.pawl("workers", "-o", "json", code=None).out)
        until(look, f"{process.name} is known to the broker")

    def workers(self, *stages):
        """One of each, started together, then waited for."""
        started = [self.worker(stage, ready=False) for stage in stages or STAGES]
        for process in started:
            self.wait_served(process)
        return started

    def sim(self, *arguments, name="llm-sim"):
        """A simulated model server; sets model.url. Returns the process with .url."""
        process = self.start(name, [BUILD / "bin/llm-sim", "--port", "0", *arguments])
        process.url = process.wait_text(r"ready (http://\S+)").group(1)
        self.configure({"model.url": process.url + "/v1"})
        return process

    def sim_stats(self, sim):
        with urllib.request.urlopen(sim.url + "/sim/stats", timeout=10) as answer:
            return json.load(answer)

    def all(self, *sim_arguments, stages=STAGES):
        """Redis, simulated model, broker, one worker of each stage."""
        self.redis_server = self.redis()
        self.llm = self.sim(*sim_arguments)
        self.the_broker = self.broker()
        return dict(zip(stages, self.workers(*stages)))

    # ---- the command line

    def pawl(self, *argv, code=0, timeout=None, stdin="", cwd=None, conf=True, env=None):
        """Runs the installed pawl. code: the expected exit code, a set of them, or None for any."""
        given = [str(a) for a in argv]
        where = ["--config", str(self.conf)] if conf else []
        done = subprocess.run([str(PREFIX / "bin/pawl"), *given, *where], input=stdin, capture_output=True, text=True,
                              env={**self.env, **(env or {})}, cwd=cwd or self.dir, timeout=timeout or PATIENCE_S * 3,
                              errors="replace", check=False)
        result = Result(given, done)
        if CRASH.search(result.err):
            raise AssertionError(f"crashed: {result!r}")
        expected = code if isinstance(code, (set, frozenset, tuple)) else (code,)
        if code is not None and result.code not in expected:
            raise AssertionError(f"exit code {result.code}, not {code}: {result!r}\n{self.logs()}")
        return result

    def submit(self, text, *more, project=None):
        """Returns the job's id."""
        return self.pawl("submit", text, "-C", project or self.dir / "library", "-o", "id", *more).out.strip()

    def show(self, job):
        """The job map."""
        got = self.pawl("show", job, "-o", "json").json
        return got.get("job", got)

    def state(self, job):
        return self.show(job)["state"]

    def wait(self, job, seconds=None):
        """Follows the job to its end; returns (state, exit code of watch)."""
        limit = seconds or PATIENCE_S * 3
        code = self.pawl("watch", job, "-q", "--timeout", f"{limit:.0f}s", code=None, timeout=limit + PATIENCE_S).code
        if code == 124:
            raise AssertionError(f"after {limit:.0f} s {job} has not ended\n{self.pawl('show', job).out}\n"
                                 f"{self.pawl('logs', job).out[-3000:]}\n{self.logs()}")
        state = self.state(job)
        self.test.assertEqual({"accepted": 0, "exhausted": 1, "failed": 2, "cancelled": 3}.get(state), code)
        return state

    def wait_event(self, job, kind, condition=lambda facts: True, seconds=None):
        """The facts of the first event of that kind that fits, from the job's whole history on."""
        def look():
            for line in self.pawl("logs", job, "-o", "jsonl", code=None).out.splitlines():
                event = json.loads(line)
                if event.get("kind") == kind and condition(event.get("facts", event)):
                    return event.get("facts", event)
            return None
        return until(look, f"an event {kind} of {job}", seconds)

    def doc(self, job, name, *more):
        return self.pawl("get", job, "--doc", name, "-o", "json", *more).json

    def jobs(self, state="all"):
        return self.pawl("ps", "--state", state, "--limit", "1000", "-o", "json").json["items"]

    def apply(self, job, project=None):
        """Puts the change into the project; returns its directory."""
        project = pathlib.Path(project or self.dir / "library")
        changes = project / "openspec/changes"
        before = set(changes.glob("*")) if changes.exists() else set()
        self.pawl("apply", job, "-C", project)
        new = [p for p in changes.glob("*") if p not in before and p.name != "archive"]
        self.test.assertEqual(1, len(new), f"{new}")
        return new[0]

    # ---- the real openspec CLI

    def openspec(self, *argv, cwd, code=0):
        done = subprocess.run([node(), str(modules() / "@fission-ai/openspec/bin/openspec.js"), *map(str, argv)], cwd=cwd,
                              env=self.env, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
                              check=False)
        self.test.assertEqual(code, done.returncode, f"openspec {argv}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def check_change(self, project, name):
        """The real CLI says valid under --strict, and archive accepts it, on a copy."""
        copy = pathlib.Path(tempfile.mkdtemp(prefix="archive-", dir=self.dir)) / "project"
        shutil.copytree(project, copy)
        self.openspec("validate", name, "--type", "change", "--strict", cwd=copy)
        self.openspec("archive", name, "--yes", cwd=copy)
        self.test.assertFalse((copy / "openspec/changes" / name).exists())
        self.openspec("validate", "--all", "--strict", cwd=copy)

    # ---- the end

    def logs(self, lines=25):
        found = [*(self.dir / "log").glob("*.log"), *(self.dir / "state").rglob("*.log")]
        return "\n".join(f"--- {p.name}\n" + "\n".join(p.read_text(errors="replace").splitlines()[-lines:]) for p in found)

    def close(self):
        dead = [p for p in self.processes if not p.alive() and not p.struck and p.child.returncode < 0]
        try:
            for process in reversed(self.processes):
                if process.alive():
                    os.kill(process.pid, signal.SIGTERM)
            for process in reversed(self.processes):
                try:
                    process.wait(15)
                except TimeoutError:
                    process.kill()
                    raise AssertionError(f"{process.name} did not end on SIGTERM:\n{process.text()[-3000:]}") from None
            self.look_for_crashes()
            for process in dead:
                raise AssertionError(f"{process.name} died of signal {-process.child.returncode}:\n{process.text()[-2000:]}")
        finally:
            for process in self.processes:
                if process.alive():
                    os.killpg(process.pid, signal.SIGKILL)
                process.child.wait()
            self.kill_orphans()
            if os.environ.get("PAWL_E2E_KEEP"):
                print(f"kept: {self.dir}")
            else:
                shutil.rmtree(self.dir, ignore_errors=True)

    def kill_orphans(self):
        """Children of what we killed. By where they run, never by number: numbers are used again."""
        for cwd in pathlib.Path("/proc").glob("[0-9]*/cwd"):
            try:
                if os.readlink(cwd).startswith(str(self.dir)):
                    os.kill(int(cwd.parent.name), signal.SIGKILL)
            except OSError:
                continue

    def look_for_crashes(self):
        for path in [*(self.dir / "log").glob("*.log"), *(self.dir / "state").rglob("*.log")]:
            text = path.read_text(errors="replace")
            if found := CRASH.search(text):
                raise AssertionError(f"{path.name}:\n{text[max(0, found.start() - 500):found.start() + 6000]}")


def to_yaml(tree, depth=0):
    """Enough YAML for maps of maps, lists and scalars (JSON is YAML)."""
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines.append("  " * depth + f"{key}:\n" + to_yaml(value, depth + 1))
        else:
            lines.append("  " * depth + f"{key}: {json.dumps(value)}\n")
    return "".join(lines)


class Case(unittest.TestCase):
    """A test with a rig: self.rig."""

    maxDiff = None
    settings = {}

    def setUp(self):
        self.rig = Rig(self, **self.settings)


def main():
    unittest.main(verbosity=2, failfast=False)
