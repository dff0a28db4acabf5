#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's own HTTP server (OpenAI-compatible) on 127.0.0.1, in this process.

Prints `ready http://127.0.0.1:PORT` when the model is loaded, runs until SIGTERM or SIGINT, and ends
by itself when the process that started it is gone (--with-parent). Needs the package xllamacpp.
"""
import argparse
import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--parallel", type=int, default=2, help="requests at once; the context is divided by it")
    parser.add_argument("--context", type=int, default=16384, help="tokens, for all requests together")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process ends")
    return parser.parse_args()


def parameters(xllamacpp, given):
    p = xllamacpp.CommonParams()
    p.model.path = given.model
    p.model_alias = {os.path.basename(given.model).removesuffix(".gguf")}
    p.hostnames = ["127.0.0.1"]
    p.port = given.port
    p.n_ctx = given.context
    p.n_parallel = given.parallel
    p.cpuparams.n_threads = given.threads
    p.cpuparams_batch.n_threads = given.threads
    p.ui = False
    p.endpoint_slots = p.endpoint_metrics = p.endpoint_props = True
    return p


def main():
    given = arguments()
    if given.with_parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not os.access(given.model, os.R_OK):
        print(f"llama-server: {given.model}: cannot be read", file=sys.stderr)
        return 66
    import xllamacpp  # after the checks: loading it takes a moment

    try:
        server = xllamacpp.Server(parameters(xllamacpp, given))
    except RuntimeError as e:
        print(f"llama-server: {given.model}: {e}", file=sys.stderr)
        return 69
    print(f"ready {server.listening_address}", flush=True)
    stop.wait()
    os._exit(0)  # nothing to save, and the library's threads would make us wait for a running prompt


if __name__ == "__main__":
    sys.exit(main())
