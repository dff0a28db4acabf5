#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many jobs in one call: each for itself or all or none, the same key the same job, one turn in the store."""
import hashlib

import msgpack

from rig import Case, PREFIX, main, until
from wire import Peer, pack


def job(key, text="Late fees are capped.", label=""):
    return [key, label, pack({"text": text})]


def frame(jobs):
    return b"\0" + msgpack.packb(jobs)


class Many(Case):
    settings = {"limits.open_jobs": 12000}

    def setUp(self):
        super().setUp()
        self.rig.redis()
        self.the_broker = self.rig.broker()
        self.peer = self.client()
        self.req = 0

    def client(self):
        peer = Peer(self, self.rig.settings["broker.endpoint"])
        peer.hello()
        return peer

    def say(self, *lists, whole=False, project="", workspace=b"", priority=0, klass="", start=0, raw=None, budget=None):
        self.req += 1
        frames = raw if raw is not None else [frame(jobs) for jobs in lists]
        self.peer.say("SUBMIT_ALL", self.req, whole, project, workspace, budget, priority, klass, start, frames=frames)
        name, fields, frames = self.peer.expect("SUBMITTED_ALL", "REFUSED", "NEED")
        self.assertEqual(self.req, fields[0])
        return name, fields, msgpack.unpackb(frames[0]) if frames else None

    def count(self):
        return int(self.rig.redis_cli("ZCARD", "pawl:{s0}:x:all"))

    def test_each_for_itself(self):
        name, fields, rows = self.say([job("a"), job(""), job("b", label="second"), job("a")])
        self.assertEqual(("SUBMITTED_ALL", 2), (name, fields[1]))
        self.assertEqual(["ok", "data", "ok", "ok"], [row[2] for row in rows])
        self.assertEqual([False, False, False, True], [row[1] for row in rows])
        self.assertEqual(rows[0][0], rows[3][0], "the same key is the same job")
        self.assertIn("idempotency key", rows[1][3])
        self.assertEqual(2, self.count())
        shown = self.rig.show(rows[2][0])
        self.assertEqual(("queued", "second", "b"), (shown["state"], shown["label"], shown["key"]))
        self.assertEqual("Late fees are capped.", self.rig.doc(rows[0][0], "problem")["text"])
        again = self.say([job("a"), job("b"), job("c")])
        self.assertEqual((1, [True, True, False]), (again[1][1], [row[1] for row in again[2]]))

    def test_all_or_none(self):
        name, fields, _ = self.say([job("a"), job("b")], [job("x" * 161)], whole=True)
        self.assertEqual(("REFUSED", "data"), (name, fields[1]))
        self.assertIn("job 3 of 3", fields[2])
        self.assertEqual(0, self.count())
        name, fields, rows = self.say([job("a"), job("b")], [job("c")], whole=True)
        self.assertEqual((3, 3), (fields[1], self.count()))
        self.assertEqual(rows, [[r[0], False, "ok", ""] for r in rows])

    def test_the_limit_of_open_jobs(self):
        self.say([job(f"k{i}") for i in range(10000)])
        name, fields, _ = self.say([job(f"m{i}") for i in range(2001)], whole=True)
        self.assertEqual(("REFUSED", "busy"), (name, fields[1]))
        self.assertGreater(fields[4], 0, "when to try again")
        self.assertEqual(10000, self.count())
        _, fields, rows = self.say([job(f"m{i}") for i in range(2001)])
        self.assertEqual((2000, "busy"), (fields[1], rows[-1][2]))

    def test_ten_thousand_in_one_call_survive_a_kill(self):
        jobs = [job(f"key-{i}", "x" * 500) for i in range(10000)]
        name, fields, rows = self.say(jobs[:4000], jobs[4000:], whole=True, project="big", priority=3)
        self.assertEqual(("SUBMITTED_ALL", 10000), (name, fields[1]))
        self.assertEqual(10000, len({row[0] for row in rows}))
        self.the_broker.kill()
        self.rig.broker(name="next")
        self.peer = self.client()
        again = self.say(jobs[:4000], jobs[4000:], whole=True, project="big", priority=3)
        self.assertEqual((0, [row[0] for row in rows]), (again[1][1], [row[0] for row in again[2]]))
        self.assertEqual(10000, self.count())
        self.assertEqual(3, self.rig.show(rows[7777][0])["priority"])
        self.rig.pawl("cancel", rows[5][0], rows[9999][0])
        self.assertEqual("cancelled", self.rig.state(rows[9999][0]))

    def test_a_workspace_is_needed_first(self):
        blob = b"\0" + b"not really a workspace"
        digest = hashlib.sha256(blob[1:]).digest()
        name, fields, _ = self.say([job("a"), job("b")], workspace=digest)
        self.assertEqual(("NEED", digest), (name, fields[1]))
        self.peer.say("PUT", 77, digest, frames=[blob])
        self.peer.expect("OKAY")
        self.assertEqual(2, self.say([job("a"), job("b")], workspace=digest)[1][1])
        self.assertEqual(2, int(self.rig.redis_cli("SCARD", "pawl:{s0}:w:" + digest.hex())))

    def test_what_is_malformed_is_refused(self):
        good = frame([job("a")])
        for raw in ([], [b""], [b"\0"], [b"\1" + good[1:]], [good + b"\0"], [good, b"\0\xc0"], [frame([])],
                    [frame([["a", "b"]])], [frame([["a", "b", b""]])], [frame([["a", "b", b"\7x"]])], [frame([[1, "b", b"\0\x80"]])],
                    [b"\0\xdd\xff\xff\xff\xff"], [frame([job(str(i)) for i in range(10001)])], [good[:-1]]):
            with self.subTest(raw=[r[:40] for r in raw]):
                name, fields, _ = self.say(raw=raw)
                self.assertEqual("REFUSED", name)
                self.assertIn(fields[1], ("data", "limit"))
        self.assertEqual("REFUSED", self.say([job("a")], klass="nonsense", whole=True)[0])
        self.assertEqual(0, self.count())
        self.assertEqual(1, self.say([job("a")])[1][1], "and it still works")


