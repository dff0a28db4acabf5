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

    def __init__(self, net, host, port):
        self.net, self.host, self.url = net, host, f"http://127.0.0.1:{port}"

    def ask(self, method, path, body=None):
        def call():
            data = json.dumps(body).encode() if body is not None else None
            request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                return answer.read()
        return self.net.call(self.host, call)

    def add(self, name, listen, upstream):
        self.ask("POST", "/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})

    def begin(self, name, fault):
        for kind, ways, attributes in TOXICS[fault]:
            for way in ways:
                self.ask("POST", f"/proxies/{name}/toxics", {"name": f"{fault}-{way}", "type": kind, "stream": way, "attributes": attributes})

    def end(self, name, fault):
        for _, ways, _ in TOXICS[fault]:
            for way in ways:
                self.ask("DELETE", f"/proxies/{name}/toxics/{fault}-{way}")
