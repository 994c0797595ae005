#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replays recorded runs and compares the quiet tenants:  recorded_runs.py KVWARDEN DEFAULT_FOLDER

The folder is $KVWARDEN_RECORDED or the default; exit 77 (skipped) when it is absent. Medians of 20 seeds must come within
5 % of the time per output token, 10 % of the median TTFT and 15 % of its 99th percentile.
"""
import csv
import os
import subprocess
import sys
import tempfile

BUCKET = ["--bucket", "flooder:10:10"]
RUNS = {
    "a100_solo": ["--preset", "a100-llama31-8b"],
    "a100_fifo": ["--preset", "a100-llama31-8b"],
    "a100_bucket": ["--preset", "a100-llama31-8b", *BUCKET],
    "h100_n8": ["--preset", "h100-llama31-8b", *BUCKET],
    "h100_fifo128": ["--preset", "h100-llama31-8b"],
}
LIMITS = {"tpot": 0.05, "p50": 0.10, "p99": 0.15}
SEEDS = range(1, 21)
WARMUP_MS = 10_000


def quantile(values, q):
    values = sorted(values)
    rank = q * (len(values) - 1)
    low = int(rank)
    high = min(low + 1, len(values) - 1)
    return values[low] + (rank - low) * (values[high] - values[low])


def figures(path):
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    quiet = [r for r in rows if r["status"] == "ok" and r["tenant"] != "flooder" and float(r["t_ms"]) >= WARMUP_MS]
    ttft = [float(r["ttft_ms"]) for r in quiet]
    tpot = [(float(r["total_ms"]) - float(r["ttft_ms"])) / (int(r["max_tokens"]) - 1) for r in quiet]
    refused = sum(r["status"] == "429" for r in rows)
    return {"tpot": quantile(tpot, 0.5), "p50": quantile(ttft, 0.5), "p99": quantile(ttft, 0.99)}, refused


def replay(kvwarden, trace, arguments, seed, out):
    command = [kvwarden, "sim", "replay", trace, *arguments, "--seed", str(seed), "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(out, "rb") as f:
        return f.read()


def check(kvwarden, folder, name, arguments, out):
    trace = os.path.join(folder, name + ".csv")
    measured, refused_measured = figures(trace)
    runs = []
    for seed in SEEDS:
        replay(kvwarden, trace, arguments, seed, out)
        simulated, refused = figures(out)
        runs.append(simulated)
    good = refused == refused_measured
    print(f"{name}: refused {refused} of {refused_measured}", end="")
    for key, limit in LIMITS.items():
        value = quantile([r[key] for r in runs], 0.5)
        error = value / measured[key] - 1
        good = good and abs(error) <= limit
        print(f"; {key} {value:.2f} of {measured[key]:.2f} ms ({error:+.1%})", end="")
    print("" if good else "  FAILED")
    return good


def main():
    kvwarden, folder = sys.argv[1], os.environ.get("KVWARDEN_RECORDED", sys.argv[2])
    if os.path.isdir(os.path.join(folder, "recorded")):
        folder = os.path.join(folder, "recorded")
    if not os.path.exists(os.path.join(folder, "a100_solo.csv")):
        print(f"skipped: no recorded runs in {folder} (KVWARDEN_RECORDED)")
        return 77
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "out.csv")
        good = [check(kvwarden, folder, name, arguments, out) for name, arguments in RUNS.items()]
        solo = os.path.join(folder, "a100_solo.csv")
        same = replay(kvwarden, solo, RUNS["a100_solo"], 7, out) == replay(kvwarden, solo, RUNS["a100_solo"], 7, out)
    print("same seed, same bytes" if same else "FAILED: the same seed gave other bytes")
    return 0 if all(good) and same else 1


if __name__ == "__main__":
    sys.exit(main())