class ManyByHand(Case):
    """The same from the command line."""

    settings = {"limits.open_jobs": 30}

    def setUp(self):
        super().setUp()
        self.rig.redis()
        self.rig.broker()
        self.project = self.rig.project()
        self.backlog = self.rig.dir / "backlog"
        self.backlog.mkdir()

    def fill(self, n):
        for i in range(n):
            (self.backlog / f"{i:03}.md").write_text(f"# Problem {i}\n\nLate fees number {i} are capped.\n")

    def submit(self, *more, code=0):
        return self.rig.pawl("submit", self.backlog, "-C", self.project, *more, code=code)

    def test_a_directory_is_one_call(self):
        self.fill(20)
        ids = self.submit("-o", "id").out.split()
        self.assertEqual(20, len(set(ids)))
        self.assertEqual("Late fees number 7 are capped.", self.rig.doc(ids[7], "problem")["text"].splitlines()[2])
        turns = int(self.rig.redis_cli("HGET", "pawl:{s0}:lead", "t"))
        self.assertLess(turns, 15, "not a turn each")

    def test_with_a_key_the_same_problems_are_the_same_jobs(self):
        self.fill(5)
        first = self.submit("--key", "night", "-o", "id").out.split()
        self.fill(7)
        again = self.submit("--key", "night", "-o", "json").json["items"]
        self.assertEqual(first, [item["id"] for item in again if item["existing"]])
        self.assertEqual(7, len(again))
        self.assertEqual(7, len(self.rig.jobs()))

    def test_all_or_nothing(self):
        self.fill(31)
        said = self.submit("--all-or-nothing", "--timeout", "1s", code=75)
        self.assertIn("open", said.err)
        self.assertEqual([], self.rig.jobs())
        (self.backlog / "030.md").unlink()
        self.assertEqual(30, len(self.submit("--all-or-nothing", "-o", "id").out.split()))

    def test_a_full_broker_is_waited_for(self):
        self.fill(40)
        waiting = self.rig.start("submit", [PREFIX / "bin/pawl", "submit", self.backlog, "-C", self.project, "-o", "id",
                                            "--config", self.rig.conf])
        waiting.wait_text("trying again")
        jobs = until(lambda: len(self.rig.jobs()) == 30 and self.rig.jobs(), "thirty are there")
        self.rig.pawl("cancel", *[job["id"] for job in jobs[:10]])
        self.assertEqual(0, waiting.wait())
        self.assertEqual(40, len(self.rig.jobs()))

    def test_each_for_itself_says_which_was_refused(self):
        self.fill(3)
        said = self.submit("--project", "a/b", code=65)
        self.assertEqual(3, said.err.count("not submitted"))


if __name__ == "__main__":
    main()
