# SPDX-License-Identifier: Apache-2.0
"""Toxiproxy's programming interface, as far as the faults need it."""
import json
import urllib.request

# What a fault does to a connection: [(type, directions, attributes)]
TOXICS = {
    "delay": [("latency", ("upstream", "downstream"), {"latency": 300, "jitter": 250})],
    "throttle": [("bandwidth", ("upstream", "downstream"), {"rate": 24})],  # kB/s
    "half-open-up": [("timeout", ("upstream",), {"timeout": 0})],  # nothing arrives, nothing is closed
    "half-open-down": [("timeout", ("downstream",), {"timeout": 0})],
    "reset": [("reset_peer", ("upstream", "downstream"), {"timeout": 0})],
    "cut": [("limit_data", ("upstream", "downstream"), {"bytes": 3000})],  # closed in the middle of a message
}


class Proxy:
    """One toxiproxy on one host."""

    def __init__(self, net, host, port, restart):
        """restart(): ends the program; it is started again. An old one can hang when a toxic is taken away under a full pipe."""
        self.net, self.host, self.url, self.restart = net, host, f"http://127.0.0.1:{port}", restart
        self.proxies, self.active, self.restarts = [], set(), 0

    def ask(self, method, path, body=None):
        def call():
            data = json.dumps(body).encode() if body is not None else None
            request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                return answer.read()
        return self.net.call(self.host, call)

    def add(self, name, listen, upstream):
        self.proxies.append({"name": name, "listen": listen, "upstream": upstream, "enabled": True})
        self.ask("POST", "/proxies", self.proxies[-1])

    def begin(self, name, fault):
        self.active.add((name, fault))
        self.or_restart(self.put, name, fault)

    def end(self, name, fault):
        self.active.discard((name, fault))
        self.or_restart(self.take, name, fault)

    def or_restart(self, function, name, fault):
        """All its connections break then, which is a fault like any other."""
        try:
            function(name, fault)
        except OSError:
            self.restarts += 1
            self.restart()
            for proxy in self.proxies:
                self.ask("POST", "/proxies", proxy)
            for what in sorted(self.active):
                self.put(*what)

    def put(self, name, fault):
        for kind, ways, attributes in TOXICS[fault]:
            for way in ways:
                self.ask("POST", f"/proxies/{name}/toxics", {"name": f"{fault}-{way}", "type": kind, "stream": way, "attributes": attributes})

    def take(self, name, fault):
        for _, ways, _ in TOXICS[fault]:
            for way in ways:
                self.ask("DELETE", f"/proxies/{name}/toxics/{fault}-{way}")
