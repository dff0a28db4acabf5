#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`pawl fsck`: every kind of damage planted in a real Redis is found, named, repaired; and nothing else is."""
import hashlib
import json
import subprocess

from rig import Case, main

KEYS = "pawl:{s0}:"
HEX = "ab" * 32


class Fsck(Case):
    def setUp(self):
        super().setUp()
        self.rig.redis()
        self.rig.project()

    def cli(self, *arguments):
        return self.rig.redis_cli(*arguments).strip()

    def jobs(self, n=3):
        """Open and ended jobs with a workspace, and no broker any more."""
        broker = self.rig.broker()
        ids = [self.rig.submit(f"Problem number {i}: late fees are capped.") for i in range(n)]
        self.rig.pawl("cancel", ids[0])
        self.assertEqual(0, broker.stop())
        return ids

    def fsck(self, *arguments, code=0):
        """(findings, summary)"""
        said = self.rig.pawl("fsck", "-o", "jsonl", *arguments, code=code).out.splitlines()
        lines = [json.loads(line) for line in said]
        return lines[:-1], lines[-1]

    def expect(self, *wanted):
        """Found are exactly these (kind, key), read-only; then they are repaired, and nothing is left."""
        before = self.content()
        found, total = self.fsck(code=1)
        self.assertEqual(before, self.content(), "a check changes nothing")
        self.assertEqual(sorted(wanted), sorted((f["kind"], f["key"]) for f in found), found)
        self.assertEqual(len(wanted), total["found"])
        repaired, total = self.fsck("--repair")
        self.assertEqual(0, total["left"], repaired)
        self.assertEqual(len(wanted), total["found"])
        found, total = self.fsck()
        self.assertEqual(([], 0), (found, total["found"]))
        self.rig.broker(name=f"again-{len(self.rig.processes)}").stop()  # and a broker takes it

    def content(self):
        keys = sorted(k for k in self.cli("KEYS", KEYS + "*").splitlines() if not k.endswith((":lead", ":lock")))
        return {k: self.rig.redis_cli("--no-raw", "DUMP", k) for k in keys} if keys else {}

    def redis_binary(self, *arguments):
        """An argument of any bytes, which the command line cannot carry: from standard input."""
        *first, last = arguments
        subprocess.run(["redis-cli", "-s", str(self.rig.dir / "redis.sock"), "-x", *first], input=last, check=True,
                       capture_output=True, timeout=30)

    def workspace(self):
        return next(k for k in self.cli("KEYS", KEYS + "w:*").splitlines()).removeprefix(KEYS + "w:")

    def test_nothing_differs(self):
        self.assertEqual(0, self.fsck()[1]["jobs"], "an empty store is in order")
        self.jobs()
        found, total = self.fsck()
        self.assertEqual([], found)
        self.assertEqual((3, 1, 0), (total["jobs"], total["blobs"], total["left"]))
        self.assertRegex(self.rig.pawl("fsck").out, "3 jobs, .* 0 differences")

    def test_a_whole_loop_leaves_nothing_to_say(self):
        broker = self.rig.broker()
        self.rig.sim()
        workers = self.rig.workers()
        job = self.rig.submit("Late fees of one household should be capped at 25 euros.", "--rounds", "2")
        self.rig.wait(job)
        self.rig.pawl("comment", job, "keep the limit")
        self.rig.wait(job)
        for process in [*workers, broker]:
            process.stop()
        found, total = self.fsck()
        self.assertEqual([], found)
        self.assertGreater(total["documents"], 10)

    def test_refused_while_a_broker_leads(self):
        self.rig.broker()
        for more in ((), ("--repair",)):
            said = self.rig.pawl("fsck", *more, code=69)
            self.assertRegex(said.err, "another broker leads")
        self.assertEqual(64, self.rig.pawl("fsck", "--mend", code=64).code)

    def test_no_redis(self):
        self.rig.configure({"redis.url": "unix:///nowhere/redis.sock"})
        broker = ["--set", "redis.url=unix:///nowhere/redis.sock"]
        self.assertRegex(self.rig.pawl("fsck", *broker, code=69).err, "nowhere")

    def test_missing_entry(self):
        ids = self.jobs()
        self.cli("ZREM", KEYS + "x:open", ids[1])
        self.cli("DEL", KEYS + "x:ended")
        self.expect(("missing-entry", "x:open"), ("missing-entry", "x:ended"))
        self.assertEqual({ids[1], ids[2]}, set(self.cli("ZRANGE", KEYS + "x:open", "0", "-1").split()))

    def test_surplus_entry_and_wrong_set(self):
        ids = self.jobs()
        score = self.cli("ZSCORE", KEYS + "x:open", ids[1])
        self.cli("ZADD", KEYS + "x:failed", "1", ids[1])
        self.cli("ZREM", KEYS + "x:open", ids[1])
        self.cli("ZADD", KEYS + "x:ended", score, ids[1])
        self.cli("ZADD", KEYS + "x:all", "1", "not a job")
        self.expect(("surplus-entry", "x:failed"), ("missing-entry", "x:open"), ("surplus-entry", "x:ended"),
                    ("surplus-entry", "x:all"))
        self.assertEqual(score, self.cli("ZSCORE", KEYS + "x:open", ids[1]))

    def test_wrong_score(self):
        ids = self.jobs()
        self.cli("ZADD", KEYS + "x:open", "5", ids[2])
        self.expect(("wrong-score", "x:open"))

    def test_lost_record(self):
        ids = self.jobs()
        self.cli("DEL", KEYS + "j:" + ids[1])
        self.expect(("lost-record", "x:open"), ("lost-record", "x:all"), ("orphan-document", "d:" + ids[1]),
                    ("surplus-need", "w:" + self.workspace()))
        self.assertEqual("1", self.cli("EXISTS", KEYS + "lost:d:" + ids[1]), "documents are set aside, not deleted")

    def test_broken_record(self):
        ids = self.jobs()
        bytes_ = subprocess.run(["redis-cli", "-s", str(self.rig.dir / "redis.sock"), "GET", KEYS + "j:" + ids[1]],
                                capture_output=True, check=True).stdout
        self.redis_binary("SET", KEYS + "j:" + ids[1], bytes_[:60])
        refused = self.rig.broker(name="refused", ready=False)
        self.assertNotEqual(0, refused.wait(), "a broker does not start on it")
        self.expect(("broken-record", "j:" + ids[1]), ("surplus-entry", "x:open"), ("surplus-entry", "x:all"),
                    ("orphan-document", "d:" + ids[1]), ("surplus-need", "w:" + self.workspace()))
        self.assertEqual("1", self.cli("EXISTS", KEYS + "lost:j:" + ids[1]))

    def test_wrong_version(self):
        ids = self.jobs()
        self.cli("SETRANGE", KEYS + "j:" + ids[1], "0", "00000000ff")
        self.expect(("wrong-version", "j:" + ids[1]))
        self.rig.broker()
        self.rig.pawl("cancel", ids[1])  # its next record is accepted

    def test_orphan_documents(self):
        ids = self.jobs()
        self.cli("HSET", KEYS + "d:" + "0" * 11 + "1", "1/1/brief", "x")
        self.cli("HSET", KEYS + "d:" + ids[2], "7/1/brief", "x", "ledger#9", "x", "nonsense", "x")
        self.expect(("orphan-document", "d:" + "0" * 11 + "1"), *[("orphan-document", "d:" + ids[2])] * 3)
        self.assertEqual("0", self.cli("HEXISTS", KEYS + "d:" + ids[2], "nonsense"))
        self.assertEqual("x", self.cli("GET", KEYS + f"lost:d:{ids[2]}/nonsense"))

    def test_lost_document_cannot_be_made_again(self):
        ids = self.jobs()
        self.assertEqual("1", self.cli("HDEL", KEYS + "d:" + ids[1], "0/0/problem"))
        for more in ((), ("--repair",)):
            found, total = self.fsck(*more, code=1)
            self.assertEqual([("lost-document", "d:" + ids[1], "0/0/problem")], [(f["kind"], f["key"], f["member"]) for f in found])
            self.assertEqual(1, total["left"])

    def test_blobs(self):
        ids = self.jobs()
        good, nobody = self.workspace(), "0" * 11 + "1"
        self.redis_binary("SET", KEYS + "b:" + hashlib.sha256(b"x").hexdigest(), b"\0x")
        self.cli("ZADD", KEYS + "blobs", "1", HEX)
        self.cli("SADD", KEYS + "w:" + good, nobody)
        self.cli("SREM", KEYS + "w:" + good, ids[1])
        self.expect(("orphan-blob", "blobs"), ("surplus-entry", "blobs"), ("surplus-need", "w:" + good),
                    ("missing-need", "w:" + good))
        self.assertEqual(set(ids), set(self.cli("SMEMBERS", KEYS + "w:" + good).split()))

    def test_broken_and_lost_blob(self):
        self.jobs()
        good = self.workspace()
        self.redis_binary("SET", KEYS + "b:" + good, b"\0other bytes")
        found, total = self.fsck("--repair", code=1)
        self.assertEqual({"broken-blob", "lost-blob"}, {f["kind"] for f in found} - {"surplus-entry"})
        self.assertEqual(3, total["left"], "three jobs have lost their workspace")

    def test_wrong_types_and_strays(self):
        ids = self.jobs()
        self.cli("DEL", KEYS + "x:open")
        self.cli("SET", KEYS + "x:open", "a string")
        self.cli("SET", KEYS + "x:nosuch", "1")
        self.cli("SET", KEYS + "whatever", "1")
        self.expect(("wrong-type", "x:open"), ("missing-entry", "x:open"), ("missing-entry", "x:open"),
                    ("stray-key", "x:nosuch"), ("stray-key", "whatever"))
        self.assertEqual({ids[1], ids[2]}, set(self.cli("ZRANGE", KEYS + "x:open", "0", "-1").split()))

    def test_broken_pipeline(self):
        self.cli("HSET", KEYS + "pipelines", "00000000000000ff", "junk")
        self.expect(("broken-pipeline", "pipelines"))

    def test_private_redis_of_up(self):
        """Without redis.url it starts the Redis that `pawl up` keeps, and ends it."""
        self.jobs()
        self.cli("ZREM", KEYS + "x:all", self.cli("ZRANGE", KEYS + "x:all", "0", "0"))
        state = self.rig.dir / "state/redis"
        state.parent.mkdir(exist_ok=True)
        self.rig.processes[0].stop()
        (self.rig.dir / "redis-data").rename(state)
        self.rig.configure({"redis.url": ""})
        found, _ = self.fsck("--repair")
        self.assertEqual([("missing-entry", "x:all")], [(f["kind"], f["key"]) for f in found])
        self.assertEqual([], self.fsck()[0])
        self.assertFalse((self.rig.dir / "state/redis.sock").exists())


if __name__ == "__main__":
    main()
