#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs llama.cpp's HTTP server (from the xllamacpp package) on a free loopback port.

Prints one JSON line {"address": "http://..."} once it listens, then serves until it is killed or its
standard input ends, so that it cannot outlive the test that started it.

usage: llama_server.py MODEL.gguf [PARALLEL]
"""
import json
import sys

import xllamacpp

if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_parallel = int(sys.argv[2]) if len(sys.argv) == 3 else 4
params.n_ctx = 2048 * params.n_parallel
params.endpoint_metrics = True
params.warmup = False
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
print(json.dumps({"address": server.listening_address}), flush=True)
sys.stdin.read()
