#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An MCP server (stdio) that misbehaves: exit, garbage, silent, huge. `good` is how it should be."""
import json
import os
import signal
import sys

HUGE = 20 * 1024 * 1024


def main(mode):
    if mode == "exit":
        sys.exit("cannot start: licence expired")
    if mode == "silent":
        while True:
            signal.pause()
    for line in sys.stdin:
        if mode == "garbage":
            os.write(1, b"\x00\xffthis is no JSON {{{\n")
            continue
        message = json.loads(line)
        if "id" not in message:
            continue
        result = {}
        if message["method"] == "initialize":
            result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                      "serverInfo": {"name": "bad", "version": "1"}}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "facts", "description": "some facts", "inputSchema": {"type": "object"}}]}
        elif message["method"] == "tools/call":
            text = "x" * HUGE if mode == "huge" else "The limit is 17 items."
            result = {"content": [{"type": "text", "text": text}]}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


main(sys.argv[1])
