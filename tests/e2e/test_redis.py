#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Redis comes and goes, says no in every way it knows, fails over: pawl refuses, holds, and resumes alone. Real servers."""
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

import msgpack

from rig import PATIENCE_S, Case, free_port, main, until
from wire import Client, Worker, pack

SANITIZED = float(os.environ.get("PAWL_E2E_PATIENCE", "60")) > 60  # a heap of red zones; see CMakeLists.txt


class Servers:
    """redis-server processes on TCP ports, spoken to by redis-cli."""

    def __init__(self, rig):
        self.rig, self.ports, self.processes, self.n = rig, {}, {}, 0

    def start(self, name, *arguments, port=None):
        data = self.rig.dir / f"{name}-data"
        data.mkdir(exist_ok=True)
        port = port or self.ports.get(name) or free_port()
        self.ports[name] = port
        process = self.rig.start(f"{name}-{self.n}", [
            "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", data, "--save", "", "--appendonly", "yes",
            "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0", "--repl-timeout", "5", "--shutdown-timeout", "0", *map(str, arguments)])
        self.n += 1
        self.processes[name] = process
        until(lambda: self.say(name, "ping", check=False).strip() != "", f"{name} answers")
        return process

    def sentinel(self, name, master, quorum):
        """They watch `master` under the name of jobs."""
        file = self.rig.dir / f"{name}.conf"
        port = free_port()
        file.write_text(f"port {port}\nbind 127.0.0.1\ndir {self.rig.dir}\nsentinel monitor jobs 127.0.0.1 {self.ports[master]} {quorum}\n"
                        "sentinel down-after-milliseconds jobs 500\nsentinel failover-timeout jobs 3000\n"
                        "sentinel parallel-syncs jobs 1\n")
        self.ports[name] = port
        self.processes[name] = self.rig.start(name, ["redis-server", file, "--sentinel"])
        until(lambda: "PONG" in self.say(name, "ping", check=False), f"{name} answers")

    def say(self, name, *words, check=True):
        done = subprocess.run(["redis-cli", "-p", str(self.ports[name]), *map(str, words)], capture_output=True, text=True,
                              timeout=30, check=False)
        if check and (done.returncode or re.match(r"(ERR|NOAUTH|NOPERM|WRONG)", done.stdout)):
            raise AssertionError(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout

    def info(self, name, key):
        found = re.search(rf"^{key}:(.*?)\r?$", self.say(name, "info", check=False), re.M)
        return found.group(1) if found else ""

    def url(self, name, login=""):
        return f"redis://{login}127.0.0.1:{self.ports[name]}"


class RedisCase(Case):
    def setUp(self):
        super().setUp()
        self.servers = Servers(self.rig)
        # A replica that writes its first append-only file does not end on SIGTERM.
        self.addCleanup(lambda: [process.kill() for process in self.servers.processes.values()])
        self.endpoint = self.rig.settings["broker.endpoint"]

    def client(self):
        return Client(self, self.endpoint)

    def store(self, client):
        name, _, frames = client.ask("STATUS")
        self.assertEqual("ANSWERED", name)
        return msgpack.unpackb(frames[0])["store"]

    def standby_takes_over(self, leader):
        """Another broker finds the same primary by itself, sees who leads, and leads when that one is killed."""
        other = self.rig.broker("--standby", "--endpoint", f"ipc://{self.rig.dir}/other.sock", name="standby", ready=False)
        other.wait_text(r'standing by".*leader=')
        leader.kill()
        other.wait_text("msg=leading")
        return other

    def submit(self, client, key):
        """The job's id; says it again until it is taken."""
        def once():
            name, fields, _ = client.submit(key=key)
            return fields[0] if name == "SUBMITTED" else None
        return until(once, f"{key} is taken")

    def refused(self, client, key):
        """(code, text) of the refusal that a submission comes to."""
        def once():
            name, fields, _ = client.submit(key=key)
            return fields if name == "REFUSED" else None
        fields = until(once, f"{key} is refused")
        return fields[0], fields[1]


class Answers(RedisCase):
    """Each of the answers with which Redis says no, provoked from a real one."""

    def check(self, begin, end, wanted, fix=None):
        """begin() makes Redis refuse; end() makes it take again. A task given before is finished by its worker."""
        client = self.client()
        worker = Worker(self, self.endpoint, "parse")
        job = self.submit(client, "before")
        task = worker.task()
        before = client.epoch
        begin()
        code, text = self.refused(client, "meanwhile")
        self.assertEqual("unavailable", code, text)
        until(lambda: re.search(wanted, self.rig.the_broker.text()), f"the broker says {wanted}")
        if fix:
            self.assertRegex(self.rig.the_broker.text(), fix)
        end()
        again = self.submit(client, "meanwhile")
        self.assertNotEqual(job, again)
        self.assertEqual(job, self.submit(client, "before"), "it was kept")
        self.assertTrue(self.rig.the_broker.alive())
        # The worker says what it holds, as a real one does at the new epoch; its result counts.
        worker.say("HELLO", "worker", "parse/by-hand", "test", ["parse"], 1, [], [[task["task"], task["fence"]]])
        worker.expect("WELCOME")
        worker.seen = 0
        self.assertEqual("committed", worker.done(task, {"brief": {"text": "x"}}))
        self.assertNotEqual(before, worker.epoch)

    def begin(self, *arguments, **settings):
        self.servers.start("one", *arguments)
        self.rig.configure({"redis.url": self.servers.url("one"), **settings})
        self.rig.the_broker = self.rig.broker()

    def test_readonly(self):
        self.begin()
        self.servers.start("other")
        self.check(lambda: self.servers.say("one", "replicaof", "127.0.0.1", "1"),
                   lambda: self.servers.say("one", "replicaof", "no", "one"), "READONLY|is a replica|has become a replica")

    def test_noreplicas(self):
        self.begin()
        self.check(lambda: self.servers.say("one", "config", "set", "min-replicas-to-write", "1"),
                   lambda: self.servers.say("one", "config", "set", "min-replicas-to-write", "0"), "NOREPLICAS")

    def test_misconf(self):
        self.begin()
        missing = self.rig.dir / "one-data"

        def begin():
            self.servers.say("one", "config", "set", "save", "3600 1", "stop-writes-on-bgsave-error", "yes")
            (missing / "dump.rdb").mkdir()  # a snapshot cannot take its place, not even root's
            (missing / "dump.rdb/in-the-way").touch()
            self.servers.say("one", "bgsave")
            until(lambda: self.servers.info("one", "rdb_last_bgsave_status") == "err", "the snapshot fails")

        def end():
            (missing / "dump.rdb/in-the-way").unlink()
            (missing / "dump.rdb").rmdir()
            self.servers.say("one", "bgsave")

        self.check(begin, end, "MISCONF")

    def test_noperm_and_noauth(self):
        rules = ["on", ">secret", "~pawl:*", "+@read", "+@write", "+@scripting", "+function", "+fcall", "+fcall_ro", "+info",
                 "+ping", "+auth"]
        self.servers.start("one")
        self.servers.say("one", "acl", "setuser", "pawl", *rules)
        self.rig.configure({"redis.url": self.servers.url("one", "pawl:secret@")})
        broker = self.rig.the_broker = self.rig.broker()
        broker.wait_text("appendfsync cannot be checked: CONFIG GET is not permitted")
        self.check(lambda: self.servers.say("one", "acl", "setuser", "pawl", "-fcall"),
                   lambda: self.servers.say("one", "acl", "setuser", "pawl", "+fcall"), "NOPERM", "docs/guarantees.md")
        self.rig.the_broker.stop()
        self.servers.say("one", "acl", "setuser", "default", ">other")
        self.rig.configure({"redis.url": self.servers.url("one")})
        other = self.rig.broker("--wait-store", "0", name="no-login", ready=False)
        self.assertEqual(69, other.wait())
        self.assertIn("put user and password into redis.url", other.text())
        self.rig.configure({"redis.url": self.servers.url("one", "pawl:wrong@")})
        other = self.rig.broker("--wait-store", "0", name="wrong", ready=False)
        self.assertNotEqual(0, other.wait())
        self.assertIn("check user and password", other.text())
        self.assertNotIn("wrong@", other.text())

    def test_loading(self):
        """Killed and started again with a load that takes a while: LOADING is a reason to wait."""
        self.begin("--appendfsync", "always", "--enable-debug-command", "yes")

        def begin():
            self.servers.say("one", "debug", "populate", "20000")
            self.servers.say("one", "config", "set", "aof-use-rdb-preamble", "yes")
            self.servers.say("one", "bgrewriteaof")
            until(lambda: self.servers.info("one", "aof_rewrite_in_progress") == "0" and
                  self.servers.info("one", "aof_last_bgrewrite_status") == "ok" and
                  self.servers.info("one", "aof_rewrite_scheduled") == "0", "the rewrite is done")
            self.servers.processes["one"].kill()
            self.servers.start("one", "--appendfsync", "always", "--enable-debug-command", "yes", "--key-load-delay", "500",
                               "--loading-process-events-interval-bytes", "1024")

        self.check(begin, lambda: self.servers.say("one", "config", "set", "key-load-delay", "0"), "LOADING", "it is loading its data")

    def test_flushed_functions_come_back(self):
        self.begin()
        client = self.client()
        self.submit(client, "a")
        self.servers.say("one", "function", "flush", "sync")
        self.submit(client, "b")
        self.rig.the_broker.wait_text("(?s)Function not found.*msg=leading")

    def test_moved(self):
        """The node that redis.url names has not the slot: it says who has, and pawl goes there. Later the slot moves."""
        slot = self.two_nodes()
        self.rig.configure({"redis.url": self.servers.url("one")})
        broker = self.rig.the_broker = self.rig.broker()
        client = self.client()
        job = self.submit(client, "a")
        self.assertEqual(self.servers.url("two"), self.store(client)["url"])
        self.standby_takes_over(broker).kill()
        broker = self.rig.the_broker = self.rig.broker(name="again")
        client = self.client()
        # The slot moves back: its keys first, then the word.
        ids = {name: self.servers.say(name, "cluster", "myid").strip() for name in ("one", "two")}
        self.servers.say("two", "cluster", "setslot", slot, "migrating", ids["one"])
        self.servers.say("one", "cluster", "setslot", slot, "importing", ids["two"])
        until(lambda: self.moved_all(slot), "all keys are there")
        for name in ("one", "two"):
            self.servers.say(name, "cluster", "setslot", slot, "node", ids["one"])
        self.submit(client, "b")
        self.assertEqual(job, self.submit(client, "a"))
        self.assertEqual(self.servers.url("one"), self.store(client)["url"])
        self.assertTrue(broker.alive())

    def at_start(self, wanted, fix):
        """A broker that is not to wait for its store ends with what is wrong and what to do."""
        broker = self.rig.broker("--wait-store", "0", name="at-start", ready=False)
        self.assertEqual(69, broker.wait())
        self.assertRegex(broker.text(), wanted)
        self.assertRegex(broker.text(), fix)

    def test_busy(self):
        """A script of somebody else does not end."""
        self.begin("--busy-reply-threshold", "50")

        def begin():
            self.rig.start("script", ["redis-cli", "-p", str(self.servers.ports["one"]), "eval", "while true do end", "0"])
            until(lambda: "BUSY" in self.servers.say("one", "ping", check=False), "Redis is busy")

        def end():
            self.servers.say("one", "script", "kill")

        self.check(begin, end, "BUSY Redis is busy", "SCRIPT KILL")
        self.rig.the_broker.stop()
        begin()
        self.at_start("BUSY Redis is busy", "SCRIPT KILL")
        end()

    def test_masterdown(self):
        """Made a replica whose primary is away, and that may not answer from what it has."""
        self.begin("--replica-serve-stale-data", "no")
        other = self.rig.broker("--standby", "--endpoint", f"ipc://{self.rig.dir}/other.sock", name="standby", ready=False)
        other.wait_text(r'standing by".*leader=')

        def end():
            other.wait_text(r'standing by".*trouble=.*MASTERDOWN')
            other.kill()  # it would be faster
            self.servers.say("one", "replicaof", "no", "one")

        self.check(lambda: self.servers.say("one", "replicaof", "127.0.0.1", "1"), end, "MASTERDOWN|is a replica|has become a replica")
        self.rig.the_broker.stop()
        self.servers.say("one", "replicaof", "127.0.0.1", "1")
        self.at_start("is a replica: it takes no writes", "point redis.url at the primary")

    def test_clusterdown(self):
        """A slot that is not pawl's is served by nobody: the cluster is down."""
        self.servers.start("one", "--cluster-enabled", "yes", "--cluster-port", free_port())
        self.servers.say("one", "cluster", "addslotsrange", 0, 16383)
        self.whole_cluster("ok")
        self.rig.configure({"redis.url": self.servers.url("one")})
        self.rig.the_broker = self.rig.broker()

        def begin():
            self.servers.say("one", "cluster", "delslots", "0")
            self.whole_cluster("fail")

        def end():
            self.servers.say("one", "cluster", "addslots", "0")

        self.check(begin, end, "CLUSTERDOWN", "redis-cli --cluster check")
        self.rig.the_broker.stop()
        begin()
        self.at_start("CLUSTERDOWN", "redis-cli --cluster check")

    def whole_cluster(self, state):
        until(lambda: f"cluster_state:{state}" in self.servers.say("one", "cluster", "info", check=False), f"the cluster is {state}")

    def test_ask(self):
        """The slot is on its way and the leader's key has gone: wait until all have, and go there."""
        slot = self.begin_two_nodes()
        self.check(lambda: self.move(slot, [":lead"]), lambda: self.end_move(slot), "ASK ", "the cluster is moving pawl's slot: wait")
        self.assertEqual(self.servers.url("one"), self.store(self.client())["url"])

    def test_documents_have_gone(self):
        """The leader's key is there, what a commit would write is not."""
        slot = self.begin_two_nodes()
        self.check(lambda: self.move(slot, [":e", ":d:", ":x:"]), lambda: self.end_move(slot), "attempted to access a non local key",
                   "the cluster is moving pawl's slot: wait")
        self.assertEqual(self.servers.url("one"), self.store(self.client())["url"])

    def test_tryagain(self):
        """What a broker loads at once is in two places."""
        slot = self.begin_two_nodes()
        client = self.client()
        jobs = [self.submit(client, f"job {n}") for n in range(4)]
        self.rig.the_broker.kill()
        self.servers.say("two", "persist", "pawl:{s0}:lock")  # a key that runs out in between would be asked for elsewhere
        self.move(slot, [f":j:{jobs[0]}"])
        broker = self.rig.broker(name="again", ready=False)
        broker.wait_text("TRYAGAIN")
        broker.wait_text("the cluster is moving pawl's slot: wait")
        self.end_move(slot)
        broker.wait_text("msg=leading")
        client = self.client()
        self.assertEqual(jobs, [self.submit(client, f"job {n}") for n in range(4)])

    def begin_two_nodes(self):
        slot = self.two_nodes()
        self.rig.configure({"redis.url": self.servers.url("two")})
        self.rig.the_broker = self.rig.broker()
        return slot

    def move(self, slot, parts):
        """The slot begins to move from two to one; the keys with one of these in their names are there already."""
        for name, word, other in (("one", "importing", "two"), ("two", "migrating", "one")):
            self.servers.say(name, "cluster", "setslot", slot, word, self.servers.say(other, "cluster", "myid").strip())
        keys = self.servers.say("two", "cluster", "getkeysinslot", slot, 100).split()
        keys = [key for key in keys if any(part in key for part in parts)]
        self.assertTrue(keys)
        self.servers.say("two", "migrate", "127.0.0.1", self.servers.ports["one"], "", 0, 5000, "keys", *keys)

    def end_move(self, slot):
        until(lambda: self.moved_all(slot), "all keys are there")
        there = self.servers.say("one", "cluster", "myid").strip()
        for name in ("one", "two"):
            self.servers.say(name, "cluster", "setslot", slot, "node", there)

    def two_nodes(self):
        """Of a cluster; the second has pawl's slot, which is returned."""
        for name in ("one", "two"):
            self.servers.start(name, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no",
                               "--cluster-allow-replica-migration", "no", "--cluster-port", bus := free_port())
        slot = self.servers.say("one", "cluster", "keyslot", "pawl:{s0}:lead").split()[-1]
        self.servers.say("one", "cluster", "meet", "127.0.0.1", self.servers.ports["two"], bus)
        self.servers.say("two", "cluster", "addslots", slot, "0")  # with one left it stays a primary
        until(lambda: "MOVED" in self.servers.say("one", "get", "pawl:{s0}:lead", check=False), "one knows who has the slot")
        return slot

    def moved_all(self, slot):
        keys = self.servers.say("two", "cluster", "getkeysinslot", slot, 100).split()
        if not keys:
            return True
        self.servers.say("two", "migrate", "127.0.0.1", self.servers.ports["one"], "", 0, 5000, "keys", *keys, check=False)
        return False


class Durability(RedisCase):
    def refusal(self, *arguments, **settings):
        self.servers.start("one", *arguments)
        self.rig.configure({"redis.url": self.servers.url("one"), **settings})
        broker = self.rig.broker(name="refused", ready=False)
        return broker.wait(), broker.text()

    def test_what_is_demanded_and_not_met_stops_the_start(self):
        code, text = self.refusal("--maxmemory-policy", "allkeys-lru", "--no-appendfsync-on-rewrite", "yes",
                                  **{"redis.durability": "always"})
        self.assertEqual(78, code, text)
        command = re.search(r"redis-cli (CONFIG SET [^(]*) \(", text).group(1)
        self.assertEqual("CONFIG SET appendfsync always no-appendfsync-on-rewrite no maxmemory-policy noeviction", command)
        self.servers.say("one", *command.split())
        self.rig.the_broker = self.rig.broker()
        self.rig.the_broker.wait_text("durability=always")
        out = self.rig.pawl("doctor", code=None).out
        self.assertRegex(out, r"pass +durability +always: an acknowledgement survives a loss of power")

    def test_everysec_is_met_by_always_and_not_by_none(self):
        code, text = self.refusal("--appendonly", "no", **{"redis.durability": "everysec"})
        self.assertEqual(78, code, text)
        self.assertIn("CONFIG SET appendonly yes", text)
        self.servers.say("one", "config", "set", "appendonly", "yes", "appendfsync", "always")
        self.rig.broker()

    def test_without_a_demand_it_is_told(self):
        self.servers.start("one", "--appendonly", "no")
        self.rig.configure({"redis.url": self.servers.url("one")})
        self.rig.broker().wait_text("may lose jobs: appendonly is no")
        out = self.rig.pawl("doctor", code=None).out
        self.assertRegex(out, r"warn +durability .*appendonly is no\n +fix: CONFIG SET appendonly yes")

    def test_what_may_not_be_asked_is_told(self):
        self.servers.start("one")
        self.servers.say("one", "acl", "setuser", "default", "-config")
        self.rig.configure({"redis.url": self.servers.url("one"), "redis.durability": "always"})
        self.rig.broker().wait_text("appendfsync cannot be checked")
        self.assertRegex(self.rig.pawl("doctor", code=None).out, "warn +durability +appendfsync cannot be checked")

    def test_tls_is_refused_with_what_to_do(self):
        for url in ("rediss://127.0.0.1:6379", "rediss+sentinel://127.0.0.1/jobs"):
            self.rig.configure({"redis.url": url})
            broker = self.rig.broker(name="tls", ready=False)
            self.assertEqual(78, broker.wait())
            self.assertRegex(broker.text(), "speaks no TLS to Redis.*fix=.*tunnel")


class Load:
    """A client in a thread that submits without a pause and remembers what was acknowledged."""

    def __init__(self, case, name="load"):
        self.name = name
        self.acknowledged, self.refusals, self.going, self.failed = {}, set(), True, None
        self.case = case
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.client = case.client()
        self.thread.start()

    def run(self):
        try:
            n = 0
            while self.going:
                n += 1
                while self.going:
                    name, fields, _ = self.client.submit(key=f"{self.name}-{n}")
                    if name == "SUBMITTED":
                        self.acknowledged[f"{self.name}-{n}"] = fields[0]
                        break
                    self.refusals.add(fields[1])
                    time.sleep(min(fields[2] or 50, 100) / 1000 if len(fields) > 2 and isinstance(fields[2], int) else 0.05)
        except Exception as e:  # the test's own thread tells it
            self.failed = e

    def more(self, n):
        goal = len(self.acknowledged) + n
        until(lambda: self.failed or len(self.acknowledged) >= goal, f"{n} more acknowledgements; refused with {self.refusals}")
        if self.failed:
            raise self.failed

    def stop(self):
        self.going = False
        self.thread.join(PATIENCE_S)
        if self.failed:
            raise self.failed
        return self.acknowledged


class Replicas(RedisCase):
    def setUp(self):
        super().setUp()
        self.servers.start("one")
        self.servers.start("two", "--replicaof", "127.0.0.1", self.servers.ports["one"])
        self.linked("two")

    def linked(self, name):
        until(lambda: self.servers.info(name, "master_link_status") == "up", f"{name} follows")

    def test_a_write_counts_when_the_replica_has_it(self):
        self.rig.configure({"redis.url": self.servers.url("one"), "redis.replicas": 1})
        broker = self.rig.broker()
        client = self.client()
        self.submit(client, "a")
        self.assertEqual("1", self.servers.say("two", "zcard", "pawl:{s0}:x:all").strip(), "it is there at once")
        before = client.epoch
        # The replica hangs: its connection lives, so only WAIT can tell.
        replica = self.servers.processes["two"]
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            code, text = self.refused(client, "b")
            self.assertEqual("unavailable", code)
            self.assertIn("only 0 of 1 replicas", text)
            broker.wait_text("only 0 of 1 replicas hold the write")
        finally:
            os.kill(replica.pid, signal.SIGCONT)
        kept = self.submit(client, "b")
        self.assertEqual(kept, self.submit(client, "b"))
        self.assertEqual("2", self.servers.say("two", "zcard", "pawl:{s0}:x:all").strip(), "once, although said again")
        client.hello()
        self.assertNotEqual(before, client.epoch)
        # Gone altogether: known without waiting.
        self.servers.processes["two"].kill()
        code, text = self.refused(client, "c")
        self.assertIn("of 1 replicas", text)
        store = self.store(client)
        self.assertFalse(store["ok"])
        self.servers.start("two", "--replicaof", "127.0.0.1", self.servers.ports["one"])
        self.submit(client, "c")

    def test_several_turns_share_a_wait(self):
        """Commits of one moment are not held up one by one: the number of WAITs is below that of commits."""
        self.rig.configure({"redis.url": self.servers.url("one"), "redis.replicas": 1})
        self.rig.broker()
        load = [Load(self, name) for name in "abcd"]
        for one in load:
            one.more(50)
        told = sum(len(one.stop()) for one in load)
        calls = {name: int(found.group(1)) for name in ("wait", "fcall")
                 if (found := re.search(rf"cmdstat_{name}:calls=(\d+)", self.servers.say("one", "info", "commandstats")))}
        self.assertGreater(calls["wait"], 0)
        self.assertLessEqual(calls["wait"], calls["fcall"])
        self.assertEqual(told, int(self.servers.say("two", "zcard", "pawl:{s0}:x:all")))


class Failover(RedisCase):
    """One primary, one replica, three sentinels with a quorum of two."""

    def setUp(self):
        super().setUp()
        self.servers.start("one")
        self.servers.start("two", "--replicaof", "127.0.0.1", self.servers.ports["one"])
        until(lambda: self.servers.info("two", "master_link_status") == "up", "two follows")
        self.sentinels = ("s1", "s2", "s3")
        for name in self.sentinels:
            self.servers.sentinel(name, "one", 2)
        for name in self.sentinels:
            until(lambda: self.seen(name) == ("1", "2"), f"{name} knows the replica and the others")
        places = ",".join(f"127.0.0.1:{self.servers.ports[name]}" for name in self.sentinels)
        # The first address answers nobody: the sentinels are asked in turn.
        self.url = f"redis+sentinel://127.0.0.1:{free_port()},{places}/jobs"

    def seen(self, name):
        words = self.servers.say(name, "sentinel", "master", "jobs", check=False).split()
        facts = dict(zip(words[::2], words[1::2]))
        return facts.get("num-slaves"), facts.get("num-other-sentinels")

    def failover(self):
        self.servers.processes["one"].kill()
        until(lambda: self.servers.info("two", "role") == "master", "two is promoted")

    def test_with_wait_nothing_acknowledged_is_lost(self):
        self.rig.configure({"redis.url": self.url, "redis.replicas": 1})
        broker = self.rig.broker()
        load = [Load(self, name) for name in "abcd"]
        for one in load:
            one.more(100)
        before = load[0].client.epoch
        # The replica stays behind: what the primary takes from now on, it never gets.
        self.servers.say("two", "config", "set", "masteruser", "nobody", "masterauth", "nothing")
        self.servers.say("one", "client", "kill", "type", "replica")
        told = sum(len(one.acknowledged) for one in load)
        until(lambda: "of 1 replicas" in broker.text() or sum(len(one.acknowledged) for one in load) > told + 20,
              "the primary is alone")
        self.failover()
        self.assertIn("pawl_", self.servers.say("two", "function", "list"))
        # Alone it may not acknowledge; the old primary comes back as its replica.
        broker.wait_text("only 0 of 1 replicas")
        self.servers.start("one", "--replicaof", "127.0.0.1", self.servers.ports["two"])
        for one in load:
            one.more(50)
        acknowledged = {}
        for one in load:
            acknowledged |= one.stop()
        client = self.client()
        self.assertNotEqual(before, client.epoch)
        self.assertEqual(self.servers.url("two"), self.store(client)["url"])
        kept = set(self.servers.say("two", "zrange", "pawl:{s0}:x:all", 0, -1).split())
        self.assertEqual(set(), set(acknowledged.values()) - kept, "acknowledged and lost")
        for job in list(acknowledged.values())[:20]:
            self.assertIsInstance(client.show(job), dict)

    def test_without_wait_it_resumes_by_itself(self):
        self.rig.configure({"redis.url": self.url})
        broker = self.rig.broker()
        load = Load(self)
        load.more(50)
        self.failover()
        load.more(50)
        load.stop()
        self.assertTrue(broker.alive())
        client = self.client()
        store = self.store(client)
        self.assertTrue(store["ok"])
        self.assertEqual(self.servers.url("two"), store["url"])
        # A planned one: nobody is killed, and the connection to the old primary is cut by its sentinels.
        self.servers.start("one", "--replicaof", "127.0.0.1", self.servers.ports["two"])
        until(lambda: self.servers.info("one", "master_link_status") == "up", "one follows")
        until(lambda: "OK" in self.servers.say("s2", "sentinel", "failover", "jobs", check=False), "a failover is begun")
        until(lambda: self.servers.info("one", "role") == "master", "one is promoted")
        self.submit(client, "after")
        until(lambda: self.store(client)["url"] == self.servers.url("one"), "the broker is on the new primary")
        self.standby_takes_over(broker)

    def test_no_sentinel_at_start(self):
        self.rig.configure({"redis.url": f"redis+sentinel://127.0.0.1:{free_port()}/jobs"})
        broker = self.rig.broker("--wait-store", "0", name="alone", ready=False)
        self.assertEqual(69, broker.wait())
        self.assertIn("no sentinel of redis+sentinel://127.0.0.1", broker.text())
        self.rig.configure({"redis.url": self.url.replace("/jobs", "/others")})
        broker = self.rig.broker("--wait-store", "0", name="others", ready=False)
        self.assertEqual(69, broker.wait())
        self.assertIn("No such master", broker.text())


class Window:
    """A client with many submissions on their way at once."""

    def __init__(self, case, size):
        self.client, self.size, self.n, self.open = case.client(), size, 0, 0

    def submit(self, count):
        """Seconds until all of them are acknowledged."""
        began, left = time.monotonic(), count
        while left or self.open:
            while left and self.open < self.size:
                self.n += 1
                self.client.say("SUBMIT", self.n, f"w-{self.n}", "", "", 0, {}, b"", ["problem"],
                                frames=[pack({"text": "The book drop is emptied at 10."})])
                left -= 1
                self.open += 1
            name, fields, _ = self.client.expect("SUBMITTED", "REFUSED")
            if name == "REFUSED":
                raise AssertionError(fields)
            self.open -= 1
        return time.monotonic() - began


DELAY = """
import asyncio, os, sys
port, delay, path = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]

async def pump(reader, writer, delay):
    queue = asyncio.Queue()
    loop = asyncio.get_running_loop()
    async def say():
        while True:
            due, piece = await queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()
    task = asyncio.create_task(say())
    while piece := await reader.read(1 << 18):
        queue.put_nowait((loop.time() + delay, piece))
    queue.put_nowait((0, b""))
    await task

async def serve(reader, writer):
    up, down = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(pump(reader, down, 0), pump(up, writer, delay), return_exceptions=True)

async def run():
    server = await asyncio.start_unix_server(serve, path)
    async with server:
        await server.serve_forever()

asyncio.run(run())
"""


class Figures(RedisCase):
    JOBS = 60000

    def rate(self, delay_ms):
        """Submissions a second behind a proxy that gives each answer of Redis late, and the most turns seen in flight."""
        self.servers.say("one", "flushall", "sync")
        self.runs = getattr(self, "runs", 0) + 1
        path = self.rig.dir / f"late-{self.runs}.sock"
        self.rig.start(f"late-{self.runs}", [sys.executable, "-c", DELAY, self.servers.ports["one"], delay_ms / 1000, path])
        until(path.exists, "the proxy listens")
        self.rig.configure({"redis.url": f"unix://{path}"})
        broker = self.rig.broker(name=f"broker-{self.runs}")
        window, watcher, seconds = Window(self, 500), self.client(), []
        thread = threading.Thread(target=lambda: seconds.append(window.submit(4000)), daemon=True)
        thread.start()
        turns = 0
        while thread.is_alive():
            turns = max(turns, self.store(watcher)["turns_in_flight"])
        broker.stop()
        return 4000 / seconds[0], turns

    def test_a_reply_5_ms_late_costs_less_than_half_of_the_rate(self):
        self.servers.start("one")
        plain, late = [], []
        for _ in range(3):  # in turn: other work on this machine comes and goes
            plain.append(self.rate(0))
            late.append(self.rate(5))
        fast, slow = statistics.median(r for r, _ in plain), statistics.median(r for r, _ in late)
        turns = max(n for _, n in late)
        print(f"submissions/s {fast:.0f}, each answer 5 ms late {slow:.0f}: {slow / fast:.0%}; {turns} turns in flight",
              file=sys.stderr)
        self.assertGreater(slow, fast / 2)
        self.assertGreaterEqual(turns, 2, "a turn does not wait for the one before it")

    def test_a_queued_job_is_small(self):
        self.servers.start("one")
        self.rig.configure({"redis.url": self.servers.url("one"), "retain.events": 1000})
        broker = self.rig.broker()
        window = Window(self, 500)
        window.submit(60000)  # caches and buffers have their size
        begin = self.resident(broker)
        window.submit(self.JOBS)
        grown = (self.resident(broker) - begin) / self.JOBS
        n = self.JOBS + 60000
        words = self.servers.say("one", "eval", """
            local sums, cursor = {}, '0'
            repeat
              local r = redis.call('SCAN', cursor, 'COUNT', 1000)
              cursor = r[1]
              for _, key in ipairs(r[2]) do
                local kind = string.match(key, '^pawl:{s0}:(%a+)') or key
                sums[kind] = (sums[kind] or 0) + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
              end
            until cursor == '0'
            local out = {}
            for kind, bytes in pairs(sums) do out[#out + 1] = kind; out[#out + 1] = tostring(bytes) end
            return out""", 0).split()
        sums = dict(zip(words[::2], words[1::2]))
        kept = {kind: int(bytes) / n for kind, bytes in sums.items()}
        beside = sum(size for kind, size in kept.items() if kind not in ("d", "b", "w", "e"))
        print(f"bytes a queued job: Redis {beside:.0f} beside its documents ({kept}), broker {grown:.0f}", file=sys.stderr)
        self.assertLessEqual(beside, 650)
        if not SANITIZED:
            self.assertLessEqual(grown, 250)

    def resident(self, process):
        return int(re.search(r"^VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{process.pid}/status").read_text(), re.M).group(1)) << 10


if __name__ == "__main__":
    main()
