#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pawl worker in 40 lines: the stage `house` adds the rules of the house to the insights.
usage: worker.py ENDPOINT RULES.txt    (pyzmq, msgpack, zstandard; pipeline: pawl-house.yaml; protocol: ../protocol.md)"""
import hashlib, os, sys, time, msgpack, zmq, zstandard
HELLO, WELCOME, REFUSED, READY, TASK, BEAT, DONE, FAIL, TAKEN, DROP = 1, 2, 3, 10, 11, 12, 15, 16, 18, 19

def unpack(frame):
    data = frame[1:] if frame[0] == 0 else zstandard.decompress(frame[1:], max_output_size=1 << 26)
    return msgpack.unpackb(data, strict_map_key=False)

def house(documents):
    rules = open(sys.argv[2], encoding="utf-8").read()
    rule = {"id": "house", "server": "house", "tool": "rules", "excerpt": rules, "hash": hashlib.sha256(rules.encode()).hexdigest()}
    insights = documents.get("insights", {"items": []})
    return {"insights": {**insights, "items": [*insights["items"], rule]}}

def answer(task, fence, names, frames):  # what we say of a task, kept until it is TAKEN
    try:
        made = house(dict(zip(names, map(unpack, frames))))
        return [DONE, task, fence, list(made), None, 0, 0], [b"\0" + msgpack.packb(d) for d in made.values()]
    except (OSError, ValueError, KeyError, TypeError) as e:
        return [FAIL, task, fence, "permanent", f"house: {e}", 0, 0, 0, []], []

def say(fields, frames=()):
    socket.send_multipart([msgpack.packb([1, fields[0], 0, *fields[1:]]), *frames])

socket = zmq.Context().socket(zmq.DEALER)
socket.connect(sys.argv[1])
held, seen, epoch, beat_s, due = {}, 0, None, 1.0, 0.0
while True:
    if time.monotonic() >= due:
        holds, due = [said[0][1:3] for said in held.values()], time.monotonic() + beat_s
        me = f"{os.uname().nodename}/{os.getpid()}"
        say([BEAT, holds, {}] if epoch else [HELLO, "worker", me, "0.1.0", ["house"], 1, ["language=python"], holds])
    if not socket.poll(max(1, int(1000 * (due - time.monotonic())))):
        continue
    header, *frames = socket.recv_multipart()
    _, number, its_epoch, *fields = msgpack.unpackb(header, strict_map_key=False)
    if number == WELCOME:  # of a new broker too: say again what it may not have heard
        epoch, seen, beat_s = its_epoch, 0, fields[1] / 2000
        for said in held.values():
            say(*said)
        say([READY, 1 - len(held), seen])
    elif its_epoch != epoch or (number == REFUSED and fields[1] == "protocol"):
        epoch, due = None, 0.0
    elif number == TASK:
        seen, task, fence = fields[0:3]
        held[task] = answer(task, fence, fields[7], frames)
        say(*held[task])
    elif number in (TAKEN, DROP):
        held.pop(fields[0], None)
        say([READY, 1 - len(held), seen])
