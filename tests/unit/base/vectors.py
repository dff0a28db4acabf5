#!/usr/bin/env python3
"""Reads the byte vectors with a msgpack library that is not ours and compares every field."""
import json
import sys

import msgpack


def plain(value, wanted):
    """The decoded value in the form that the vector file uses."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [plain(v, wanted) for v in value]
    if isinstance(value, (dict, type(None))):
        return msgpack.packb(value).hex()
    return value


bad = 0
vectors = json.load(open(sys.argv[1], encoding="utf-8"))
for v in vectors:
    version, number, epoch, *fields = msgpack.unpackb(bytes.fromhex(v["hex"]), strict_map_key=False)
    got = [plain(f, w) for f, w in zip(fields, v["fields"].values())]
    want = list(v["fields"].values())
    if (version, number, str(epoch)) != (1, v["number"], v["epoch"]) or got != want or len(fields) != len(want):
        print(f"{v['type']}: got {got}, want {want}")
        bad += 1
print(f"{len(vectors)} vectors, {bad} bad")
sys.exit(1 if bad or len(vectors) < 90 else 0)
