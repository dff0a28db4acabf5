#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An MCP server over stdio that misbehaves as told: server.py MODE.

good      answers both tools, legacy era
exits     ends at once with a word on stderr
garbage   prints text that is no JSON-RPC, never answers
banner    prints a banner and log lines between good messages
silent    reads and never answers
large     tool `big` answers 20 MB in one line; `echo` works
modern    speaks 2026-07-28 only: refuses initialize with -32022
refuses   answers initialize with an error and stays
pages     lists its tools on three pages
dies      ends in the middle of a call to `die`, is good otherwise
slow      never answers a call to `wait`, answers the others
shifts    describes its tool as ./description.txt does
counts    like slow; `echo` tells how many calls were cancelled
stubborn  ignores the end of its stdin and SIGTERM, and has a child that does so too
asks      asks the client for roots and pings before it answers
"""
import json
import os
import signal
import subprocess
import sys
import time

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/protocolVersion"


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def tool(name):
    return {"name": name, "description": "the tool " + name, "inputSchema": {"type": "object"}}


def text(value, error=False):
    return {"content": [{"type": "text", "text": value}], "isError": error}


def hold():
    while True:
        time.sleep(3600)


def listing(mode, params):
    if mode == "shifts":
        with open("description.txt", encoding="utf-8") as text:
            return {"tools": [{**tool("echo"), "description": text.read()}]}
    if mode == "pages":
        page = int(params.get("cursor", "0"))
        more = {"nextCursor": str(page + 1)} if page < 2 else {}
        return {"tools": [tool("echo%d" % page)], **more}
    extra = {"large": ["big"], "dies": ["die"], "slow": ["wait"], "counts": ["wait"]}.get(mode, [])
    return {"tools": [tool(n) for n in ["echo", "fail"] + extra]}


def call(mode, params, cancelled):
    name, arguments = params["name"], params.get("arguments", {})
    if name == "big":
        return text("x" * (20 << 20))
    if name == "die":
        print("Error: the disk is full", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "wait":
        return None
    if name == "fail":
        return text("no such customer", True)
    if mode == "counts":
        return text("%d cancelled" % cancelled)
    return text(json.dumps(arguments, sort_keys=True))


def answer(mode, message, cancelled):
    method, params = message["method"], message.get("params", {})
    if mode == "modern" and META not in params.get("_meta", {}):
        return {"error": {"code": -32022, "message": "unsupported", "data": {"supported": [MODERN]}}}
    if mode == "refuses":
        return {"error": {"code": -32603, "message": "no licence for this machine"}}
    if method == "initialize":
        return {"result": {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                           "serverInfo": {"name": "fake", "version": "1"}}}
    if method == "server/discover":
        return {"result": {"resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 1, "cacheScope": "private",
                           "capabilities": {"tools": {}}, "serverInfo": {"name": "fake", "version": "1"}}}
    if method == "tools/list":
        return {"result": {"resultType": "complete", **listing(mode, params)}}
    if method == "tools/call":
        result = call(mode, params, cancelled)
        return result and {"result": {"resultType": "complete", **result}}
    return {"error": {"code": -32601, "message": "method not found"}}


def stubborn():
    for signo in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signo, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "3600"])
    with open(os.environ["FAKE_PIDS"], "w", encoding="ascii") as f:
        f.write("%d %d\n" % (os.getpid(), child.pid))


def main():
    mode = sys.argv[1]
    if mode == "exits":
        print("Error: FAKE_TOKEN is not set", file=sys.stderr)
        sys.exit(7)
    if mode == "stubborn":
        stubborn()
    if mode == "garbage":
        print("Listening on port 3000, press Ctrl-C to stop", flush=True)
        hold()
    if mode == "silent":
        hold()
    if mode == "banner":
        print("*** fake server 1.0 ***\n\nloading...", flush=True)
    cancelled = 0
    for line in sys.stdin:
        message = json.loads(line)
        cancelled += message.get("method") == "notifications/cancelled"
        if "method" not in message or "id" not in message:
            continue
        if mode == "banner":
            print("[info] request %s" % message["method"], flush=True)
        if mode == "asks":
            say({"id": "q1", "method": "roots/list"})
            say({"id": 2, "method": "ping"})
            if "-32601" not in sys.stdin.readline() or "result" not in sys.stdin.readline():
                sys.exit("the client did not answer")
        body = answer(mode, message, cancelled)
        if body:
            say({"id": message["id"], **body})
    if mode == "stubborn":
        hold()


main()
