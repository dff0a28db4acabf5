#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real broker and a real Redis, spoken to by hand: what schemas/protocol.md promises."""
import os
import signal
import socket
import struct

from rig import Case, ENDED, free_port, main, until
from wire import Client, NUMBER, Peer, Worker, pack

import msgpack

PIPELINE = [{"stage": "write", "each": "round", "reads": ["problem", "draft@best"], "writes": ["draft", "change", "questions"],
             "silence": "2s"},
            {"stage": "judge", "each": "round", "reads": ["draft", "change"], "writes": ["review"], "silence": "2s"}]
DRAFT = {"change_name": "a", "title": "t", "why": "w", "what": [], "requirements": [], "tasks": []}
CHANGE = {"name": "a", "files": [{"path": "proposal.md", "text": "text"}]}


def verdict(measures, candidate="c1", gates=True):
    return {"gates": gates, "measures": measures, "judge": -1, "errors": 0, "warnings": 1, "candidate": candidate}


def review(v):
    return {"review": {"verdict": v, "gates": [], "measures": [], "findings": []}}


class Wire(Case):
    settings = {"pipeline": PIPELINE}

    def setUp(self):
        super().setUp()
        self.redis = self.rig.redis("--appendfsync", "always")
        self.broker = self.rig.broker()
        self.endpoint = self.rig.settings["broker.endpoint"]

    def client(self):
        return Client(self, self.endpoint)

    def worker(self, stage):
        return Worker(self, self.endpoint, stage)

    def one_round(self, writer, judge, measures, candidate="c1"):
        task = writer.task()
        self.assertEqual("committed", writer.done(task, {"draft": DRAFT, "change": CHANGE}))
        task = judge.task()
        v = verdict(measures, candidate)
        self.assertEqual("committed", judge.done(task, review(v), v))

    def wait_state(self, client, job, *states):
        return until(lambda: (m := client.show(job))["state"] in states and m, f"{job} is {states}")

    def test_a_job_from_submission_to_its_end(self):
        client = self.client()
        name, fields, _ = client.submit()
        self.assertEqual("SUBMITTED", name, fields)
        job, existing, unserved = fields
        self.assertEqual((False, ["write", "judge"]), (existing, unserved))
        writer, judge = self.worker("write"), self.worker("judge")
        self.one_round(writer, judge, 500, "c1")
        self.one_round(writer, judge, 900, "c2")
        shown = self.wait_state(client, job, *ENDED)
        self.assertEqual([1, 2], [e["round"] for e in shown["ledger"]])
        self.assertEqual(2, shown["best"]["round"])
        name, fields, frames = client.ask("GET", job, "change", 0, 0)
        self.assertEqual(("DOC", CHANGE), (name, msgpack.unpackb(frames[0][1:])))

    def test_submitted_twice_is_one_job(self):
        client = self.client()
        _, (job, first, _), _ = client.submit(key="same")
        _, (again, existing, _), _ = self.client().submit(key="same")
        self.assertEqual((job, False, True), (again, first, existing))

    def test_worker_that_falls_silent_loses_the_lease_and_its_late_result_counts_once(self):
        client = self.client()
        job = client.submit()[1][0]
        first = self.worker("write")
        task = first.task()
        second = self.worker("write")  # the first one says nothing more
        again = second.task(seconds=30)
        self.assertEqual((task["task"], 2), (again["task"], again["attempt"]))
        self.assertNotEqual(task["fence"], again["fence"])
        self.assertEqual("committed", second.done(again, {"draft": DRAFT, "change": CHANGE}))
        first.hello("worker", ["write"], 1, "write/by-hand", [[task["task"], task["fence"]]])
        first.say("DONE", task["task"], task["fence"], ["draft", "change"], None, 0, 0, frames=[pack(DRAFT), pack(CHANGE)])
        _, fields, _ = first.expect("TAKEN")
        self.assertIn(fields[2], ("already", "stale"))
        self.assertEqual("judge", client.show(job)["stage"])

    def test_steps_come_back_to_whoever_continues(self):
        self.client().submit()
        first = self.worker("write")
        task = first.task()
        digest = bytes(range(32))
        first.say("STEP", task["task"], task["fence"], digest, 11, 7, 5, frames=[pack({"text": "paid for"})])
        first.expect("STEPPED")
        first.say("RELEASE", task["task"], task["fence"], "drained")
        first.expect("TAKEN")
        again = self.worker("write").task()
        steps = msgpack.unpackb(again["docs"]["steps"][1:])["items"]
        self.assertEqual([digest.hex()], [s["hash"] for s in steps])
        self.assertEqual({"text": "paid for"}, steps[0]["result"])

    def test_broker_killed_in_the_middle_forgets_nothing(self):
        client = self.client()
        jobs = [client.submit(key=f"k{n}")[1][0] for n in range(20)]
        writer = self.worker("write")
        task = writer.task()
        self.broker.kill()
        self.broker = self.rig.broker(name="broker-2")
        client = self.client()
        self.assertEqual({"running", "queued"}, {client.show(job)["state"] for job in jobs})
        writer.missed.clear()
        name, _, _ = writer.hello("worker", ["write"], 1, "write/by-hand", [[task["task"], task["fence"]]])
        self.assertEqual("WELCOME", name)
        writer.seen = 0
        self.assertIn(writer.done(task, {"draft": DRAFT, "change": CHANGE}), ("committed",))
        held = [client.show(job) for job in jobs]
        self.assertEqual(1, sum(1 for m in held if m["stage"] == "judge"))

    def test_question_waits_and_the_answer_goes_on(self):
        client = self.client()
        job = client.submit()[1][0]
        writer = self.worker("write")
        question = {"id": "q1", "text": "Which branch?", "otherwise": "all"}
        writer.done(writer.task(), {"questions": {"items": [question]}})
        self.wait_state(client, job, "waiting")
        self.assertEqual("OKAY", client.ask("ANSWER", job, "", "Gruenau")[0])
        shown = client.show(job)
        self.assertNotEqual("waiting", shown["state"])
        self.assertEqual(["Gruenau"], [a["text"] for a in shown["answers"]])

    def test_cancel_drops_the_running_task(self):
        client = self.client()
        job = client.submit()[1][0]
        writer = self.worker("write")
        task = writer.task()
        self.assertEqual("OKAY", client.ask("CANCEL", job, "no longer wanted")[0])
        name, fields, _ = writer.expect("DROP")
        self.assertEqual((task["task"], "cancelled"), (fields[0], fields[2]))
        self.assertEqual("cancelled", client.show(job)["state"])

    def test_comment_on_an_ended_job_opens_the_next_run(self):
        client = self.client()
        job = client.submit(budget={"rounds": 1})[1][0]
        writer, judge = self.worker("write"), self.worker("judge")
        self.one_round(writer, judge, 300)
        ended = self.wait_state(client, job, *ENDED)
        self.assertEqual((1, "exhausted"), (ended["run"], ended["state"]))
        self.assertEqual("OKAY", client.ask("COMMENT", job, "name the branch")[0])
        self.assertEqual(2, client.show(job)["run"])
        self.one_round(writer, judge, 900, "c2")
        self.assertEqual("accepted", self.wait_state(client, job, *ENDED)["state"])

    def test_second_broker_on_the_same_endpoint_is_refused(self):
        second = self.rig.broker(name="second", ready=False)
        self.assertEqual(69, second.wait(30), second.text())
        self.assertIn("broker", second.text())
        self.assertEqual("SUBMITTED", self.client().submit()[0])

    def test_second_broker_on_the_same_redis_is_refused(self):
        second = self.rig.broker("--endpoint", f"ipc://{self.rig.dir}/other.sock", name="second", ready=False)
        self.assertEqual(69, second.wait(30), second.text())
        self.assertEqual("SUBMITTED", self.client().submit()[0])


