#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second machine joins over TCP with CURVE keys; without keys nobody listens on a public address."""
import json
import re

from rig import Case, PREFIX, free_port, main, until
from wire import Peer

PROBLEM = "Late fees of one household should be capped at 25 euros per calendar month."


class Tcp(Case):
    def keys(self, name):
        """(secret file, public key) of a new pair."""
        said = self.rig.pawl("keys", "new", name, conf=False)
        public = re.search(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}", said.out + said.err).group(0)
        return self.rig.dir / f"{name}.key", public

    def other_machine(self, **settings):
        """A configuration file of somebody who knows the broker's address and nothing of its files."""
        path = self.rig.dir / f"other-{len(list(self.rig.dir.glob('other-*')))}.yaml"
        tree = {"state_dir": str(self.rig.dir / "other-state"), "broker": {"endpoint": self.endpoint}}
        for key, value in settings.items():
            first, second = key.split("__")
            tree.setdefault(first, {})[second] = str(value)
        path.write_text(json.dumps(tree))
        return path

    def start_broker(self):
        self.rig.redis()
        self.secret, self.public = self.keys("broker")
        self.allow = self.rig.dir / "allow"
        self.allow.write_text("")
        self.endpoint = f"tcp://0.0.0.0:{free_port()}"
        self.rig.configure({"broker.endpoint": self.endpoint, "broker.secret_file": str(self.secret), "broker.allow": str(self.allow)})
        broker = self.rig.broker()
        self.endpoint = self.endpoint.replace("0.0.0.0", "127.0.0.1")
        return broker

    def test_public_bind_without_keys_is_refused(self):
        self.rig.redis()
        broker = self.rig.broker("--endpoint", f"tcp://0.0.0.0:{free_port()}", ready=False)
        self.assertEqual(78, broker.wait(), broker.text())
        self.assertRegex(broker.text(), "public address")
        self.assertIn("pawl keys new", broker.text())

    def test_second_machine_joins(self):
        roles = {name: self.keys(name) for name in ("desk", "gpu")}
        self.start_broker()
        self.rig.pawl("keys", "allow", self.allow, roles["desk"][1], "client", conf=False)
        self.rig.pawl("keys", "allow", self.allow, roles["gpu"][1], "worker", conf=False)
        sim = self.rig.sim()
        project = self.rig.project()
        gpu = self.other_machine(broker__public_key=self.public, peer__secret_file=roles["gpu"][0], model__url=sim.url + "/v1")
        desk = self.other_machine(broker__public_key=self.public, peer__secret_file=roles["desk"][0])
        for stage in ("parse", "analyze", "generate", "review"):
            self.rig.start(stage, [PREFIX / f"bin/pawl-{stage}", "--config", gpu])
        until(lambda: len(self.rig.pawl("workers", "-o", "json", "--config", desk, conf=False, code=None).out) > 4 and
              all(s in self.rig.pawl("workers", "--config", desk, conf=False).out for s in ("parse", "analyze", "generate", "review")),
              "four workers over TCP")
        job = self.rig.pawl("submit", PROBLEM, "-C", project, "-o", "id", "--rounds", "1", "--config", desk, conf=False).out.strip()
        self.rig.pawl("watch", job, "--config", desk, conf=False, code=(0, 1))
        # A worker's key is no client's.
        denied = self.rig.pawl("ps", "--config", gpu, conf=False, code=77)
        self.assertRegex(denied.err, "role|worker|allowed")

    def test_strangers_are_not_heard(self):
        self.start_broker()
        stranger = self.keys("stranger")
        conf = self.other_machine(broker__public_key=self.public, peer__secret_file=stranger[0])
        self.rig.pawl("ps", "--timeout", "3s", "--config", conf, conf=False, code=(69, 77, 124))
        plain = self.other_machine()
        self.rig.pawl("ps", "--timeout", "3s", "--config", plain, conf=False, code=(69, 77, 124))
        peer = Peer(self, self.endpoint)
        peer.say("HELLO", "client", "plain", "test", [], 0, [], [])
        self.assertIsNone(peer.receive(1), "no answer without a key")

    def test_secret_file_of_others_reach_is_refused(self):
        secret, _ = self.keys("mine")
        self.assertEqual(0o600, secret.stat().st_mode & 0o777)
        self.start_broker()
        secret.chmod(0o644)
        conf = self.other_machine(broker__public_key=self.public, peer__secret_file=secret)
        self.assertIn("mine.key", self.rig.pawl("ps", "--config", conf, conf=False, code=78).err)


if __name__ == "__main__":
    main()
