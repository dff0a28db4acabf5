#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys and roles over TCP with CURVE: what a role may, and keys that are let in, changed and revoked under way."""
import json
import re

from rig import Case, PREFIX, free_port, main, until

TEXT = "Late fees of one household should be capped at 25 euros per calendar month."


class Keys(Case):
    def setUp(self):
        super().setUp()
        self.rig.redis()
        self.project = self.rig.project()
        self.secret, self.public = self.key("broker")
        self.allow = self.rig.dir / "allow"
        self.allow.write_text("")
        port = free_port()
        self.rig.configure({"broker.endpoint": f"tcp://0.0.0.0:{port}", "broker.secret_file": str(self.secret),
                            "broker.allow": str(self.allow)})
        self.broker = self.rig.broker()
        self.endpoint = f"tcp://127.0.0.1:{port}"

    def key(self, name):
        said = self.rig.pawl("keys", "new", name, conf=False)
        return self.rig.dir / f"{name}.key", re.search(r"^\S{40}$", said.out, re.M).group(0)

    def let(self, key, role, code=0):
        return self.rig.pawl("keys", "allow", self.allow, key, role, conf=False, code=code)

    def revoke(self, key, code=0):
        return self.rig.pawl("keys", "revoke", self.allow, key, conf=False, code=code)

    def machine(self, name, role=None):
        """A configuration file of somebody with a key of that role."""
        secret, public = self.key(name)
        if role:
            self.let(public, role)
        path = self.rig.dir / f"{name}.yaml"
        path.write_text(json.dumps({"state_dir": str(self.rig.dir / f"{name}-state"),
                                    "broker": {"endpoint": self.endpoint, "public_key": self.public},
                                    "peer": {"secret_file": str(secret)}}))
        return path, public

    def pawl(self, conf, *arguments, code=0):
        return self.rig.pawl(*arguments, "--config", conf, conf=False, code=code)

    def submit(self, conf, *more, code=0):
        return self.pawl(conf, "submit", TEXT, "-C", self.project, "-o", "id", *more, code=code).out.strip()

    def ids(self, conf):
        return set(self.pawl(conf, "ps", "-o", "id").out.split())

    def workers(self, conf):
        return json.loads(self.pawl(conf, "workers", "-o", "json").out)

    def test_a_project_key_sees_its_project_only(self):
        admin, _ = self.machine("admin", "admin")
        red, _ = self.machine("red", "client:red")
        blue, _ = self.machine("blue", "client:blue")
        one, two = self.submit(red), self.submit(blue)
        self.assertEqual([{one}, {two}, {one, two}], [self.ids(c) for c in (red, blue, admin)])
        self.submit(blue, "--project", "red", code=77)
        for command in (("show", one), ("show", one[:6]), ("get", one, "--doc", "problem"), ("cancel", one), ("pause", one),
                        ("comment", one, "mine"), ("ask", one, "what is it?"), ("watch", one), ("logs", one), ("retry", one)):
            with self.subTest(command):
                said = self.pawl(blue, *command, "--timeout", "20s", code=(2, 66, 69, 77, 64))
                self.assertNotIn("Late fees", said.out + said.err)
                self.assertRegex(said.err, "no such job")
        self.assertEqual("queued", json.loads(self.pawl(red, "show", one, "-o", "json").out)["state"])
        worker, _ = self.machine("worker", "worker")
        self.rig.start("parse", [PREFIX / "bin/pawl-parse", "--config", worker])
        self.rig.start("analyze", [PREFIX / "bin/pawl-analyze", "--config", worker])
        until(lambda: len(self.workers(admin)["workers"]) == 2, "two workers")
        self.assertNotIn(one, json.dumps(self.workers(blue)), "nor what workers hold of others")

    def test_roles_are_checked_per_message(self):
        admin, _ = self.machine("admin", "admin")
        client, _ = self.machine("client", "client")
        worker, _ = self.machine("worker", "worker:parse,generate")
        self.submit(client)
        self.pawl(worker, "ps", code=77)
        self.pawl(worker, "submit", TEXT, "-C", self.project, code=77)
        self.submit(client, "--class", "urgent", code=77)
        self.submit(admin, "--class", "urgent")
        refused = self.rig.start("review", [PREFIX / "bin/pawl-review", "--config", worker])
        as_client = self.rig.start("analyze", [PREFIX / "bin/pawl-analyze", "--config", client])
        allowed = [self.rig.start(stage, [PREFIX / f"bin/pawl-{stage}", "--config", worker]) for stage in ("parse", "generate")]
        until(lambda: len(self.workers(admin)["workers"]) == 2, "the stages of the role")
        serving = {stage for w in self.workers(admin)["workers"] for stage in w["stages"]}
        self.assertEqual({"parse", "generate", "ask"}, serving)
        for process, why in ((refused, "not for the stage review"), (as_client, "role client")):
            process.wait_text(why)
        self.assertTrue(all(p.alive() for p in allowed))

    def test_a_revoked_key_is_deaf_and_dumb_at_once(self):
        admin, _ = self.machine("admin", "admin")
        client, public = self.machine("client", "client")
        worker, worker_key = self.machine("worker", "worker:parse")
        process = self.rig.start("parse", [PREFIX / "bin/pawl-parse", "--config", worker])
        until(lambda: self.workers(admin)["workers"], "the worker")
        job = self.submit(client)
        watch = self.rig.start("watch", [PREFIX / "bin/pawl", "watch", job, "-o", "jsonl", "--config", client])
        watch.wait_text(job)
        self.revoke(public)
        self.broker.wait_text("a key was revoked")
        before = watch.text()
        self.pawl(admin, "comment", job, "he must not hear this")
        self.pawl(admin, "cancel", job)
        self.rig.pawl("ps", "--timeout", "3s", "--config", client, conf=False, code=(69, 77, 124))
        self.assertEqual(before.count('"kind"'), watch.text().count('"kind"'), "nothing more was heard")
        watch.struck = True
        start = len(self.broker.text())
        self.revoke(worker_key)
        self.broker.wait_text("a key was revoked", start=start)
        until(lambda: not self.workers(admin)["workers"], "the worker is gone", 5)
        self.submit(admin)
        process.kill()
        self.let(worker_key, "worker:parse")
        self.rig.start("parse-again", [PREFIX / "bin/pawl-parse", "--config", worker])
        until(lambda: self.workers(admin)["workers"], "it is let in again, without a restart")

    def test_a_changed_role_holds_at_once(self):
        admin, _ = self.machine("admin", "admin")
        conf, key = self.machine("somebody", "client")
        red = self.submit(admin, "--project", "red")
        self.assertEqual({red}, self.ids(conf))
        self.let(key, "client:blue")
        self.assertEqual(set(), self.ids(conf))
        self.assertEqual(1, self.allow.read_text().count(key), "one line a key")
        self.let(key, "worker")
        self.pawl(conf, "ps", code=77)

    def test_the_commands(self):
        _, one = self.key("one")
        _, two = self.key("two")
        self.allow.write_text(f"# who may\n{one} client\n")
        self.let(two, "worker:parse")
        self.assertEqual(f"# who may\n{one} client\n{two} worker:parse\n", self.allow.read_text())
        self.revoke(one)
        self.assertEqual(f"# who may\n{two} worker:parse\n", self.allow.read_text())
        self.revoke(one, code=66)
        for role in ("client:", "worker:", "boss", "admin:all", "client:a b"):
            self.assertIn("no role", self.let(one, role, code=64).err)
        self.let("short", "client", code=64)


if __name__ == "__main__":
    main()
