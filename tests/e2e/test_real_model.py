#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real llama.cpp server with a real small model: what it writes is a change that the real openspec CLI accepts."""
import os
import unittest

from rig import Case, ROOT, main, needs_node

MINUTES = 60


class RealModel(Case):
    def serve(self, variable):
        """llama.cpp's own server with the model that the variable names."""
        model = os.environ.get(variable)
        if not model:
            self.skipTest(f"{variable} is not set (tests/run.sh sets it)")
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ["HOME"], ".cache")
        server = self.rig.start("llama", [ROOT / "deploy/llama-server.sh", model, "--with-parent"],
                                env={"HOME": os.environ["HOME"], "XDG_CACHE_HOME": cache})
        url = server.wait_text(r"ready (http://\S+)", 120).group(1)
        self.rig.configure({"model.url": url + "/v1"})
        return server

    def start(self, variable):
        self.serve(variable)
        self.rig.redis()
        self.rig.broker()
        self.rig.workers()

    @needs_node
    def test_half_a_billion_parameters_write_a_valid_change(self):
        project = self.rig.project()
        self.start("PAWL_MODEL_SMALL")
        job = self.rig.pawl("submit", project / "problem.md", "-C", project, "-o", "id", "--rounds", "2", "--wall", "8m").out.strip()
        self.assertIn(self.rig.wait(job, 9 * MINUTES), ("accepted", "exhausted"), self.rig.pawl("show", job).out)
        self.assertGreater(self.rig.show(job)["tokens_out"], 100)
        change = self.rig.apply(job, project)
        self.rig.check_change(project, change.name)

    def test_a_model_without_sense_ends_in_good_order(self):
        project = self.rig.project()
        self.start("PAWL_MODEL_TINY")
        job = self.rig.pawl("submit", project / "problem.md", "-C", project, "-o", "id", "--rounds", "1", "--wall", "4m").out.strip()
        self.assertIn(self.rig.wait(job, 5 * MINUTES), ("accepted", "exhausted", "failed"))


if __name__ == "__main__":
    main()