class Hostile(Case):
    """Bytes that no peer of ours would send, on a TCP port."""

    settings = {"pipeline": PIPELINE}

    def setUp(self):
        super().setUp()
        self.rig.redis()
        self.port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.rig.configure({"broker.endpoint": self.endpoint})
        self.broker = self.rig.broker()

    def good(self):
        self.assertTrue(self.broker.alive(), self.broker.text())
        client = Client(self, self.endpoint)
        name, fields, _ = client.submit(key=os.urandom(8).hex())
        self.assertEqual("SUBMITTED", name, fields)

    def test_random_bytes_on_the_port(self):
        for n in (1, 100, 70000):
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                s.sendall(os.urandom(n))
        self.good()

    def test_half_a_greeting_then_gone(self):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.good()

    def test_random_frames(self):
        peer = Peer(self, self.endpoint)
        for n in range(200):
            peer.socket.send_multipart([os.urandom(n % 60) for _ in range(1 + n % 4)])
        self.good()

    def test_frame_too_large(self):
        peer = Peer(self, self.endpoint)
        peer.hello()
        peer.say("SUBMIT", 1, "k", "", "", 0, {}, b"", ["problem"], frames=[b"\0" * (17 << 20)])
        self.good()

    def test_malformed_headers_are_refused_by_name(self):
        peer = Peer(self, self.endpoint)
        peer.hello()
        for header in ([1, 999, 0], [2, NUMBER["PING"], 0, 1], [1, NUMBER["SHOW"], 0, "not a number", "x"]):
            peer.socket.send(msgpack.packb(header))
            name, fields, _ = peer.expect("REFUSED")
            self.assertEqual("protocol", fields[1], fields)
            self.assertTrue(fields[2], "says why")
        self.good()

    def test_signal_ends_it_cleanly(self):
        self.good()
        self.assertEqual(0, self.broker.stop())
        self.assertFalse(self.broker.kill(signal.SIGKILL))


if __name__ == "__main__":
    main()
