# SPDX-License-Identifier: Apache-2.0
"""A peer that speaks pawl's protocol by hand, for tests that read like a transcript, and a recording proxy."""
import hashlib
import http.client
import http.server
import pathlib
import re
import threading
import urllib.parse

import msgpack
import zmq
import zstandard

from rig import PATIENCE_S, ROOT


def numbers():
    text = (ROOT / "schemas/messages.def").read_text()
    return {name: int(number) for name, number in re.findall(r"^MSG\((\w+), (\d+),", text, re.M)}


NUMBER = numbers()
NAME = {number: name for name, number in NUMBER.items()}


def pack(document):
    return b"\0" + msgpack.packb(document)


def unpack(frame):
    data = frame[1:] if frame[0] == 0 else zstandard.decompress(frame[1:], max_output_size=1 << 26)
    return msgpack.unpackb(data, strict_map_key=False)


class Peer:
    """expect("TASK") waits for that message; others that come meanwhile are kept in .missed."""

    def __init__(self, test, endpoint, **options):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            self.socket.setsockopt(getattr(zmq, name), value)
        self.socket.connect(endpoint)
        self.epoch, self.missed = None, []
        test.addCleanup(self.socket.close)

    def say(self, name, *fields, frames=()):
        self.socket.send_multipart([msgpack.packb([1, NUMBER[name], 0, *fields]), *frames])

    def receive(self, seconds=None):
        """(name, fields, frames) or None."""
        if not self.socket.poll((seconds or PATIENCE_S) * 1000):
            return None
        header, *frames = self.socket.recv_multipart()
        _, number, epoch, *fields = msgpack.unpackb(header, strict_map_key=False)
        if NAME[number] == "WELCOME":
            self.epoch = epoch
        return NAME[number], fields, frames

    def expect(self, *names, seconds=None):
        while True:
            got = self.receive(seconds)
            if got is None:
                raise TimeoutError(f"no {' or '.join(names)}; came instead, last: {self.missed[-5:]}")
            if got[0] in names:
                return got
            if got[0] != "PONG":
                self.missed.append(got)

    def hello(self, role="client", stages=(), slots=1, name="test", holds=()):
        self.say("HELLO", role, name, "test", list(stages), slots, [], list(holds))
        return self.expect("WELCOME", "REFUSED")


class Worker(Peer):
    """Serves a stage by hand: task() gives the next one."""

    def __init__(self, test, endpoint, stage, **options):
        super().__init__(test, endpoint, **options)
        self.stage, self.seen = stage, 0
        name, fields, _ = self.hello("worker", [stage], 1, f"{stage}/by-hand")
        test.assertEqual("WELCOME", name, fields)
        self.ready(1)

    def ready(self, credit):
        self.say("READY", credit, self.seen)

    def task(self, seconds=None):
        """{task, fence, docs, …} of the next TASK."""
        _, fields, frames = self.expect("TASK", seconds=seconds)
        names = ("seq", "task", "fence", "stage", "project", "attempt", "total_ms", "docs", "facts")
        task = dict(zip(names, fields))
        self.seen = task["seq"]
        task["docs"] = {n: f for n, f in zip(task["docs"], frames)}
        return task

    def done(self, task, documents, verdict=None):
        self.say("DONE", task["task"], task["fence"], list(documents), verdict, 0, 0,
                 frames=[pack(d) for d in documents.values()])
        _, fields, _ = self.expect("TAKEN")
        self.ready(1)
        return fields[2]


class Recorder:
    """A proxy before a model server: remembers every completion asked for, and can hold answers back.

    journal: [{"hash", "state"}] with state begun, done (the whole answer was relayed) or broken (the asker left).
    hold_from(n): completions from the n-th on wait until release().
    """

    def __init__(self, test, url):
        self.target = urllib.parse.urlsplit(url)
        self.journal, self.lock = [], threading.Lock()
        self.held_from, self.gate, self.holding = None, threading.Event(), threading.Event()
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self):
                recorder.relay(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)
        test.addCleanup(self.gate.set)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def hold_from(self, n):
        self.held_from = n

    def release(self):
        self.held_from = None
        self.gate.set()

    def count(self, state):
        with self.lock:
            return [e["hash"] for e in self.journal if e["state"] == state]

    def relay(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        entry = {"hash": hashlib.sha256(body).hexdigest(), "state": "begun", "body": body}
        if handler.path.endswith("/completions"):
            with self.lock:
                self.journal.append(entry)
                held = self.held_from is not None and len(self.journal) >= self.held_from
            if held:
                self.holding.set()
                self.gate.wait(PATIENCE_S * 3)
        upstream = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=PATIENCE_S)
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in ("host", "connection", "expect")}
        try:
            upstream.request(handler.command, handler.path, body, headers)
            answer = upstream.getresponse()
            handler.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    handler.send_header(name, value)
            handler.end_headers()
            while piece := answer.read1(65536):
                handler.wfile.write(piece)
            handler.wfile.flush()
            # A writer does not notice that the reader has left; a peek at the socket does.
            handler.connection.setblocking(False)
            try:
                entry["state"] = "broken" if handler.connection.recv(1, 2) == b"" else "done"
            except BlockingIOError:
                entry["state"] = "done"
            finally:
                handler.connection.setblocking(True)
        except (OSError, http.client.HTTPException):
            entry["state"] = "broken"
        finally:
            upstream.close()


BAD_MCP = pathlib.Path(__file__).with_name("bad_mcp.py")


class Client(Peer):
    """Requests and their answers; no command line between."""

    def __init__(self, test, endpoint, **options):
        super().__init__(test, endpoint, **options)
        self.req = 0
        name, fields, _ = self.hello()
        test.assertEqual("WELCOME", name, fields)

    def ask(self, name, *fields, frames=()):
        """(name of the answer, its fields after req, frames)"""
        self.req += 1
        self.say(name, self.req, *fields, frames=frames)
        while True:
            got, answer, documents = self.expect("SUBMITTED", "NEED", "OKAY", "PAGE", "JOB", "DOC", "ANSWERED", "REFUSED", "PONG")
            if answer[0] == self.req or (got == "REFUSED" and answer[0] == 0):
                return got, answer[1:], documents

    def submit(self, text="The book drop is emptied at 10.", key="k", budget=None):
        return self.ask("SUBMIT", key, "", "", 0, budget or {}, b"", ["problem"], frames=[pack({"text": text})])

    def show(self, job):
        name, fields, frames = self.ask("SHOW", job)
        return msgpack.unpackb(frames[0], strict_map_key=False) if name == "JOB" else fields
